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
from raster.homography import FloatArray, apply_homography
from raster.image import Image
from stages.align.features import learned_features
from stages.align.judging import judge_answer
from stages.align.limits import DEFAULTS
from stages.align.pair import align_pair
from stages.align.passes import measure_closely, measure_roughly
from stages.rasters import open_pair, write_raster

pytestmark = pytest.mark.integration

SIDE, GSD = 1536, 0.5

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


def lattice_errors(homography: FloatArray) -> FloatArray:
    """Return how far a homography moves each of 9 x 9 places (81, 2), whose true one is the identity."""
    lattice = np.stack(np.meshgrid(*2 * [np.linspace(0, SIDE - 1, 9)]), -1).reshape(-1, 2)
    return apply_homography(homography, lattice) - lattice


def test_the_map_stays_on_the_ground_where_roofs_are_displaced(tmp_path: Path) -> None:
    conditions = Conditions(seed=3, relief_displacement=DISPLACEMENT, noise=2.0)
    town, frame = SyntheticScene(5, "town"), frame_of(SIDE)
    write(
        tmp_path,
        render_map(town, frame, named("web-light")),
        render_image(town, frame, conditions, Textures.procedural(GSD)),
    )
    with open_pair(tmp_path / "map.tif", tmp_path / "visible.tif", siblings=True) as pair:
        evidence = align_pair(pair)
    assert evidence.accepted, evidence.alignment.reason
    errors = lattice_errors(evidence.alignment.transform.homography)
    assert np.linalg.norm(errors.mean(0)) < 1.0
    assert np.linalg.norm(errors, axis=1).max() < 2.5
    # All of the map compared by gradients goes with the roofs: to the right and, as y grows downward, up.
    rough = next(answer for answer in evidence.others if answer.step == "rough")
    x, y = lattice_errors(rough.homography).mean(0)
    assert x > 0.7
    assert y < -0.3


def test_roofs_of_one_height_that_all_agree_are_not_taken_for_the_ground(tmp_path: Path) -> None:
    # Little ground is seen between towers: by gradients, windows of all of the map agree on roofs, 9 px off.
    conditions = Conditions(seed=1, relief_displacement=(0.25, 0.0), sun_azimuth=180.0, sun_elevation=40.0)
    city, frame = SyntheticScene(1, "city"), frame_of(SIDE)
    write(
        tmp_path,
        MapnikRenderer(city, frame, named("web-light")).render(),
        render_image(city, frame, conditions, Textures.procedural(GSD, 1)),
    )
    with open_pair(tmp_path / "map.tif", tmp_path / "visible.tif") as pair:
        rough = measure_roughly(pair, np.eye(3), DEFAULTS)
        assert rough is not None
        ground = learned_features(0.5, DEFAULTS.windows.max_building_m2 / (2 * GSD) ** 2)
        answer = measure_closely(pair, rough, ground, None)[-1]
        judged = judge_answer(pair, rough, answer, ground)
    errors = np.linalg.norm(lattice_errors(judged.homography), axis=1)
    assert len(answer.windows) > DEFAULTS.min_windows
    assert errors.max() < 5 or not any(region.accepted for region in judged.regions)
    assert np.linalg.norm(lattice_errors(rough.homography), axis=1).max() > 5
