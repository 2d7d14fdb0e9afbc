"""Reading files of a release that came from somebody else, as `raster.untrusted` does, with this room's error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog.errors import CatalogError
from raster import untrusted
from raster.errors import UntrustedError
from raster.untrusted import MAX_JSON_BYTES, entries_below

__all__ = ["MAX_JSON_BYTES", "entries_below", "inside", "read_json", "read_table"]


def inside(root: Path, name: str) -> Path:
    """Return the path of a plain file of a release; see `raster.untrusted.inside`.

    Args:
        root: Folder of the release.
        name: Path relative to it, which a stranger may have chosen.

    Raises:
        CatalogError: It leads out of the release, or to what cannot be read.
    """
    with _of_the_catalog():
        return untrusted.inside(root, name)


def read_json(root: Path, name: str) -> Any:
    """Return the value of a JSON file of a release; see `raster.untrusted.read_json`.

    Args:
        root: Folder of the release.
        name: Path relative to it, which a stranger may have chosen.

    Raises:
        CatalogError: It leads out of the release, or to what cannot be read.
    """
    with _of_the_catalog():
        return untrusted.read_json(root, name)


def read_table(root: Path, name: str) -> pa.Table:
    """Return a Parquet table of a release; see `raster.untrusted.read_table`.

    Args:
        root: Folder of the release.
        name: Path relative to it, which a stranger may have chosen.

    Raises:
        CatalogError: It leads out of the release, or to what cannot be read.
    """
    with _of_the_catalog():
        return untrusted.read_table(root, name)


@contextmanager
def _of_the_catalog() -> Iterator[None]:
    try:
        yield
    except UntrustedError as error:
        raise CatalogError(str(error)) from error
