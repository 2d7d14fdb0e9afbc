"""Ground truth over whole worlds: corners and crossings of the disturbed map lie where the field says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString

from cartography.frame import Frame
from cartography.hashing import generator
from cartography.misregistration import MisregisteredSource, Misregistration, random_homography
from cartography.procedural import SyntheticScene
from cartography.scene import Road, Scene

pytestmark = pytest.mark.unit

SIZE = 384
FRAME = Frame(2000.0, 1500.0, 1.25, SIZE, SIZE)
WORLDS = [SyntheticScene(n, "town") for n in range(3)]
SEEDS = st.integers(0, 2**32)


def _disturbance(seed: int, warp_px: float = 2.0, feature_px: float = 0.0) -> Misregistration:
    homography = random_homography(generator(seed), SIZE, 12, 1.15, 0.04, 1e-4)
    return Misregistration(homography, warp_px=warp_px, feature_px=feature_px, seed=seed)


def _at(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The field at fractional map pixels, bilinearly."""
    x, y = (points[:, i].astype(np.float32)[None] for i in (0, 1))
    return cv2.remap(field.astype(np.float32), x, y, cv2.INTER_LINEAR)[0]


@settings(max_examples=3, deadline=None)
@given(seed=SEEDS)
def test_building_corners_and_road_crossings_of_a_world_agree_with_the_field(seed: int) -> None:
    misregistration = _disturbance(seed, feature_px=1.5)
    world = WORLDS[seed % 3]
    ground = {(b.key): b for b in world.window(FRAME.bounds).buildings}
    field = misregistration.visible_pixels(SIZE, SIZE)
    mapped = MisregisteredSource(world, FRAME, misregistration).window(FRAME.bounds)
    checked = 0
    for building in mapped.buildings:
        if building.key not in ground:
            continue
        p = FRAME.to_pixels(shapely.get_coordinates(building.geometry))
        v = FRAME.to_pixels(shapely.get_coordinates(ground[building.key].geometry))
        v = v + misregistration.feature_offsets(np.array([building.key], np.uint64))
        inside = ((p >= 0) & (p <= SIZE - 1)).all(axis=1)
        if inside.any():
            assert np.abs(_at(field, p[inside]) - v[inside]).max() < 0.1
            checked += int(inside.sum())
    assert checked > 20
    assert _check_crossings(world, mapped, field) > 3


def _check_crossings(world: SyntheticScene, mapped: Scene, field: np.ndarray) -> int:
    ground = {road.key: road.geometry for road in world.window(FRAME.grown(60).bounds).roads}
    roads = [road for road in mapped.roads if road.key in ground]
    checked = 0
    for n, one in enumerate(roads):
        for other in roads[n + 1 :]:
            here = shapely.intersection(one.geometry, other.geometry)
            there = shapely.intersection(ground[one.key], ground[other.key])
            if here.geom_type != "Point" or there.geom_type != "Point" or here.is_empty or there.is_empty:
                continue
            p = FRAME.to_pixels(shapely.get_coordinates(here))
            if ((p >= 0) & (p <= SIZE - 1)).all():
                assert np.abs(_at(field, p) - FRAME.to_pixels(shapely.get_coordinates(there))).max() < 0.1
                checked += 1
    return checked


def test_networks_stay_connected_and_attributes_stay() -> None:
    line = LineString([(2000, 1400), (2200, 1400)])
    scene = Scene(FRAME.bounds, roads=(Road(line, "primary", 9.0, 1, name="A"), Road(line.reverse(), "path", 2.0, 2)))
    moved = _disturbance(6, feature_px=4.0).apply(scene, FRAME)
    first, second = (shapely.get_coordinates(road.geometry) for road in moved.roads)
    assert np.allclose(first[0], second[-1])
    assert (moved.roads[0].name, moved.roads[0].kind, moved.roads[0].width) == ("A", "primary", 9.0)
