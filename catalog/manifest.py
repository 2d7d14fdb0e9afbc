"""The manifest: one GeoParquet 1.1 file, one row a record, rejected ones with reasons. All else derives from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyproj
import shapely

from catalog.errors import CatalogError
from catalog.geometry import bounds, enclosing, footprints, to_wkb
from catalog.model import EXTENSIONS, MANIFEST_NAME
from catalog.schema import Role, Schema, conform
from catalog.untrusted import read_table

ROW_GROUP = 16384
"""Rows of a row group, and of what is worked on at once."""


def make_manifest(schema: Schema[Any], records: pa.Table) -> pa.Table:
    """Return the manifest of a table of `schema.columns`: ordered, with paths, Zarr positions and bounds added.

    Args:
        schema: The kind of the records.
        records: One row a record, rejected ones included, in any order; further columns are dropped.

    Raises:
        CatalogError: Records occur twice, or have verdicts, splits or formats that are not known.
    """
    table = in_order(schema, conform(records, schema.columns, f"the table of {schema.name}"))
    _check(schema, table)
    accepted = pc.equal(table["verdict"], "accepted").to_numpy(zero_copy_only=False)
    geometry, boxes = _footprints(table["geometry"])
    filed = pc.and_(accepted, pc.not_equal(table["format"], "npy"))
    derived = {
        "geometry": geometry,
        "split": pc.if_else(accepted, table["split"], None),
        **{f"{role.name}_path": pc.if_else(filed, layout_path(table, role), None) for role in schema.roles},
        "zarr_index": pa.array(np.cumsum(accepted) - 1, pa.int32(), mask=~accepted),
        "bbox": _boxes(boxes, schema.manifest.field("bbox").type),
    }
    columns = [derived[name] if name in derived else table[name] for name in schema.manifest.names]
    return pa.table(columns, schema=schema.manifest)


def in_order(schema: Schema[Any], records: pa.Table) -> pa.Table:
    """Return records in the order of the manifest; the very table, not a copy, if they are in that order.

    Args:
        schema: Names the columns that order them.
        records: One row a record, with those columns.
    """
    order = pc.sort_indices(records, [(name, "ascending") for name in schema.order])
    return records if (order.to_numpy() == np.arange(len(order))).all() else records.take(order)


def layout_path(table: pa.Table, role: Role) -> pa.ChunkedArray:
    """Return where the image of each row belongs in the release's folders: the role's template, filled in.

    Args:
        table: Rows with the columns that the role's template names, and `format`.
        role: Whose images.

    Returns:
        POSIX paths relative to the release, one a row; where the format has no file a record, the path has no suffix,
        and `make_manifest` leaves it out.
    """
    suffix = pa.array([EXTENSIONS.get(name, "") for name in table["format"].to_pylist()], pa.string())
    parts: list[Any] = []
    for literal, field, _, _ in Formatter().parse(role.path):
        parts += [literal, *([table[field].cast(pa.string())] if field else [])]
    return pc.binary_join_element_wise(*parts, ".", suffix, "")


def write_manifest(manifest: pa.Table, path: Path) -> None:
    """Write a manifest as GeoParquet 1.1: the same rows give the same bytes.

    Args:
        manifest: As `make_manifest` returns it.
        path: Where to, `MANIFEST_NAME` in the release.
    """
    geo = json.dumps(_geo_metadata(manifest), sort_keys=True)
    table = manifest.replace_schema_metadata({"geo": geo})
    pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP, store_schema=True)


def read_manifest(schema: Schema[Any], release: Path) -> pa.Table:
    """Read the manifest of a release.

    Args:
        schema: What the manifest must be of.
        release: Folder of a release, of a stranger's too.

    Raises:
        CatalogError: It is absent, damaged, of another schema, or lies outside the release.
    """
    return conform(read_table(release, MANIFEST_NAME), schema.manifest, str(release / MANIFEST_NAME))


def published(manifest: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of the accepted records, in the order of the Zarr store.

    Args:
        manifest: As `make_manifest` returns it.
        columns: Names of the columns that are wanted; the rows are copies, and those of all columns may be large.
    """
    rows = manifest if columns is None else manifest.select(list(columns))
    return rows.filter(pc.equal(manifest["verdict"], "accepted"))


def published_batches(manifest: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows of `published` in parts of some thousand, so that they need not all be copied at once."""
    for start in range(0, manifest.num_rows, ROW_GROUP):
        rows = published(manifest.slice(start, ROW_GROUP))
        if rows.num_rows:
            yield rows


def _check(schema: Schema[Any], table: pa.Table) -> None:
    counts = pc.value_counts(table[schema.key])
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
    if repeated:
        raise CatalogError(
            f"{len(repeated)} {schema.key}s occur more than once, such as {repeated[0]!r}; each must be unique"
        )
    rules: dict[str, set[str | None]] = {
        "verdict": {"accepted", "rejected"},
        "split": {*schema.splits, None},
        "format": {*EXTENSIONS, "npy"},
    }
    for name, known in rules.items():
        strange = set(pc.unique(table[name]).to_pylist()) - known
        if strange:
            raise CatalogError(
                f"column {name!r} holds {sorted(map(str, strange))}; it may hold {sorted(map(str, known))}"
            )
    unsplit = pc.sum(pc.and_(pc.equal(table["verdict"], "accepted"), pc.is_null(table["split"]))).as_py()
    if unsplit:
        raise CatalogError(f"{unsplit} accepted {schema.name} have no split; give each train, val or test")


def _geometry_types(wkb: pa.ChunkedArray) -> list[str]:
    parts = (wkb.slice(start, ROW_GROUP).to_numpy() for start in range(0, len(wkb), ROW_GROUP))
    return sorted({shape.geom_type for part in parts for shape in shapely.from_wkb(part)})


def _footprints(wkb: pa.ChunkedArray) -> tuple[pa.ChunkedArray, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return footprints as the manifest has them, and their bounds (N, 4). Not all are objects at once."""
    made, boxes = [pa.array([], pa.binary())], [np.empty((0, 4))]
    for start in range(0, len(wkb), ROW_GROUP):
        shapes = footprints(wkb.slice(start, ROW_GROUP))
        made.append(to_wkb(shapes))
        boxes.append(bounds(shapes))
    return pa.chunked_array(made), np.concatenate(boxes)


def _boxes(boxes: np.ndarray[Any, np.dtype[np.float64]], kind: pa.DataType) -> pa.Array:
    return pa.StructArray.from_arrays([pa.array(boxes[:, index]) for index in range(4)], fields=list(kind))


def _geo_metadata(manifest: pa.Table) -> dict[str, Any]:
    boxes = np.array(
        [pc.struct_field(manifest["bbox"], [name]).to_numpy() for name in ("xmin", "ymin", "xmax", "ymax")]
    )
    covering = {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}
    geometry: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": _geometry_types(manifest["geometry"]),
        "crs": pyproj.CRS.from_user_input("OGC:CRS84").to_json_dict(),
        "covering": {"bbox": covering},
    }
    if manifest.num_rows:
        geometry["bbox"] = enclosing(boxes.T)
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
