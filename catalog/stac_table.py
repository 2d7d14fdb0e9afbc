"""The records as STAC items in one stac-geoparquet table, built column by column (not a JSON file each)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from stac_geoparquet.arrow import to_parquet

from catalog.checksums import MULTIHASH_BLAKE3
from catalog.dates import union
from catalog.manifest import published_batches
from catalog.model import IMAGE_TYPES, STORE_NAME
from catalog.schema import Schema
from catalog.stac import COLLECTION_ID, FILE, NO_DATE, STAC_VERSION, ZARR, table_path

_TIME = pa.timestamp("us", tz="UTC")


def write_table(schema: Schema[Any], manifest: pa.Table, release: Path, *, folders: bool, store: bool) -> None:
    """Write one item an accepted record.

    Args:
        schema: Of the release.
        manifest: Of the release.
        release: Its folder.
        folders: Whether the image files are published: each is an asset.
        store: Whether the Zarr store is: it is an asset, and `mapdata:zarr_index` the record's place in it.
    """
    path = release / table_path(schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = _items(schema, manifest.slice(0, 0), folders=folders, store=store).schema
    batches = (
        batch  # each becomes a row group
        for rows in published_batches(manifest)
        for batch in _items(schema, rows, folders=folders, store=store).to_batches()
    )
    to_parquet(pa.RecordBatchReader.from_batches(columns, batches), path, compression="zstd")


def _items(schema: Schema[Any], rows: pa.Table, *, folders: bool, store: bool) -> pa.Table:
    """Return the items of accepted records, in one chunk."""
    rows = rows.combine_chunks()
    count = rows.num_rows
    known, start, end = _times(schema, rows)
    columns: dict[str, Any] = {
        "type": _repeat("Feature", count),
        "stac_version": _repeat(STAC_VERSION, count),
        "stac_extensions": pa.array([[*schema.extensions, FILE]] * count, pa.list_(pa.string())),
        "id": rows[schema.key],
        "collection": _repeat(COLLECTION_ID, count),
        "geometry": rows["geometry"],
        "bbox": rows["bbox"],
        "links": _links(schema.parents(rows), count),
        "assets": _assets(schema, rows, folders=folders, store=store),
        "datetime": pa.nulls(count, _TIME),
        "start_datetime": start,
        "end_datetime": end,
        "mapdata:date_known": known,
        **schema.record_fields(rows),
    }
    if store:
        columns["mapdata:zarr_index"] = rows["zarr_index"]
    return pa.table(columns).combine_chunks()


def _times(schema: Schema[Any], rows: pa.Table) -> tuple[pa.Array, pa.Array, pa.Array]:
    # A release has few sources, so few distinct combinations of dates.
    dates = list(zip(*(rows[f"{role}_date"].to_pylist() for role in schema.images), strict=True))
    intervals = {each: union(each) for each in set(dates)}
    spans = [intervals[each] or (NO_DATE, NO_DATE) for each in dates]
    return (
        pa.array([intervals[each] is not None for each in dates], pa.bool_()),
        pa.array([start for start, _ in spans], _TIME),
        pa.array([end for _, end in spans], _TIME),
    )


def _links(parents: pa.ChunkedArray | None, count: int) -> pa.Array:
    kinds = [("./collection.json", "collection", "application/json")]
    hrefs = [np.full(count, kinds[0][0], dtype=object)]
    if parents is not None:
        kinds.append(("", "derived_from", "application/geo+json"))
        hrefs.append(pc.binary_join_element_wise("./items/", parents, ".json", "").to_numpy())
    links = pa.StructArray.from_arrays(
        [
            pa.array(np.stack(hrefs, axis=1).ravel(), pa.string()),
            pa.array([rel for _, rel, _ in kinds] * count, pa.string()),
            pa.array([media for _, _, media in kinds] * count, pa.string()),
        ],
        names=["href", "rel", "type"],
    )
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * len(kinds), pa.int32()), links)


def _assets(schema: Schema[Any], rows: pa.Table, *, folders: bool, store: bool) -> pa.StructArray:
    count = rows.num_rows
    data = pa.array([["data"]] * count, pa.list_(pa.string()))
    assets: dict[str, pa.Array] = {}
    if folders:
        kinds = pa.array([IMAGE_TYPES[name] for name in rows["format"].to_pylist()], pa.string())
        for role in schema.images:
            fields = {
                "href": pc.binary_join_element_wise("../", rows[f"{role}_path"], ""),
                "type": kinds,
                "roles": data,
                "file:size": rows[f"{role}_bytes"],
                "file:checksum": pc.binary_join_element_wise(MULTIHASH_BLAKE3, rows[f"{role}_digest"], ""),
            }
            assets[role] = _struct(fields)
    if store:
        assets["zarr"] = _struct(
            {"href": _repeat(f"../{STORE_NAME}", count), "type": _repeat(ZARR, count), "roles": data}
        )
    return _struct(assets)


def _struct(fields: dict[str, Any]) -> pa.StructArray:
    arrays = [array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array for array in fields.values()]
    return pa.StructArray.from_arrays(arrays, names=list(fields))


def _repeat(value: str, count: int) -> pa.Array:
    return pa.array([value] * count, pa.string())
