"""A table of pairs without pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import shapely

from catalog.pairs import SCHEMA

MakePairs = Callable[..., pa.Table]


def make_row(point: str, site: str, row: int, col: int, **changes: Any) -> dict[str, Any]:
    west, north = int(point) + col * 0.01, 40 - row * 0.01
    record: dict[str, Any] = {
        "pair_id": f"{point}_{site}_{row:04d}_{col:04d}",
        "point_id": point,
        "site_id": site,
        "row": row,
        "col": col,
        "size": 512,
        "split": "train",
        "verdict": "accepted",
        "reasons": [],
        "format": "png",
        "crs": "EPSG:3857",
        "transform": [1.0, 0.0, 0.0, 0.0, -1.0, 0.0],
        "gsd": 1.0,
        "homography": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "residual_px": None,
        "predicted_px": None,
        "stratum": "",
        "inliers": None,
        "method": "georeference",
        "operators": [],
        "operator_px": [],
        "geometry": shapely.to_wkb(shapely.box(west, north - 0.01, west + 0.01, north)),
    }
    for side in ("map", "visible"):
        record |= {
            f"{side}_digest": "0" * 64,
            f"{side}_bytes": 1000,
            f"{side}_nodata": 0.0,
            f"{side}_source": "service",
            f"{side}_licence": "CC0-1.0",
            f"{side}_attribution": "someone",
            f"{side}_date": "2024",
            f"{side}_raster": "1" * 64,
        }
    return record | changes


@pytest.fixture
def make_pairs() -> MakePairs:
    """Return a function: dicts of changes (with point, site, row, col) -> table of pairs."""

    def make(*rows: dict[str, Any]) -> pa.Table:
        return pa.Table.from_pylist([make_row(**row) for row in rows], SCHEMA.columns)

    return make
