"""The pairs as STAC items in one stac-geoparquet table, built column by column (a JSON file each would be 121,781)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from stac_geoparquet.arrow import to_parquet

from catalog.checksums import MULTIHASH_BLAKE3
from catalog.dates import union
from catalog.manifest import published
from catalog.model import SIDES, STAC_NAME, STORE_NAME
from catalog.stac import CODE, COLLECTION_ID, FILE, PROJECTION, STAC_VERSION

IMAGE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}

_TIME = pa.timestamp("us", tz="UTC")


def write_pairs(manifest: pa.Table, release: Path, *, folders: bool, store: bool) -> None:
    """Write `stac/pairs.parquet`: one item an accepted pair.

    Assets are the two image files if the release has `folders`, and the Zarr store if it has a `store`, with the pair's
    place in it as the property `mapdata:zarr_index`.
    """
    rows = published(manifest)
    path = release / STAC_NAME / "pairs.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pairs_table(rows, folders=folders, store=store)
    batches = table.combine_chunks().to_batches(max_chunksize=16384)  # each becomes a row group
    to_parquet(pa.RecordBatchReader.from_batches(table.schema, batches), path, compression="zstd")


def pairs_table(rows: pa.Table, *, folders: bool, store: bool) -> pa.Table:
    """Return accepted rows of the manifest as a table of STAC items, in stac-geoparquet's layout."""
    rows = rows.combine_chunks()
    count = rows.num_rows
    start, end = _times(rows)
    coded = pa.array([bool(CODE.fullmatch(crs)) for crs in rows["crs"].to_pylist()], pa.bool_())
    size = rows["size"].to_numpy()
    columns: dict[str, Any] = {
        "type": _repeat("Feature", count),
        "stac_version": _repeat(STAC_VERSION, count),
        "stac_extensions": pa.array([[PROJECTION, FILE]] * count, pa.list_(pa.string())),
        "id": rows["pair_id"],
        "collection": _repeat(COLLECTION_ID, count),
        "geometry": rows["geometry"],
        "bbox": rows["bbox"],
        "links": _links(rows),
        "assets": _assets(rows, folders=folders, store=store),
        "datetime": pa.nulls(count, _TIME),
        "start_datetime": start,
        "end_datetime": end,
        "gsd": rows["gsd"],
        "proj:code": pc.if_else(coded, rows["crs"], None),
        "proj:wkt2": pc.if_else(coded, None, rows["crs"]),
        "proj:shape": pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(size, 2), pa.int32()), 2),
        "proj:transform": rows["transform"],
    }
    for name in ("point_id", "site_id", "row", "col", "split", "homography", "residual_px", "inliers", "method"):
        columns[f"mapdata:{name}"] = rows[name]
    if store:
        columns["mapdata:zarr_index"] = rows["zarr_index"]
    return pa.table(columns)


def _times(rows: pa.Table) -> tuple[pa.Array, pa.Array]:
    # A release has few sources, so few distinct pairs of dates.
    pairs = list(zip(rows["map_date"].to_pylist(), rows["visible_date"].to_pylist(), strict=True))
    intervals = {pair: union(pair) for pair in set(pairs)}
    return (
        pa.array([intervals[pair][0] for pair in pairs], _TIME),
        pa.array([intervals[pair][1] for pair in pairs], _TIME),
    )


def _links(rows: pa.Table) -> pa.Array:
    count = rows.num_rows
    item = pc.binary_join_element_wise("./items/", rows["point_id"], "_", rows["site_id"], ".json", "")
    href = np.empty(2 * count, dtype=object)
    href[0::2], href[1::2] = "./collection.json", item.to_numpy()
    links = pa.StructArray.from_arrays(
        [
            pa.array(href, pa.string()),
            pa.array(["collection", "derived_from"] * count, pa.string()),
            pa.array(["application/json", "application/geo+json"] * count, pa.string()),
        ],
        names=["href", "rel", "type"],
    )
    return pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * count + 1, 2), pa.int32()), links)


def _assets(rows: pa.Table, *, folders: bool, store: bool) -> pa.StructArray:
    count = rows.num_rows
    assets: dict[str, pa.Array] = {}
    if folders:
        kinds = pa.array([IMAGE_TYPES[name] for name in rows["format"].to_pylist()], pa.string())
        for side in SIDES:
            fields = {
                "href": pc.binary_join_element_wise("../", rows[f"{side}_path"], ""),
                "type": kinds,
                "roles": pa.array([["data"]] * count, pa.list_(pa.string())),
                "file:size": rows[f"{side}_bytes"],
                "file:checksum": pc.binary_join_element_wise(MULTIHASH_BLAKE3, rows[f"{side}_digest"], ""),
            }
            assets[side] = _struct(fields)
    if store:
        fields = {
            "href": _repeat(f"../{STORE_NAME}", count),
            "type": _repeat("application/vnd.zarr; version=3", count),
            "roles": pa.array([["data"]] * count, pa.list_(pa.string())),
        }
        assets["zarr"] = _struct(fields)
    return _struct(assets)


def _struct(fields: dict[str, Any]) -> pa.StructArray:
    arrays = [array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array for array in fields.values()]
    return pa.StructArray.from_arrays(arrays, names=list(fields))


def _repeat(value: str, count: int) -> pa.Array:
    return pa.array([value] * count, pa.string())
