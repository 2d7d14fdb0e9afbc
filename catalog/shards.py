"""A release as shards beside it: tar files for WebDataset, or Parquet files that hold the images.

    <split>-000000.tar        samples: members that share a name up to the first dot, as the schema bundles them
    <split>-000000.parquet    a row a record: its columns, and its images as structs of bytes and name
    README.md                 the release's card, with the splits for Hugging Face `datasets`
    checksums.b3              BLAKE3 of every file

The same release gives the same bytes. The folder is swapped in when it is whole.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.beside import exporting
from catalog.pixels import Pixels

SHARD_BYTES = 2**29
"""A shard is closed once its images have so many bytes; Parquet readers hold less than that at once."""

_GROUP = 64
"""Rows of a Parquet row group: what is read to get at one of them, some 50 MB of large images."""

_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_LOADING = {
    "webdataset": 'import webdataset\n\nsamples = webdataset.WebDataset("PATH/train-000000.tar").decode("pil")',
    "parquet-shards": 'from datasets import load_dataset\n\nsplits = load_dataset("PATH")',
}
"""Python examples of the card; PATH stands for the folder."""


class ShardFormat(StrEnum):
    """What shards are."""

    WEBDATASET = "webdataset"
    PARQUET = "parquet-shards"

    @property
    def suffix(self) -> str:
        """Return the suffix of a shard."""
        return "tar" if self is ShardFormat.WEBDATASET else "parquet"


def write_shards(
    release: Path, target: Path, kind: ShardFormat, splits: Sequence[str] = (), most_bytes: int = SHARD_BYTES
) -> list[str]:
    """Write the published records of a release as shards.

    Args:
        release: Folder of the release, of any schema.
        target: Folder of the shards; earlier shards in it are replaced.
        kind: What shards are to be.
        splits: Those that are wanted; all if empty.
        most_bytes: A shard is closed once its images have so many bytes.

    Returns:
        Names of the shards, in order.

    Raises:
        CatalogError: The release cannot be read, has no such split, or `target` holds something else.
    """
    made: dict[str, list[str]] = {}
    with exporting(release, target, splits) as export:
        for split, rows in export.splits.items():
            names = _write(release, export.pixels, rows, export.folder / split, kind, most_bytes)
            made |= {split: names} if names else {}
        data = [{"split": split, "path": f"{split}-*.{kind.suffix}"} for split in made]
        export.write_card([{"config_name": "default", "data_files": data}] if data else [], _LOADING[kind])
    return [name for names in made.values() for name in names]


def _write(release: Path, pixels: Pixels, rows: pa.Table, stem: Path, kind: ShardFormat, most: int) -> list[str]:
    """Write the shards of a split, whose names begin with `stem`; return their names."""
    names: list[str] = []
    size, shard = 0, None
    samples: Iterator[Any]
    opened: type[_Tar] | type[_Parquet]
    if kind is ShardFormat.WEBDATASET:
        samples, opened = _bundles(release, pixels, rows), _Tar
    else:
        samples, opened = _groups(pixels, rows), _Parquet
    with ExitStack() as stack:
        for sample in samples:
            if shard is None or size >= most:
                stack.close()
                path = stem.with_name(f"{stem.name}-{len(names):06d}.{kind.suffix}")
                names.append(path.name)
                size, shard = 0, stack.enter_context(closing(opened(path)))
            size += shard.add(sample)
    return names


def _bundles(release: Path, pixels: Pixels, rows: pa.Table) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the members of each sample of WebDataset."""
    for key, facts, images in pixels.schema.bundles(release, rows):
        key = key.replace("%", "%25").replace(".", "%2E")  # readers end the key at the first dot
        members = [(f"{key}.json", json.dumps(facts, ensure_ascii=False, sort_keys=True).encode())]
        for name, role, row in images:
            content, suffix = pixels.encoded(role, row)
            members.append((f"{key}.{name}.{suffix}", content))
        yield members


def _groups(pixels: Pixels, rows: pa.Table) -> Iterator[pa.Table]:
    """Yield tables of at most `_GROUP` rows with their images."""
    roles = pixels.schema.images
    # What tells Hugging Face `datasets` that these columns are images.
    features = {"info": {"features": {role: {"_type": "Image"} for role in roles}}}
    for start in range(0, rows.num_rows, _GROUP):
        part = rows.slice(start, _GROUP)
        table = pixels.schema.described(part)
        for role in roles:
            images = []
            for row in part.to_pylist():
                content, suffix = pixels.encoded(role, row)
                images.append({"bytes": content, "path": f"{row[pixels.schema.key]}.{role}.{suffix}"})
            table = table.append_column(role, pa.array(images, _IMAGE))
        yield table.replace_schema_metadata({"huggingface": json.dumps(features)})


class _Tar:
    def __init__(self, path: Path) -> None:
        self._archive = tarfile.TarFile(path, "w", format=tarfile.PAX_FORMAT)

    def add(self, members: Sequence[tuple[str, bytes]]) -> int:
        """Add a sample; return its bytes."""
        for name, body in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            self._archive.addfile(entry, io.BytesIO(body))
        return sum(len(body) for _, body in members)

    def close(self) -> None:
        self._archive.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> int:
        """Add rows as one group; return their bytes."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table, row_group_size=_GROUP)
        return int(table.nbytes)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
