"""The columns of the manifest and of what it is made from."""

from __future__ import annotations

import pyarrow as pa

from catalog.errors import CatalogError

_AFFINE = pa.list_(pa.float64(), 6)
_HOMOGRAPHY = pa.list_(pa.float64(), 9)
_TEXT, _INT, _LONG, _REAL = pa.string(), pa.int32(), pa.int64(), pa.float64()


def _column(name: str, kind: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


PAIRS = pa.schema(
    [
        _column("pair_id", _TEXT, "unique: <point>_<site>_<row>_<column>"),
        _column("point_id", _TEXT, "sampling point"),
        _column("site_id", _TEXT, "site of that point; each has one raster pair"),
        _column("row", _INT, "row of the tile in its raster pair's grid"),
        _column("col", _INT, "column of the tile in its raster pair's grid"),
        _column("size", _INT, "width and height of both images, pixels"),
        _column("split", _TEXT, "train, val or test; null if the pair was rejected", nullable=True),
        _column("verdict", _TEXT, "accepted or rejected; only accepted pairs are published"),
        _column("reasons", pa.list_(_TEXT), "why it was rejected, one sentence a failed rule; empty if accepted"),
        _column("format", _TEXT, "png, jpeg, webp (one file an image) or npy (pixels in the Zarr store only)"),
        _column("map_digest", _TEXT, "BLAKE3 of the map image's file; of its pixels (C order) if format is npy"),
        _column("visible_digest", _TEXT, "the same of the visible image"),
        _column("map_bytes", _LONG, "size of what map_digest was taken of"),
        _column("visible_bytes", _LONG, "size of what visible_digest was taken of"),
        _column("crs", _TEXT, "native coordinate reference system of the pair's grid: authority code or WKT"),
        _column("transform", _AFFINE, "affine (a, b, c, d, e, f) of the pair's grid in crs, GDAL corner convention"),
        _column("gsd", _REAL, "metres on the ground per pixel"),
        _column(
            "homography",
            _HOMOGRAPHY,
            "3x3 row-major, pixels of the map raster -> pixels of the visible raster, (0, 0) the centre of the first "
            "pixel; the pair was cut through it, so its two images lie on each other by the identity",
        ),
        _column(
            "residual_px", _REAL, "residual of that homography, pixels of the visible raster; null if unknown", True
        ),
        _column("inliers", _INT, "tie points that support it; null if unknown", True),
        _column("method", _TEXT, "how the rasters were aligned"),
        _column("map_source", _TEXT, "where the map came from"),
        _column("map_licence", _TEXT, "licence of the map"),
        _column("map_attribution", _TEXT, "what to print beside the map"),
        _column("map_date", _TEXT, "date of the map; empty if unknown"),
        _column("map_raster", _TEXT, "BLAKE3 of the raster the map image was cut from"),
        _column("visible_source", _TEXT, "where the visible image came from"),
        _column("visible_licence", _TEXT, "licence of the visible image"),
        _column("visible_attribution", _TEXT, "what to print beside the visible image"),
        _column("visible_date", _TEXT, "date of the visible image; empty if unknown"),
        _column("visible_raster", _TEXT, "BLAKE3 of the raster the visible image was cut from"),
        _column("geometry", pa.binary(), "footprint: WKB polygon in WGS84, longitude then latitude"),
    ]
)
"""One row a pair, as it is handed to the catalog."""

_BBOX = pa.struct([pa.field(name, _REAL, nullable=False) for name in ("xmin", "ymin", "xmax", "ymax")])

DERIVED = pa.schema(
    [
        _column("map_path", _TEXT, "place of the map image in the folder layout; null if it has no file", True),
        _column("visible_path", _TEXT, "place of the visible image in the folder layout; null if it has no file", True),
        _column("zarr_index", _INT, "position in the arrays of the Zarr store; null if rejected", True),
        _column("bbox", _BBOX, "bounds of geometry; xmin > xmax where it crosses the antimeridian"),
    ]
)
"""Columns the catalog adds."""

MANIFEST = pa.schema([*PAIRS, *DERIVED])
"""`manifest.parquet`: one row a pair, ordered by (point_id, site_id, row, col)."""

SOURCES = pa.schema(
    [
        _column("pair_id", _TEXT, "as in PAIRS"),
        _column("map_file", _TEXT, "file that holds the map image"),
        _column("visible_file", _TEXT, "file that holds the visible image"),
        _column("index", _INT, "of the image in the file's array if the format is npy, else 0"),
    ]
)
"""Where the pixels are now, relative to nothing or to the folder the caller names."""


def conform(table: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """Return `table` with exactly the columns of `schema`, in its order and types; CatalogError names misfits."""
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise CatalogError(f"{what} lacks the columns {', '.join(missing)}; make it with catalog.schema")
    for field in schema:
        column = table.column(field.name)
        if not field.nullable and column.null_count:
            raise CatalogError(f"{what} has {column.null_count} rows without {field.name!r}; every pair must have one")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise CatalogError(f"{what} has a column of the wrong type: {error}") from error


def markdown() -> str:
    """Return the manifest's columns as a Markdown table."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for field in MANIFEST:
        description = (field.metadata or {})[b"description"].decode()
        lines.append(f"| `{field.name}` | `{_kind(field.type)}` | {description} |")
    return "\n".join(lines)


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.value_type}[{kind.list_size}]"
    if pa.types.is_list(kind):
        return f"{kind.value_type}[]"
    if pa.types.is_struct(kind):
        return "struct<" + ", ".join(field.name for field in kind) + ">"
    return str(kind)
