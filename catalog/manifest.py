"""The manifest: one GeoParquet 1.1 file, one row a pair, rejected ones with their reasons. All else derives from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyproj
import shapely

from catalog.errors import CatalogError
from catalog.geometry import bounds, footprints, to_wkb
from catalog.model import FOLDERS_NAME
from catalog.schema import MANIFEST, PAIRS, conform

EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
"""Format -> file suffix. The format npy has no file a tile."""

LETTERS = {"map": "L", "visible": "R"}
"""MapData's names of the two sides: L the map, R the visible image."""

_ORDER = [(name, "ascending") for name in ("point_id", "site_id", "row", "col")]


def make_manifest(pairs: pa.Table) -> pa.Table:
    """Return the manifest of a table of `catalog.schema.PAIRS`: ordered, with paths, Zarr positions and bounds added.

    Raises CatalogError for pairs that occur twice and for verdicts, splits or formats that are not known.
    """
    table = conform(pairs, PAIRS, "the table of pairs").sort_by(_ORDER).combine_chunks()
    _check(table)
    accepted = pc.equal(table["verdict"], "accepted").to_numpy(zero_copy_only=False)
    shapes = footprints(table["geometry"])
    filed = pc.and_(accepted, pc.not_equal(table["format"], "npy"))
    derived = {
        "geometry": to_wkb(shapes),
        "split": pc.if_else(accepted, table["split"], None),
        "map_path": pc.if_else(filed, layout_path(table, "map"), None),
        "visible_path": pc.if_else(filed, layout_path(table, "visible"), None),
        "zarr_index": pa.array(np.cumsum(accepted) - 1, pa.int32(), mask=~accepted),
        "bbox": _boxes(bounds(shapes)),
    }
    columns = [derived.get(name, table[name] if name in PAIRS.names else None) for name in MANIFEST.names]
    return pa.table(columns, schema=MANIFEST)


def layout_path(table: pa.Table, side: str) -> pa.ChunkedArray:
    """Return where an image belongs in the MapData layout: MapData/001/1/L/001_1_0003_0007.png."""
    suffix = pa.array([EXTENSIONS.get(name, "") for name in table["format"].to_pylist()], pa.string())
    folder = pc.binary_join_element_wise(FOLDERS_NAME, table["point_id"], table["site_id"], LETTERS[side], "/")
    file = pc.binary_join_element_wise(table["pair_id"], suffix, ".")
    return pc.binary_join_element_wise(folder, file, "/")


def write_manifest(manifest: pa.Table, path: Path) -> None:
    """Write a manifest as GeoParquet 1.1: the same rows give the same bytes."""
    geo = json.dumps(_geo_metadata(manifest), sort_keys=True)
    table = manifest.replace_schema_metadata({"geo": geo})
    pq.write_table(table, path, compression="zstd", row_group_size=16384, store_schema=True)


def read_manifest(path: Path) -> pa.Table:
    """Read a manifest. Raises CatalogError if it is absent, damaged or of another schema."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise CatalogError(f"{path}: no readable manifest ({error}); build the release again") from error
    return conform(table, MANIFEST, str(path))


def published(manifest: pa.Table) -> pa.Table:
    """Return the rows of the accepted pairs, in the order of the Zarr store."""
    return manifest.filter(pc.equal(manifest["verdict"], "accepted"))


def _check(table: pa.Table) -> None:
    counts = pc.value_counts(table["pair_id"])
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
    if repeated:
        raise CatalogError(
            f"{len(repeated)} pair_ids occur more than once, such as {repeated[0]!r}; each must be unique"
        )
    rules: dict[str, set[str | None]] = {
        "verdict": {"accepted", "rejected"},
        "split": {"train", "val", "test", None},
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
        raise CatalogError(f"{unsplit} accepted pairs have no split; give each train, val or test")


def _boxes(boxes: np.ndarray[Any, np.dtype[np.float64]]) -> pa.Array:
    kind = MANIFEST.field("bbox").type
    return pa.StructArray.from_arrays([pa.array(boxes[:, index]) for index in range(4)], fields=list(kind))


def _geo_metadata(manifest: pa.Table) -> dict[str, Any]:
    boxes = np.array(
        [pc.struct_field(manifest["bbox"], [name]).to_numpy() for name in ("xmin", "ymin", "xmax", "ymax")]
    )
    covering = {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}
    geometry: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted({shape.geom_type for shape in shapely.from_wkb(manifest["geometry"].to_numpy())}),
        "crs": pyproj.CRS.from_user_input("OGC:CRS84").to_json_dict(),
        "covering": {"bbox": covering},
    }
    if manifest.num_rows:
        crossing = bool((boxes[0] > boxes[2]).any())
        west, east = (-180.0, 180.0) if crossing else (boxes[0].min(), boxes[2].max())
        geometry["bbox"] = [float(value) for value in (west, boxes[1].min(), east, boxes[3].max())]
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
