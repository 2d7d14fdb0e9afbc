"""What Hugging Face `datasets` loads a release by: a table of each split, and the card's front matter that names them.

Its image folder builder reads tables whose columns `<role>_file_name` name images below the folder of the table.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog.manifest import published, published_batches
from catalog.model import Json
from catalog.schema import Schema


def write_hub_tables(schema: Schema[Any], manifest: pa.Table, release: Path) -> None:
    """Write a table of each split that has records: the manifest's columns, footprints as WKT, and names of images.

    Args:
        schema: Its splits that have records get a table each.
        manifest: As `make_manifest` returns it; rejected records are left out.
        release: Folder that is being built; the tables lie beside its manifest.
    """
    with ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for rows in published_batches(manifest):
            table = schema.described(rows)
            for role in schema.images:
                table = table.append_column(f"{role}_file_name", rows[f"{role}_path"])
            for split in _splits(schema, rows):
                part = table.filter(pc.equal(table["split"], split)).drop_columns("split")
                if split not in writers:
                    path = release / _table(schema, split)
                    writers[split] = stack.enter_context(pq.ParquetWriter(path, part.schema, compression="zstd"))
                writers[split].write_table(part)


def hub_configs(schema: Schema[Any], manifest: pa.Table) -> list[Json]:
    """Return the card's `configs`: the tables and images of each split.

    Args:
        schema: Gives tables and images their names.
        manifest: As `make_manifest` returns it; its image formats decide which files are listed.

    Returns:
        One configuration, in the form of dataset hubs; none where no record is published.
    """
    rows = published(manifest, ["split", "format"])
    splits = _splits(schema, rows)
    kinds = sorted(pc.unique(rows["format"]).to_pylist())
    images = [role.pattern(kind) for role in schema.roles for kind in kinds]
    data = [{"split": split, "path": [_table(schema, split), *images]} for split in splits]
    tables = [_table(schema, split) for split in splits]
    return [{"config_name": "default", "data_files": data, "metadata_filenames": tables}] if splits else []


def _splits(schema: Schema[Any], rows: pa.Table) -> list[str]:
    present = set(pc.unique(rows["split"]).to_pylist())
    return [split for split in schema.splits if split in present]


def _table(schema: Schema[Any], split: str) -> str:
    return f"{schema.name}-{split}.parquet"
