"""A file on a web server, read by ranges: GDAL reads rasters through it and never opens a connection of its own.

So rate limits, size limits and the hosts within reach hold for pixels as they do for documents.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping

from pipeline.errors import PermanentError, TransientError
from stages.fetch.blocking import BlockingClient
from stages.fetch.client import Request, Response
from stages.fetch.responses import InvalidResponse

_CHUNK = 1 << 14
_CACHED_CHUNKS = 2048
_MAX_BODY = 64 << 20
"""Greatest size of a response, which is that of the file where a server ignores ranges."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class RemoteFile:
    """A file-like object (`read`, `seek`, `tell`, a context manager) over HTTP, with a cache of what was read.

    GDAL hides the reason why a read failed, and prints what is raised in it. So a failure is kept in `error`, and from
    then on the file ends where it is read.

    Args:
        client: Sends the requests.
        url: Address of the file.
        label: Names the file in messages.
        headers: Returns further headers for a request of the address, such as a signature of that moment.
        missing: What a message says where the server has no such file.

    Attributes:
        error: The failure: the file is missing or refused, changed while it was read, or its host fails.
        size: Size of the file in bytes, once something was read.
    """

    def __init__(
        self,
        client: BlockingClient,
        url: str,
        label: str,
        headers: Callable[[str], Mapping[str, str]] = lambda url: {},
        missing: str = "the file is missing; check the catalog",
    ) -> None:
        self._headers = headers
        self._missing = missing
        self._client = client
        self._url = url
        self._label = label
        self._position = 0
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        self._version = ""
        self.size: int | None = None
        self.error: PermanentError | TransientError | None = None

    def tell(self) -> int:
        """Return the position in bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, as `io.IOBase.seek` does, and return it.

        Args:
            offset: Bytes from the place that `whence` names.
            whence: `os.SEEK_SET`, `os.SEEK_CUR` or `os.SEEK_END`.

        Returns:
            The new position.
        """
        if whence == os.SEEK_END and self.size is None:
            self.read(0)
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size or 0}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the position on, fewer at the end of the file and after a failure."""
        try:
            return b"" if self.error else self._read(size)
        except (PermanentError, TransientError) as error:
            self.error = error
            return b""

    def _read(self, size: int) -> bytes:
        if self.size is None:
            self._load(0, 1)
        assert self.size is not None
        end = self.size if size < 0 else min(self.size, self._position + size)
        if end <= self._position:
            return b""
        first, last = self._position // _CHUNK, (end - 1) // _CHUNK
        kept = {number: self._chunks[number] for number in range(first, last + 1) if number in self._chunks}
        while missing := [number for number in range(first, last + 1) if number not in kept]:
            kept |= self._load(missing[0], missing[-1] - missing[0] + 1)  # a server may give the beginning only
        data = b"".join(kept[number] for number in range(first, last + 1))
        start = self._position - first * _CHUNK
        self._position = end
        return data[start : start + end - first * _CHUNK - start]

    def close(self) -> None:
        """Do nothing: GDAL opens and closes a file several times, and what was read serves them all."""

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _load(self, first: int, count: int) -> dict[int, bytes]:
        """Fetch a run of chunks, keep them in the cache and return them by number, the first of them at least."""
        start, end = first * _CHUNK, (first + count) * _CHUNK - 1
        headers = {**self._headers(self._url), "Range": f"bytes={start}-{end}"}
        request = Request(
            self._url, self._label, lambda response: self._checked(response, start), _MAX_BODY, headers=headers
        )
        loaded = self._client.get(request)
        if loaded is None:
            raise PermanentError(f"{self._label}: {self._missing}")
        at, body = loaded
        chunks = {(at + offset) // _CHUNK: body[offset : offset + _CHUNK] for offset in range(0, len(body), _CHUNK)}
        self._chunks |= chunks
        while len(self._chunks) > _CACHED_CHUNKS:
            self._chunks.popitem(last=False)
        return chunks

    def _checked(self, response: Response, asked: int) -> tuple[int, bytes]:
        """Return where a response begins in the file, a multiple of the chunk size, and its bytes in whole chunks."""
        start, body, size = 0, response.body, len(response.body)
        if response.status == 206:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if not found or int(found[1]) != asked or int(found[2]) - asked + 1 != len(body):
                raise InvalidResponse("a range that is not the one asked for")
            start, size = asked, int(found[3])
            if start + len(body) < size:
                body = body[: len(body) // _CHUNK * _CHUNK]  # a part of a chunk would stand for the whole
            if not body:
                raise InvalidResponse("a range shorter than a block")
        elif size <= asked and size:
            raise InvalidResponse("a file that ends before the range asked for")
        version = f"{size} {response.headers.get('ETag', '')}"
        if self._version and version != self._version:
            raise PermanentError(f"{self._label}: the file changed while it was read; run again")
        self._version, self.size = version, size
        return start, body
