"""A release on a web server or in a bucket, read through fsspec: `https://`, `s3://`, `hf://` and what else it knows.

Small files are read whole, pixels by ranges. A server is as little trusted as a stranger's release: no answer is read
beyond the range that was asked for, and no name leads out of the release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import fsspec
import zarr
from fsspec.core import split_protocol

from catalog.errors import CatalogError

_BLOCK = 2**24
_MOST_WHOLE = 2**24
_NAME = re.compile(r"[^\x00-\x1f?#%\\*]+")
_RANGE = re.compile(r"bytes=(\d*)-(\d+)")
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)


class BoundedResponse(aiohttp.ClientResponse):
    """An answer of which no more is read than was asked for."""

    async def read(self) -> bytes:
        """Return the body.

        Raises:
            OSError: It is longer than the range that was asked for: the server knows no ranges.
        """
        if self._body is None:
            body, most = bytearray(), _asked(self.request_info.headers.get("Range", ""))
            async for part in self.content.iter_any():
                body += part
                if len(body) > most:
                    self.close()
                    raise OSError(f"it sent more than the {most} bytes that were asked for: it must know ranges")
            self._body = bytes(body)
        return self._body


class RemoteFolder:
    """A folder that fsspec reaches. It holds no connection, so that it can be sent to other processes."""

    def __init__(self, url: str) -> None:
        """Name the folder.

        Args:
            url: Its address, such as `https://example.org/release` or `s3://bucket/release`. Credentials do not belong
                in it; services take them from the environment.

        Raises:
            CatalogError: It holds a user name or a query, which messages and journals would show.
        """
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.query:
            raise CatalogError(
                f"an address {parts.scheme}://{parts.netloc.rpartition('@')[2]} with a user name, a password or a "
                "query: leave it out; credentials are taken from the environment"
            )
        self.url = url.rstrip("/")
        self.protocol = split_protocol(self.url)[0] or "file"

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemoteFolder:
        return RemoteFolder(f"{self.url}/{name}")

    def read(self, name: str, most: int) -> bytes:
        """Return the content of a file.

        Args:
            name: POSIX path relative to the folder, which a stranger may have chosen.
            most: Bytes that it may have.

        Raises:
            CatalogError: The name leads out of the folder, the file is larger, absent or cannot be reached.
        """
        path = self._path(name)
        with self.explained(name):
            content = bytes(self.filesystem().cat_file(path, start=0, end=most + 1))
        if len(content) > most:
            raise CatalogError(f"{self.url}/{name}: has more than {most} bytes; verify the release")
        return content

    def fetch(self, name: str, target: Path, most: int) -> None:
        """Copy a file to the local disk, block by block.

        Args:
            name: POSIX path relative to the folder.
            target: Where to; its folder must be there.
            most: Bytes that it may have.

        Raises:
            CatalogError: See `read`.
        """
        path = self._path(name)
        with self.explained(name), target.open("wb") as file:
            size = self.filesystem().info(path)["size"]
            if size is None or size > most:
                raise CatalogError(f"{self.url}/{name}: has {size or 'an unknown number of'} bytes, {most} at most")
            for start in range(0, size, _BLOCK):
                file.write(self.filesystem().cat_file(path, start=start, end=min(start + _BLOCK, size)))

    def store(self) -> zarr.storage.FsspecStore:
        """Return the folder as a Zarr store, whose chunks are read by ranges."""
        with self.explained(""):
            return zarr.storage.FsspecStore.from_url(self.url, storage_options=self._options(), read_only=True)

    @contextmanager
    def explained(self, name: str) -> Iterator[None]:
        """Make CatalogErrors of what goes wrong on the way to a file of the folder.

        Args:
            name: Of the file.
        """
        try:
            yield
        except FileNotFoundError as error:
            raise CatalogError(f"{self.url}/{name}: is not there") from error
        except (OSError, ValueError, RuntimeError, aiohttp.ClientError) as error:
            what = str(error) or type(error).__name__
            raise CatalogError(
                f"{self.url}/{name}: cannot be read ({what}); check address, access and connection"
            ) from error

    def filesystem(self) -> Any:
        """Return fsspec's file system, which is made anew in each process.

        Raises:
            CatalogError: No installed package knows the protocol.
        """
        try:
            return fsspec.filesystem(self.protocol, **self._options())
        except (ImportError, ValueError) as error:
            hint = "pip install 'mapdata[remote]'" if self.protocol == "s3" else "install the package that it names"
            raise CatalogError(f"{self.url}: {self.protocol}:// cannot be opened here ({error}); {hint}") from error

    def _options(self) -> dict[str, Any]:
        if self.protocol not in ("http", "https"):
            return {}
        return {"client_kwargs": {"response_class": BoundedResponse, "timeout": _TIMEOUT}}

    def _path(self, name: str) -> str:
        parts = PurePosixPath(name).parts
        if not _NAME.fullmatch(name) or ".." in parts or name.startswith("/") or "://" in name:
            raise CatalogError(f"{self.url}: {name!r} is no plain file inside the release; verify it before you use it")
        return f"{self.url}/{name}"


def _asked(header: str) -> int:
    """Return the bytes that a Range header asks for, or what a whole file may have."""
    found = _RANGE.fullmatch(header)
    if found is None:
        return _MOST_WHOLE
    start, end = found.groups()
    return int(end) - int(start) + 1 if start else int(end)
