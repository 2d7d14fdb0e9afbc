"""Raster pairs and pairs as STAC items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.dates import union
from catalog.model import About, Json, Placed
from catalog.pairs.model import SIDES, RasterPair
from catalog.stac import (
    CODE,
    FILE,
    PROCESSING,
    PROJECTION,
    RENDER,
    THUMBNAILS,
    make_asset,
    make_item,
    projection,
    time_properties,
)

_PAIR_FACTS = (
    *("point_id", "site_id", "row", "col", "split", "homography"),
    *("residual_px", "predicted_px", "inliers", "method"),
    *("review", "reviewed_by", "operators", "operator_px", "inter_operator_px"),
    *("map_nodata", "visible_nodata", "stratum"),
)
_TITLES = {"map": "Electronic map", "visible": "Visible image"}


def raster_pair_item(pair: RasterPair, counts: Mapping[str, int], files: Iterable[Placed], about: About) -> Json:
    """Return the Item of a raster pair.

    Args:
        pair: The rasters, their alignment and where they lie.
        counts: Its pairs by split, and the rejected ones under "rejected".
        files: Those of the release that go with it; a raster's asset is named by its stem, others by file name. May be
            none.
        about: Gives the title of the dataset and the versions of the software.
    """
    assets = {_asset_name(file): file for file in files}
    has_rasters = all(side in assets for side in SIDES)
    properties: Json = {
        **time_properties(union([pair.map.date, pair.visible.date])),
        "gsd": pair.gsd,
        **projection(pair.visible.crs),
        "proj:shape": [pair.visible.height, pair.visible.width],
        "proj:transform": list(pair.visible.transform),
        "processing:software": dict(about.software),
        "processing:lineage": (
            f"map and visible raster acquired, aligned by {pair.method}, cut into pairs of tiles through one homography"
        ),
        "mapdata:point_id": pair.point_id,
        "mapdata:site_id": pair.site_id,
        "mapdata:stratum": pair.stratum,
        "mapdata:homography": np.reshape(pair.homography, (3, 3)).tolist(),
        "mapdata:residual_px": pair.residual_px,
        "mapdata:inliers": pair.inliers,
        "mapdata:method": pair.method,
        "mapdata:review": pair.review or None,
        "mapdata:reviewed_by": pair.reviewed_by or None,
        "mapdata:operators": list(pair.operators),
        "mapdata:operator_px": list(pair.operator_px),
        "mapdata:inter_operator_px": pair.inter_operator_px,
        **({"mapdata:regions": dict(pair.regions)} if pair.regions else {}),
        "mapdata:pairs": {name: counts.get(name, 0) for name in ("train", "val", "test", "rejected")},
    }
    if has_rasters:
        properties["renders"] = {
            side: {"title": _TITLES[side], "assets": [side], "rescale": [[0, 255]] * 3, "resampling": "bilinear"}
            for side in SIDES
        }
    extensions = [PROJECTION, *([RENDER] if has_rasters else []), FILE, PROCESSING]
    made = {name: _asset(name, file, pair) for name, file in assets.items()}
    return make_item(pair.id, pair.footprint, properties, made, extensions, about.title)


def _asset_name(file: Placed) -> str:
    path = Path(file.path)
    if file.path.startswith(f"{THUMBNAILS}/"):
        return "thumbnail"
    return path.stem if path.suffix == ".tif" else path.name


def count_by_raster_pair(manifest: pa.Table) -> dict[str, Counter[str]]:
    """Return for each raster pair its number of pairs by split, rejected ones under "rejected"."""
    grouped = manifest.group_by(["point_id", "site_id", "split"]).aggregate([([], "count_all")])
    counts: dict[str, Counter[str]] = {}
    for row in grouped.to_pylist():
        pair = counts.setdefault(f"{row['point_id']}_{row['site_id']}", Counter())
        pair[row["split"] or "rejected"] += row["count_all"]
    return counts


def pair_fields(rows: pa.Table) -> dict[str, Any]:
    """Return what the table of STAC items says of pairs, column by column."""
    coded = pa.array([bool(CODE.fullmatch(crs)) for crs in rows["crs"].to_pylist()], pa.bool_())
    size = rows["size"].to_numpy()
    columns = {
        "gsd": rows["gsd"],
        "proj:code": pc.if_else(coded, rows["crs"], None),
        "proj:wkt2": pc.if_else(coded, None, rows["crs"]),
        "proj:shape": pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(size, 2), pa.int32()), 2),
        "proj:transform": rows["transform"],
    }
    for name in _PAIR_FACTS:
        columns[f"mapdata:{name}"] = rows[name]
    return columns


def _asset(name: str, file: Placed, pair: RasterPair) -> Json:
    raster = pair.sides.get(name)
    if raster is None:
        return make_asset(file)
    facts = {
        "title": _TITLES[name],
        "roles": ["data"],
        **projection(raster.crs),
        "proj:shape": [raster.height, raster.width],
        "proj:transform": list(raster.transform),
        "data_type": "uint8",
        "bands": [{"name": name} for name in ("red", "green", "blue")],
        "mapdata:source": raster.source,
        "mapdata:licence": raster.licence,
        "mapdata:attribution": raster.attribution,
        "mapdata:date": raster.date,
        "mapdata:nodata_share": raster.nodata_share,
    }
    return make_asset(file, **facts)
