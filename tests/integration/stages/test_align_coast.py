"""A raster of which two thirds are sea: what lies near the land is accepted, the open sea is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions
from cartography.opencv_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.styles import named
from raster.grid import Grid
from stages.align.pair import align_pair
from stages.rasters import open_pair, write_raster

pytestmark = pytest.mark.integration

SIDE, COAST, GSD = 2048, 700, 0.5


def test_the_land_of_a_coast_is_accepted_and_the_open_sea_is_not(tmp_path: Path) -> None:
    town, frame = SyntheticScene(5, "town"), Frame(500_000.0, 5_200_000.0, GSD, SIDE, SIDE)
    grid = Grid("EPSG:32632", Affine(GSD, 0, frame.left, 0, -GSD, frame.top), SIDE, SIDE)
    chart = render_map(town, frame, named("web-light")).copy()
    image = render_image(town, frame, Conditions(seed=3), Textures.procedural(GSD)).copy()
    coast = COAST + 60 * np.sin(np.arange(SIDE) / 150)
    sea = np.arange(SIDE)[:, None] > coast
    chart[sea] = (170, 211, 223)
    image[sea] = np.random.default_rng(0).normal((50, 80, 100), 4, (sea.sum(), 3)).astype(np.uint8)
    for name, pixels in (("map", chart), ("visible", image)):
        write_raster(tmp_path / f"{name}.tif", grid, [np.dstack([pixels, np.full((SIDE, SIDE), 255, np.uint8)])], {})
    with open_pair(tmp_path / "map.tif", tmp_path / "visible.tif", siblings=True) as pair:
        alignment = align_pair(pair).alignment
    assert alignment.verdict == "accepted", alignment.reason
    matrix = alignment.transform.homography
    for region in alignment.regions:
        left, top, right, bottom = region.bounds
        corners = np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]])
        moved = corners @ matrix.T
        if region.accepted:
            assert np.linalg.norm(moved[:, :2] / moved[:, 2:] - corners[:, :2], axis=1).max() < 2.5
        else:
            assert top > COAST  # the land is accepted
    assert any(region.accepted for region in alignment.regions)
    assert all(not region.accepted for region in alignment.regions if region.bounds[1] > COAST + 750)
    assert any(not region.accepted for region in alignment.regions)
