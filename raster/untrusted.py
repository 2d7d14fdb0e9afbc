"""Reading files of a release that came from somebody else: inside its folder, plain, and bounded in size."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raster import strict_json
from raster.errors import UntrustedError
from raster.strict_json import JsonError

MAX_JSON_BYTES = 2**24
"""Size of the largest JSON file of a release that is read."""

_ROWS = 10_000_000
_VALUES = 2**28
_TABLE_BYTES = 2**32
_BATCH_ROWS = 16384


def inside(root: Path, name: str) -> Path:
    """Return the path of a plain file of a release.

    Args:
        root: Folder of the release.
        name: Path relative to it, as a manifest or a catalog states it.

    Raises:
        UntrustedError: The path leads out of the release, directly or through a symbolic link, or to no plain file.
    """
    path = root / name
    try:
        real = path.resolve()
        plain = stat.S_ISREG(real.stat().st_mode)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links, ValueError: a null byte
        raise UntrustedError(f"{root}: {name!r} cannot be read ({error}); verify the release") from error
    if not real.is_relative_to(root.resolve()) or not plain:
        raise UntrustedError(f"{root}: {name!r} is no plain file inside the release; verify it before you use it")
    return real


def read_json(root: Path, name: str) -> Any:
    """Return the value of a JSON file of a release.

    Args:
        root: Folder of the release.
        name: POSIX path relative to it, which a stranger may have chosen.

    Raises:
        UntrustedError: It is no plain file inside the release, too large, nested too deeply or no JSON.
    """
    path = inside(root, name)
    try:
        return strict_json.read_json(path, MAX_JSON_BYTES)
    except (OSError, JsonError) as error:
        raise UntrustedError(f"{path}: cannot be read as JSON ({error})") from error


def read_table(root: Path, name: str, columns: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    """Return a Parquet table of a release, whose texts are UTF-8.

    It is read in batches whose text stays in dictionaries until its size is known: a small file may repeat one long
    text a million times.

    Args:
        root: Folder of the release.
        name: POSIX path relative to it, which a stranger may have chosen.
        columns: Those that are wanted, all of which must be there, with the types that they are read as; default: all
            there are.

    Raises:
        UntrustedError: It is no plain file inside the release, damaged, lacks a column or has one of another type, or
            holds more than a release can.
    """
    path = inside(root, name)
    try:
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
            rows, size = file.metadata.num_rows, sum(group.total_byte_size for group in groups)
            values = max(
                (group.column(at).num_values for group in groups for at in range(group.num_columns)), default=0
            )
            if rows > _ROWS or size > _TABLE_BYTES or values > _VALUES:
                raise UntrustedError(
                    f"{path}: claims {rows} rows of {size} bytes, {values} values, more than a release can hold"
                )
            schema = file.schema_arrow
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
        text = [field.name for field in schema if _is_text(field.type)]
        batches, size = [], 0
        with pq.ParquetFile(path, read_dictionary=text) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=schema.names):
                size += sum(map(_plain_size, batch.columns))
                if size > _TABLE_BYTES:
                    raise UntrustedError(f"{path}: unpacks to more than {_TABLE_BYTES} bytes; verify the release")
                batches.append(batch.select(schema.names).cast(schema))
        table = pa.Table.from_batches(batches, schema)
        table.validate(full=True)
        return table if columns is None else table.cast(pa.schema(columns.items()))
    except (OSError, MemoryError, KeyError, pa.ArrowException) as error:
        raise UntrustedError(f"{path}: no readable table ({error})") from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _plain_size(column: pa.Array) -> int:
    """Return the bytes of a column's values, each counted as often as it occurs."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


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
