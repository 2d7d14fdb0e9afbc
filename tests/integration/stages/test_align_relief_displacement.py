"""Displaced roofs do not bias the ground: a simulated town seen aslant, whose map lies where it should."""

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
from raster.homography import apply_homography
from stages.align.pair import align_pair
from stages.rasters import open_pair, write_raster

pytestmark = pytest.mark.integration

SIDE, GSD = 1536, 0.5
DISPLACEMENT = (0.30, 0.15)
"""Metres east and north by which a roof is seen displaced for each metre of its height."""


def test_the_map_stays_on_the_ground_where_roofs_are_displaced(tmp_path: Path) -> None:
    frame = Frame(500_000.0, 5_200_000.0, GSD, SIDE, SIDE)
    grid = Grid("EPSG:32632", Affine(GSD, 0, frame.left, 0, -GSD, frame.top), SIDE, SIDE)
    town = SyntheticScene(5, "town")
    conditions = Conditions(seed=3, relief_displacement=DISPLACEMENT, noise=2.0)
    sides = {
        "map": render_map(town, frame, named("web-light")),
        "visible": render_image(town, frame, conditions, Textures.procedural(GSD)),
    }
    for name, image in sides.items():
        opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        write_raster(tmp_path / f"{name}.tif", grid, [opaque], {})
    with open_pair(tmp_path / "map.tif", tmp_path / "visible.tif", siblings=True) as pair:
        evidence = align_pair(pair)
    assert evidence.accepted
    lattice = np.stack(np.meshgrid(*2 * [np.linspace(0, SIDE - 1, 9)]), -1).reshape(-1, 2)
    moved = apply_homography(evidence.alignment.transform.homography, lattice) - lattice
    shift = evidence.ground.shift
    assert np.linalg.norm(moved.mean(0)) < 0.5
    # The roofs had taken the answer with them, along the displacement: to the right and, as y grows downward, up.
    x, y = moved.mean(0) - shift
    assert x > 0.7
    assert y < -0.3
