"""The known misregistration: exact there and back, and applied to features as it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, Polygon

from cartography.frame import Frame
from cartography.misregistration import Misregistration, project, random_homography
from cartography.scene import Building, Road, Scene

pytestmark = pytest.mark.unit

FRAME = Frame(0.0, 256.0, 1.0, 256, 256)


def misregistration(seed: int, warp_px: float = 1.5, feature_px: float = 0.0) -> Misregistration:
    random = np.random.default_rng(seed)
    return Misregistration(random_homography(random, 256, 25, 1.3, 0.03, 2e-4), warp_px, 600.0, feature_px, seed)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 255), st.floats(0, 255))
def test_there_and_back(seed: int, x: float, y: float) -> None:
    known = misregistration(seed)
    visible = np.array([[x, y]])
    assert np.abs(known.to_visible(known.to_map(visible)) - visible).max() < 1e-6


def test_without_warp_it_is_the_homography() -> None:
    known = misregistration(3, warp_px=0.0)
    points = np.random.default_rng(1).uniform(0, 256, (50, 2))
    assert np.allclose(known.to_visible(points), project(known.homography, points), atol=1e-9)


def test_the_field_is_that_of_single_points_and_of_blocks() -> None:
    known = misregistration(9)
    field = known.visible_pixels(40, 30)
    assert np.allclose(field[17, 23], known.to_visible(np.array([[23.0, 17.0]]))[0], atol=1e-9)
    assert np.allclose(known.visible_pixels(10, 5, 20, 11), field[11:16, 20:30], atol=1e-9)


def test_the_warp_is_as_strong_as_it_says() -> None:
    known = misregistration(2, warp_px=2.0)
    points = np.random.default_rng(1).uniform(0, 100_000, (5000, 2))
    assert np.allclose(known.warp(points).std(axis=0), 2.0, rtol=0.1)


def test_generalisation_moves_a_building_by_the_offset_of_its_key_and_leaves_roads() -> None:
    known = Misregistration(np.eye(3), feature_px=4.0, seed=5)
    square = Polygon([(50, 50), (70, 50), (70, 70), (50, 70)])
    scene = Scene(
        (0, 0, 256, 256),
        buildings=(Building(square, "house", 5.0, "flat", 77),),
        roads=(Road(LineString([(0, 10), (240, 10)]), "residential", 6.0, 78),),
    )
    moved = known.apply(scene, FRAME)
    offset = known.feature_offsets(np.array([77], np.uint64))[0]
    assert 0 < np.abs(offset).max() <= 4.0
    centre = FRAME.to_pixels(np.array(moved.buildings[0].geometry.centroid.coords))[0]
    assert np.allclose(centre - FRAME.to_pixels(np.array([[60.0, 60.0]]))[0], offset, atol=1e-6)
    assert moved.roads[0].geometry.equals(scene.roads[0].geometry)


def test_a_long_straight_road_bends_with_the_warp() -> None:
    known = Misregistration(np.eye(3), warp_px=3.0, warp_wavelength_px=150.0, seed=2)
    scene = Scene((0, 0, 256, 256), roads=(Road(LineString([(-50, 128), (300, 128)]), "residential", 6.0, 1),))
    bent = known.apply(scene, FRAME).roads[0].geometry
    for x in np.linspace(5, 250, 40):
        place = known.to_map(FRAME.to_pixels(np.array([[x, 128.0]])))
        gap = bent.distance(LineString(np.vstack([FRAME.to_scene(place), FRAME.to_scene(place) + 1e-9])))
        assert gap / FRAME.gsd < 0.05


def test_impossible_disturbances_are_refused() -> None:
    with pytest.raises(ValueError, match="invertible"):
        Misregistration(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="fold"):
        Misregistration(np.eye(3), warp_px=20, warp_wavelength_px=50)
