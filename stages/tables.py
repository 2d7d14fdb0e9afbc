"""The tables that stages pass to each other: their Arrow schemas, column by column, and how they are written.

Every table is Parquet; the same rows give the same bytes. Paths are POSIX and relative to the workspace. Digests are
BLAKE3, 64 hexadecimal digits. Affine transforms are (a, b, c, d, e, f), GDAL's corner convention. Homographies are
9 float64, row-major, map raster -> visible raster, in full-resolution pixel coordinates (centre convention).
Geometries are WKB polygons in WGS84 (longitude, latitude).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import PermanentError
from pipeline.files import atomic_path
from pipeline.stage import Output, RunView

SITES = pa.schema(
    [
        ("point_id", pa.string()),  # "001"
        ("site_id", pa.string()),  # "1"
        ("lon", pa.float64()),  # of the centre, degrees
        ("lat", pa.float64()),
        ("stratum", pa.string()),  # what kind of place it is ("city", "forest"); "" if not stratified
        ("width", pa.int32()),  # px at gsd
        ("height", pa.int32()),
        ("gsd", pa.float64()),  # metres on the ground per pixel
        ("geometry", pa.binary()),
    ]
)
"""`sample/sites.parquet`: one row a site, ordered by (point_id, site_id)."""

PAIRS = pa.schema(
    [
        ("pair_id", pa.string()),  # "001_1_0003_0007": point, site, row, column
        ("point_id", pa.string()),
        ("site_id", pa.string()),
        ("row", pa.int32()),
        ("col", pa.int32()),
        ("size", pa.int32()),  # width and height of the tile, px
        ("format", pa.string()),  # png | jpeg | webp: one file a tile; npy: one (N, size, size, 3) uint8 array a unit
        ("map_path", pa.string()),
        ("visible_path", pa.string()),
        ("index", pa.int32()),  # of the tile in the array if format is npy, else 0
        ("map_digest", pa.string()),  # of the file's bytes; of the tile's pixels (C order) if format is npy
        ("visible_digest", pa.string()),
        ("map_bytes", pa.int64()),  # encoded size
        ("visible_bytes", pa.int64()),
        ("crs", pa.string()),  # of the tile: "EPSG:3857" or WKT
        ("transform", pa.list_(pa.float64(), 6)),  # of the tile
        ("geometry", pa.binary()),  # footprint of the tile
        ("homography", pa.list_(pa.float64(), 9)),  # the one the tile was cut by
        ("residual_px", pa.float64()),  # of that homography; null if unknown
        ("predicted_px", pa.float64()),  # 95% bound of the error of its corners; null if unknown
        ("inliers", pa.int32()),  # null if unknown
        ("method", pa.string()),  # of the alignment
        ("map_nodata", pa.float32()),  # share of pixels without data, 0 to 1
        ("visible_nodata", pa.float32()),
        # What follows is measured on a thumbnail of 64 x 64 px (area average), grey levels 0 to 255, over its pixels
        # with data.
        ("map_edges", pa.float32()),  # share whose gradient exceeds 16 levels a thumbnail pixel
        ("map_entropy", pa.float32()),  # of the grey levels in 32 bins, bits
        ("map_std", pa.float32()),  # of the grey levels
        ("map_dominant", pa.float32()),  # share of the commonest colour: blank paper, or filling in place of imagery
        ("visible_std", pa.float32()),
        ("visible_brightness", pa.float32()),  # mean grey level
        ("visible_saturation", pa.float32()),  # mean of (max - min) / max over the channels, 0 to 1
        ("visible_bright", pa.float32()),  # share that is bright and colourless: cloud, snow or white filling
        ("visible_dominant", pa.float32()),
        ("map_hash", pa.uint64()),  # perceptual hash: signs of the 8 x 8 lowest frequencies of the cosine transform
        ("visible_hash", pa.uint64()),
    ]
)
"""`tiles/<point>/<site>/rows-<first row>.parquet`: one row a pair, ordered by (row, col)."""

CLEAN = pa.schema(
    [
        ("pair_id", pa.string()),
        ("verdict", pa.string()),  # accepted | rejected
        ("reasons", pa.list_(pa.string())),  # one sentence a rule that the pair fails; empty if accepted
        ("review", pa.string()),  # a person's verdict on this pair that is in force: keep | reject; null without
        ("operator", pa.string()),  # whose it is
    ]
)
"""`clean/clean.parquet`: one row a pair, ordered by pair_id."""

SPLIT = pa.schema(
    [
        ("pair_id", pa.string()),
        ("point_id", pa.string()),
        ("cluster", pa.string()),  # smallest point_id of the points that must stay together
        ("split", pa.string()),  # train | val | test
    ]
)
"""`split/split.parquet`: one row a pair, rejected ones included, ordered by pair_id."""

_PARTS = 256
"""Tables that are joined at a time: one of a few rows takes many times the memory of its rows."""


def write_table(path: Path, rows: Sequence[Mapping[str, Any]] | pa.Table, schema: pa.Schema) -> None:
    """Write a table as Parquet, atomically.

    Args:
        path: Where to; its folder is made if missing.
        rows: A table, or a mapping a row; a column that a mapping lacks is null.
        schema: One of this module's; it decides order and types of columns.
    """
    table = rows.cast(schema) if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def pair_tables(run: RunView) -> list[Output]:
    """Return the tables of pairs that the stage `tile` wrote, in the order of its units."""
    made = (entry for result in run.read("tile").values() for entry in result.outputs)
    return [entry for entry in made if entry.path.endswith(".parquet")]


def read_tables(paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read tables of one schema one after the other.

    Args:
        paths: Files, in the order of the result; none gives an empty table.
        schema: One of this module's.
        columns: Names of columns to read; None reads all.

    Raises:
        PermanentError: A file is absent or damaged; the message names it.
    """
    wanted = pa.schema([schema.field(name) for name in columns]) if columns is not None else schema
    joined, parts = [wanted.empty_table()], []
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                parts.append(file.read(wanted.names, use_threads=False).select(wanted.names).cast(wanted))
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise PermanentError(f"{path}: cannot read this table ({error}); delete it and run again") from error
        if len(parts) == _PARTS:
            joined.append(pa.concat_tables(parts).combine_chunks())
            parts = []
    return pa.concat_tables([*joined, *parts])
