"""The sea lies to the right of every coastline, and world-wide polygons are cut to the domain of the projection."""

from __future__ import annotations

import logging
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, Polygon

from cartography.coastline import sea
from cartography.domain import within_domain
from cartography.osm import read_scene

pytestmark = pytest.mark.unit

AREA = (0.0, 0.0, 100.0, 100.0)
ISLAND = [(30.0, 30.0), (60.0, 30.0), (60.0, 60.0), (30.0, 60.0), (30.0, 30.0)]


def water(*lines: list[tuple[float, float]]) -> shapely.Geometry:
    return shapely.union_all(sea([LineString(line) for line in lines], AREA).polygons)


def test_the_sea_is_on_the_right_of_an_open_coastline() -> None:
    north, south = [(40.0, 0.0), (40.0, 100.0)], [(40.0, 100.0), (40.0, 0.0)]
    assert water(north).equals(shapely.box(40, 0, 100, 100))
    assert water(south).equals(shapely.box(0, 0, 40, 100))


def test_the_sea_surrounds_an_island_and_fills_an_inland_sea() -> None:
    island = Polygon(ISLAND)
    assert water(ISLAND).equals(shapely.box(*AREA).difference(island))
    assert water(ISLAND[::-1]).equals(island)


def test_a_coast_with_an_island_off_it() -> None:
    expected = shapely.box(20, 0, 100, 100).difference(Polygon(ISLAND))
    assert water([(20.0, -5.0), (20.0, 105.0)], ISLAND).equals(expected)


def test_pieces_of_a_coastline_are_one() -> None:
    pieces = [[(40.0, 50.0), (40.0, 100.0)], [(40.0, 0.0), (40.0, 30.0)], [(40.0, 30.0), (40.0, 50.0)]]
    assert water(*pieces).equals(shapely.box(40, 0, 100, 100))


def test_a_coastline_that_ends_inside_the_data_runs_on_to_its_border() -> None:
    polygons, loose_ends = sea([LineString([(40.0, 0.0), (40.0, 80.0)])], AREA)
    assert loose_ends == 1
    assert shapely.union_all(polygons).equals(shapely.box(40, 0, 100, 100))


def test_without_coastlines_there_is_no_sea() -> None:
    assert sea([], AREA) == ([], 0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_random_coast_parts_land_from_sea(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.concatenate([[0.0], np.sort(rng.uniform(1, 99, 12)), [100.0]])
    x = rng.uniform(20, 80, len(y))
    line = LineString(np.stack([x, y], axis=1))
    polygons, loose_ends = sea([line], AREA)
    right = Polygon([*line.coords, (100.0, 100.0), (100.0, 0.0)])
    assert loose_ends == 0
    assert shapely.union_all(polygons).symmetric_difference(right).area < 1e-6


@pytest.mark.parametrize("closed", [False, True])
def test_a_file_with_a_coastline_has_a_sea(tmp_path: Path, closed: bool, caplog: pytest.LogCaptureFixture) -> None:
    coast = Polygon([(500, 500), (900, 500), (900, 900), (500, 900)]).exterior if closed else [(600, 0), (600, 1200)]
    shapes = [LineString(coast), *(shapely.box(x, y, x + 10, y + 10) for x in (0, 1190) for y in (0, 1190))]
    moved = [shapely.transform(shape, lambda points: points + np.array([500_000, 5_900_000])) for shape in shapes]
    tags = {"natural": ["coastline"] + [None] * 4, "building": [None] + ["yes"] * 4}
    geopandas.GeoDataFrame(tags, geometry=moved, crs="EPSG:32632").to_file(tmp_path / "coast.gpkg", layer="things")
    with caplog.at_level(logging.WARNING):
        scene = read_scene(tmp_path / "coast.gpkg", "EPSG:32632")
    area = sum(each.geometry.area for each in scene.areas if each.kind == "water")
    assert area == pytest.approx(1200**2 - 400**2 if closed else 1200 * 600, rel=1e-6)
    assert not caplog.records


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_a_polygon_of_all_the_world_covers_what_it_covers_there(tmp_path: Path, crs: str) -> None:
    globe = shapely.box(-180, -84, 180, 84)
    hole = shapely.box(8.9, 49.9, 9.1, 50.1)
    frame = geopandas.GeoDataFrame({"natural": ["water"]}, geometry=[globe.difference(hole)], crs="EPSG:4326")
    frame.to_crs(crs).to_file(tmp_path / "world.gpkg", layer="sea")
    scene = read_scene(tmp_path / "world.gpkg", "EPSG:32632")
    (area,) = scene.areas
    to_utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True)
    for lon, lat, covered in ((9.0, 50.0, False), (9.0, 50.2, True), (6.5, 47.0, True), (11.9, 55.0, True)):
        assert area.geometry.contains(shapely.Point(to_utm.transform(lon, lat))) is covered


def test_what_lies_in_the_domain_is_left_as_it_is() -> None:
    shapes = np.array([shapely.box(8, 50, 9, 51), shapely.box(100, 0, 101, 1)], object)
    inside, outside = within_domain(shapes, "EPSG:4326", pyproj.CRS("EPSG:32632"))
    assert inside is shapes[0]
    assert outside.is_empty


def test_a_zone_at_the_antimeridian_has_a_domain_on_both_sides() -> None:
    shapes = np.array([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1), shapely.box(0, 0, 1, 1)], object)
    west, east, far = within_domain(shapes, "EPSG:4326", pyproj.CRS("EPSG:32601"))
    assert west is shapes[0]
    assert east is shapes[1]
    assert far.is_empty
