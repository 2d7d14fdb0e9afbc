"""Verdicts on raster pairs that cannot be given."""

from __future__ import annotations

from pathlib import Path

import pytest
from affine import Affine

from raster.grid import Grid
from raster.manual.verdict import PointLimits
from review.documents import Document
from review.errors import Refused
from review.settling import settled
from review.sites import Side, Site

pytestmark = pytest.mark.unit


def test_what_is_not_aligned_yet_cannot_be_rejected() -> None:
    grid = Grid("EPSG:32632", Affine(0.5, 0, 5e5, 0, -0.5, 5.2e6), 900, 900)
    sides = {side: Side(Path(f"{side}.tif"), side, grid) for side in ("map", "visible")}
    site = Site("001/1", sides, "pending", "", None, {}, {})
    with pytest.raises(Refused, match="not aligned yet"):
        settled(site, Document(), {"verdict": "rejected", "reason": "poor map"}, "Ada", PointLimits(), {})
