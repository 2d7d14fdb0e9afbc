"""The images of a release, from its folders or its Zarr store, on this machine or a remote one."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import zarr

from catalog.errors import CatalogError
from catalog.model import EXTENSIONS, RELEASE_NAME, STORE_NAME, Format
from catalog.schema import Schema, find_schema
from catalog.store import MAX_FILE_BYTES, Image, decode_image, image_array, open_store
from catalog.untrusted import inside, read_json

if TYPE_CHECKING:
    from catalog.remote import RemoteFolder

Layout = Literal["folders", "zarr"]

_OPENING = threading.Lock()


class Pixels:
    """Reads images of a release. Safe in forked and spawned processes: the Zarr store is opened anew in each."""

    def __init__(self, schema: Schema[Any], release: Path | RemoteFolder, layout: Layout, stored: int) -> None:
        """Name the release.

        Args:
            schema: Of the release.
            release: Where it is.
            layout: What to read pixels from; the release must have it.
            stored: Number of records of all splits, which the Zarr store holds.
        """
        self.schema, self.release, self.layout, self.stored = schema, release, layout, stored
        self._store: tuple[int, dict[str, zarr.Array[Any]]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_store": None}

    def image(self, role: str, row: Mapping[str, Any]) -> Image:
        """Return an image (H, W, 3) uint8 RGB.

        Args:
            role: Which of the record's images.
            row: The record's row of the manifest.

        Raises:
            CatalogError: It cannot be read, or is of another size than the manifest says.
        """
        if self.layout == "folders":
            name = row[f"{role}_path"]
            image = decode_image(self._content(name), f"{self.release}/{name}")
            if "size" in row and image.shape != (row["size"], row["size"], 3):
                raise CatalogError(
                    f"{self.release}: {name} is of {image.shape}, the manifest says {row['size']} px; "
                    "verify the release"
                )
            return image
        release = self.release
        try:
            with nullcontext() if isinstance(release, Path) else release.explained(STORE_NAME):
                return np.asarray(self._array(role, row["size"])[self._index(row)], np.uint8)
        except (OSError, ValueError, RuntimeError) as error:
            raise CatalogError(
                f"{self.release}/{STORE_NAME}: {row[self.schema.key]} cannot be read ({error}); verify the release"
            ) from error

    def encoded(self, role: str, row: Mapping[str, Any]) -> tuple[bytes, str]:
        """Return an image as a file: its own where the release has folders, else a PNG.

        Args:
            role: Which of the record's images.
            row: The record's row of the manifest.

        Returns:
            The content, and the suffix without its dot.

        Raises:
            CatalogError: It cannot be read.
        """
        if self.layout == "folders":
            return self._content(row[f"{role}_path"]), EXTENSIONS[row["format"]]
        return cv2.imencode(".png", self.image(role, row)[..., ::-1])[1].tobytes(), EXTENSIONS["png"]

    def _index(self, row: Mapping[str, Any]) -> int:
        index = row["zarr_index"]
        if index is None or not 0 <= index < self.stored:  # a negative one would count from the end
            raise ValueError(f"the manifest gives it the position {index} of {self.stored}")
        return int(index)

    def _content(self, name: str | None) -> bytes:
        if name is None:
            raise CatalogError(f"{self.release}: the manifest names no file for an image; verify the release")
        if not isinstance(self.release, Path):
            return self.release.read(name, MAX_FILE_BYTES)
        path = inside(self.release, name)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CatalogError(f"{path}: has more bytes than an image of a release; verify the release")
        return path.read_bytes()

    def _array(self, role: str, size: int) -> zarr.Array[Any]:
        # A store opened before a fork shares its event loop with the parent, which then hangs in the child. Threads
        # that come together wait for the first: a remote store is opened by several requests.
        with _OPENING:
            if self._store is None or self._store[0] != os.getpid():
                group = open_store(self.schema, self.release / STORE_NAME)
                shape = self.stored, size, size, 3
                self._store = os.getpid(), {each: image_array(group, each, shape) for each in self.schema.images}
            return self._store[1][role]


def read_summary(path: Path) -> tuple[Schema[Any], list[Layout]]:
    """Return the schema of a release, and what its pixels can be read from, best first.

    Args:
        path: Its folder.

    Raises:
        CatalogError: There is no release at `path`, or its schema is not installed.
    """
    if not (path / RELEASE_NAME).exists():
        beside = path / "release"
        hint = (
            f"did you mean {beside}?" if (beside / RELEASE_NAME).exists() else "name the folder that holds release.json"
        )
        raise CatalogError(f"{path}: there is no release here; {hint}")
    summary = read_json(path, RELEASE_NAME)
    try:
        formats = {Format(name) for name in summary["formats"]}
        name = summary["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"{path / RELEASE_NAME}: is of no release ({error!r}); build the release again") from error
    layouts: tuple[Layout, ...] = ("folders", "zarr")
    return find_schema(name), [layout for layout in layouts if Format(layout) in formats]
