"""The alignment that two georeferences imply."""

from __future__ import annotations

import json

import numpy as np
import pytest
from affine import Affine

from pipeline.errors import PermanentError
from raster.grid import Grid, project
from raster.homography import apply_homography
from stages.align.georeference import TOLERANCE_PX, align_by_georeference
from stages.align.result import Alignment

pytestmark = pytest.mark.unit

VISIBLE = Grid("EPSG:32632", Affine(0.5, 0, 556000, 0, -0.5, 5202000), 20000, 15000)


def mercator(width: int, height: int) -> Grid:
    """Return a map of the visible raster's north-west."""
    anywhere = Grid("EPSG:3857", Affine(1, 0, 0, 0, -1, 0), 1, 1)
    west, north = anywhere.to_world(project([[0, 0]], VISIBLE, anywhere))[0]
    return Grid("EPSG:3857", Affine(0.8, 0, west, 0, -0.8, north), width, height)


def test_across_crss_every_place_is_within_tolerance() -> None:
    map_grid = mercator(18000, 14000)
    alignment = align_by_georeference(map_grid, VISIBLE)
    assert len(alignment.patches) == 20 * 15
    points = np.random.default_rng(0).uniform((0, 0), (VISIBLE.width - 1, VISIBLE.height - 1), (200, 2))
    origin = project(points, VISIBLE, map_grid)
    found = [
        apply_homography(alignment.at(*point).homography, [source])[0]
        for point, source in zip(points, origin, strict=True)
    ]
    assert np.linalg.norm(np.array(found) - points, axis=1).max() < TOLERANCE_PX


def test_in_one_crs_one_homography_is_enough_and_the_overlap_is_counted() -> None:
    left_half = Grid(VISIBLE.crs, VISIBLE.transform @ Affine.scale(2), VISIBLE.width // 4, VISIBLE.height)
    alignment = align_by_georeference(left_half, VISIBLE)
    assert not alignment.patches
    assert alignment.overlap == pytest.approx(0.5)
    assert np.allclose(alignment.transform.homography, [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    assert alignment.transform.residual_px is None, "nothing was measured"


def test_rasters_apart_are_an_error_that_says_where_they_are() -> None:
    far = Grid(VISIBLE.crs, Affine.translation(50_000, 0) @ VISIBLE.transform, 1000, 1000)
    with pytest.raises(PermanentError, match=r"do not overlap: the map covers 10\.\d+ to 10\.\d+ E, .* check"):
        align_by_georeference(far, VISIBLE)


def test_json_round_trip() -> None:
    alignment = align_by_georeference(mercator(18000, 14000), VISIBLE)
    value = json.loads(json.dumps(alignment.to_json()))
    assert Alignment.from_json(value).to_json() == value
