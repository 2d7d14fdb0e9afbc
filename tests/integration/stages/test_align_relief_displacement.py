"""Displaced roofs do not bias the ground: simulated places seen aslant, whose maps lie where they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions
from cartography.mapnik_renderer import MapnikRenderer
from cartography.opencv_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.styles import named
from raster.grid import Grid
from raster.homography import apply_homography
from raster.image import Image
from raster.pixels import outline
from stages.align.judging import judge_by_all
from stages.align.limits import DEFAULTS
from stages.align.pair import align_pair
from stages.align.passes import approach
from stages.rasters import open_pair, write_raster

pytestmark = pytest.mark.integration

SIDE, GSD = 1536, 0.5
LARGE = 4352
"""Side of a raster of more than 300 windows, whose averages are believed where roofs are displaced by pixels."""

DISPLACEMENT = (0.24, 0.12)
"""Metres east and north by which a roof is seen displaced for each metre of its height."""


def frame_of(side: int) -> Frame:
    return Frame(500_000.0, 5_200_000.0, GSD, side, side)


def write(folder: Path, chart: Image, visible: Image) -> None:
    """Write map.tif and visible.tif on one grid: the true homography is the identity."""
    frame = frame_of(len(chart))
    grid = Grid("EPSG:32632", Affine(GSD, 0, frame.left, 0, -GSD, frame.top), frame.width, frame.height)
    for name, image in (("map", chart), ("visible", visible)):
        opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        write_raster(folder / f"{name}.tif", grid, [opaque], {})


def test_the_map_stays_on_the_ground_where_roofs_are_displaced(tmp_path: Path) -> None:
    conditions = Conditions(seed=3, relief_displacement=DISPLACEMENT, noise=2.0)
    town, frame = SyntheticScene(5, "town"), frame_of(LARGE)
    write(
        tmp_path,
        render_map(town, frame, named("web-light")),
        render_image(town, frame, conditions, Textures.procedural(GSD)),
    )
    with open_pair(tmp_path / "map.tif", tmp_path / "visible.tif", siblings=True) as pair:
        evidence = align_pair(pair)
    assert evidence.accepted, evidence.alignment.reason
    lattice = np.stack(np.meshgrid(*2 * [np.linspace(0, LARGE - 1, 9)]), -1).reshape(-1, 2)
    moved = apply_homography(evidence.alignment.transform.homography, lattice) - lattice
    shift = evidence.ground.shift
    assert np.linalg.norm(moved.mean(0)) < 0.5
    # The roofs had taken the answer with them, along the displacement: to the right and, as y grows downward, up.
    x, y = moved.mean(0) - shift
    assert x > 0.7
    assert y < -0.3


def test_roofs_of_one_height_that_all_agree_are_not_taken_for_the_ground(tmp_path: Path) -> None:
    # Little ground is seen between towers; windows, halves and the perturbed restart agree on roofs, 9 px off.
    conditions = Conditions(seed=1, relief_displacement=(0.25, 0.0), sun_azimuth=180.0, sun_elevation=40.0)
    city, frame = SyntheticScene(1, "city"), frame_of(SIDE)
    write(
        tmp_path,
        MapnikRenderer(city, frame, named("web-light")).render(),
        render_image(city, frame, conditions, Textures.procedural(GSD, 1)),
    )
    with open_pair(tmp_path / "map.tif", tmp_path / "visible.tif") as pair:
        answers, reduce = approach(pair, np.eye(3), None, DEFAULTS)
        found = judge_by_all(pair, answers[-1], reduce, (), DEFAULTS)
    corners = outline(SIDE, SIDE)
    assert np.linalg.norm(apply_homography(found.homography, corners) - corners, axis=1).max() > 5
    assert not any(region.accepted for region in found.regions), [region.predicted_px for region in found.regions]
    assert all("all of the raster may be shifted" in region.reason for region in found.regions)
