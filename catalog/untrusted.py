"""Reading files of a release that came from somebody else: inside its folder, plain, and bounded in size."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.errors import CatalogError

_JSON_BYTES = 2**24
_ROWS = 10_000_000
_TABLE_BYTES = 2**33


def inside(root: Path, name: str) -> Path:
    """Return the path of a plain file of a release.

    Args:
        root: Folder of the release.
        name: Path relative to it, as a manifest or a catalog states it.

    Raises:
        CatalogError: The path leads out of the release, directly or through a symbolic link, or to no plain file.
    """
    path = root / name
    try:
        real = path.resolve()
        plain = stat.S_ISREG(real.stat().st_mode)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links, ValueError: a null byte
        raise CatalogError(f"{root}: {name!r} cannot be read ({error}); verify the release") from error
    if not real.is_relative_to(root.resolve()) or not plain:
        raise CatalogError(f"{root}: {name!r} is no plain file inside the release; verify it before you use it")
    return real


def read_json(root: Path, name: str) -> Any:
    """Return the value of a JSON file of a release.

    Args:
        root: Folder of the release.
        name: POSIX path relative to it, which a stranger may have chosen.

    Raises:
        CatalogError: It is no plain file inside the release, too large, nested too deeply or no JSON.
    """
    path = inside(root, name)
    if path.stat().st_size > _JSON_BYTES:
        raise CatalogError(f"{path}: has more than {_JSON_BYTES} bytes, as no JSON file of a release has")
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CatalogError(f"{path}: cannot be read as JSON ({error})") from error


def read_table(root: Path, name: str) -> pa.Table:
    """Return a Parquet table of a release.

    Args:
        root: Folder of the release.
        name: POSIX path relative to it, which a stranger may have chosen.

    Raises:
        CatalogError: It is no plain file inside the release, damaged, or claims more than a release can hold.
    """
    path = inside(root, name)
    try:
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
            rows, size = file.metadata.num_rows, sum(group.total_byte_size for group in groups)
            if rows > _ROWS or size > _TABLE_BYTES:
                raise CatalogError(f"{path}: claims {rows} rows of {size} bytes, more than a release can hold")
            return file.read()
    except (OSError, MemoryError, pa.ArrowException) as error:
        raise CatalogError(f"{path}: no readable table ({error})") from error


def entries_below(folder: Path) -> tuple[list[str], list[str]]:
    """Return the plain files below a folder, and whatever else is there that is no folder; links are not followed.

    Returns:
        Relative POSIX paths of files, and of links, pipes, sockets and devices; both sorted.
    """
    files, others, waiting = [], [], [""]
    while waiting:
        parent = waiting.pop()
        with os.scandir(folder / parent) as entries:
            for entry in entries:
                name = f"{parent}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    files.append(name)
                else:
                    others.append(name)
    return sorted(files), sorted(others)
