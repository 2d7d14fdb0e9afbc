"""Synthetic landscapes: what lies in a place never depends on the window that asks."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cartography.frame import Frame
from cartography.imagery import Conditions, Textures, render_image
from cartography.opencv_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.procedural.waves import WaveField, isolines, region, sample_grid
from cartography.scene import Scene
from cartography.styles import named

pytestmark = pytest.mark.unit

CITY = (0.0, 0.0, 1000.0, 1000.0)
COAST = (0.0, 0.0, 1200.0, 1200.0)


def content(scene: Scene) -> dict[str, list[tuple[int, bytes]]]:
    """Return every layer's features as (key, geometry) in drawing order."""
    return {
        name: [(f.key, shapely.to_wkb(f.geometry)) for f in features] for name, features in scene.layers() if features
    }


def test_the_order_of_asking_changes_nothing() -> None:
    first, second = (0.0, 0.0, 300.0, 300.0), (250.0, 100.0, 600.0, 400.0)
    one, other = SyntheticScene(3, "city"), SyntheticScene(3, "city")
    forwards = content(one.window(first)), content(one.window(second))
    backwards = content(other.window(second)), content(other.window(first))
    assert forwards == backwards[::-1]


def test_seeds_differ() -> None:
    bounds = (0.0, 0.0, 300.0, 300.0)
    assert content(SyntheticScene(1, "city").window(bounds)) != content(SyntheticScene(2, "city").window(bounds))


def test_every_geometry_is_valid_and_every_key_unique_in_its_layer() -> None:
    scene = SyntheticScene(5, "mixed").window((0.0, 0.0, 900.0, 900.0))
    for name, features in scene.layers():
        assert all(f.geometry.is_valid and not f.geometry.is_empty for f in features), name
        assert len({f.key for f in features}) == len(features), name


def test_the_layers_of_a_city_are_all_there() -> None:
    scene = SyntheticScene(5, "city").window(CITY)
    for name in (
        "areas",
        "buildings",
        "roads",
        "rails",
        "waterways",
        "barriers",
        "trees",
        "contours",
        "places",
        "pois",
    ):
        assert getattr(scene, name), name
    assert any(road.bridge for road in scene.roads if road.kind != "motorway"), "rivers are bridged"


def test_no_building_and_no_car_park_stands_in_water() -> None:
    world = SyntheticScene(8, "coast")
    scene = world.window(COAST)
    water = shapely.union_all([a.geometry for a in scene.areas if a.kind == "water"])
    assert water.area > 0.05 * shapely.box(*COAST).area
    feet = [b.geometry.centroid for b in scene.buildings]
    feet += [a.geometry.centroid for a in scene.areas if a.kind == "parking"]
    assert not shapely.intersects(water, feet).any()


def test_a_window_turned_inside_out_is_refused() -> None:
    with pytest.raises(ValueError, match="left < right"):
        SyntheticScene(1).window((10.0, 0.0, 0.0, 10.0))


def test_an_unknown_landscape_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="mountain"):
        SyntheticScene(1, "desert")  # type: ignore[arg-type]


def test_isolines_of_a_circle_lie_on_it() -> None:
    points = sample_grid((-10.0, -10.0, 10.0, 10.0))
    radius = np.hypot(points[..., 0], points[..., 1])
    lines = isolines(radius, points, 6.0)
    assert len(lines) == 1
    assert lines[0].is_ring
    distance = np.hypot(*shapely.get_coordinates(lines[0]).T)
    assert np.abs(distance - 6.0).max() < 0.1
    inside = region(6.0 - radius, points, (-10.0, -10.0, 10.0, 10.0))
    assert sum(part.area for part in inside) == pytest.approx(np.pi * 36, rel=0.02)


def test_a_wave_field_has_unit_variance_and_the_gradient_it_says() -> None:
    field = WaveField(4, 300, 2000)
    points = np.random.default_rng(0).uniform(-50_000, 50_000, (4000, 2))
    assert field(points).std() == pytest.approx(1.0, abs=0.1)
    step = np.array([0.01, 0.0])
    slope = (field(points + step) - field(points - step)) / 0.02
    assert np.abs(slope - field.gradient(points)[:, 0]).max() < 1e-6


def test_images_of_blocks_equal_the_whole() -> None:
    world, frame = SyntheticScene(21, "city"), Frame(100.0, 900.0, 0.5, 560, 540)
    textures, conditions = Textures.procedural(0.5), Conditions(7, relief_displacement=(0.2, 0.1), jpeg_quality=70)
    seen = render_image(world, frame, conditions, textures)
    for block in ((0, 0, 560, 100), (37, 411, 250, 129), (500, 500, 60, 40)):
        column, row, width, height = block
        part = render_image(world, frame, conditions, textures, block)
        assert np.array_equal(part, seen[row : row + height, column : column + width])


def test_a_block_outside_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lie in"):
        render_map(SyntheticScene(1), Frame(0, 0, 1.0, 100, 100), named("plan"), (50, 50, 100, 10))
