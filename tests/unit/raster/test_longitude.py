"""Longitudes across the antimeridian, beyond 180 degrees and at the poles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PermanentError
from raster.grid import Grid, georeferenced_homography, project
from raster.longitude import ground_polygon, period, split_at_antimeridian, surrounds_pole, unwrapped, wrapped
from stages.acquire.local_grid import local_grid
from stages.acquire.source import Site, window_of
from stages.acquire.tiles import TileMatrix, TileWindow
from stages.sample.listed import SiteByBounds, SiteByRaster, site_rows

pytestmark = pytest.mark.unit

ACROSS = np.array([[179.9, -17.0], [-179.9, -17.0], [-179.9, -16.8], [179.9, -16.8]])
POLE = np.array([[-45.0, 89.9], [45.0, 89.9], [135.0, 89.9], [-135.0, 89.9]])


def site(bounds: tuple[float, float, float, float], gsd: float = 1.0) -> Site:
    (row,) = site_rows([SiteByBounds(point="1", site="1", bounds=bounds, gsd=gsd)])
    return Site.from_row(row)


@given(st.floats(-180, 180), st.integers(-3, 3))
def test_wrapped_longitudes_are_the_same_meridian(lon: float, turns: int) -> None:
    value = float(wrapped(lon + 360 * turns))
    assert -180 <= value <= 180
    assert abs((value - lon + 180) % 360 - 180) < 1e-9
    assert wrapped(lon) == lon


def test_a_ring_across_the_antimeridian_is_the_strip_between() -> None:
    polygon = ground_polygon(ACROSS)
    assert polygon.area == pytest.approx(0.04)
    parts = shapely.get_parts(split_at_antimeridian(polygon))
    assert [part.area for part in parts] == pytest.approx([0.02, 0.02])
    assert all(part.bounds[0] >= -180 and part.bounds[2] <= 180 for part in parts)


def test_a_ring_that_needs_no_change_is_left_exactly_as_it_is() -> None:
    ring = np.array([[9.1, 47.0], [9.3, 47.0], [9.3, 47.2]])
    assert np.array_equal(unwrapped(ring), ring)
    globe = shapely.get_coordinates(shapely.box(-180, -85, 180, 85))
    assert np.array_equal(unwrapped(globe), globe)


def test_a_ring_round_a_pole_is_its_cap() -> None:
    assert ground_polygon(POLE).equals(shapely.box(-180, 89.9, 180, 90))
    assert ground_polygon(POLE * [1, -1]).equals(shapely.box(-180, -90, 180, -89.9))
    assert surrounds_pole(ground_polygon(POLE))
    assert not surrounds_pole(ground_polygon(ACROSS))


@pytest.mark.parametrize(
    ("crs", "expected"),
    [
        ("EPSG:4326", 360),
        ("EPSG:3857", 40075016.7),
        ("EPSG:3832", 40075016.7),
        ("EPSG:32632", None),
        ("EPSG:3413", None),
    ],
)
def test_the_period_of_a_crs(crs: str, expected: float | None) -> None:
    assert period(crs) == (expected if expected is None else pytest.approx(expected, abs=0.1))


@pytest.mark.parametrize(
    ("bounds", "lon"),
    [
        ((179.9, -17.0, -179.9, -16.8), 180),
        ((179.9, -17.0, 180.1, -16.8), 180),
        ((190.0, -17.0, 190.2, -16.8), -169.9),
        ((-170.0, -17.0, -169.8, -16.8), -169.9),
        ((350.0, 10.0, 360.0, 11.0), -5.0),
    ],
)
def test_bounds_of_any_longitudes_are_one_place(bounds: tuple[float, float, float, float], lon: float) -> None:
    (row,) = site_rows([SiteByBounds(point="1", bounds=bounds, gsd=1.0)])
    assert abs((row["lon"] - lon + 180) % 360 - 180) < 1e-9
    assert -180 <= row["lon"] <= 180
    assert row["width"] < 1.2e6
    assert Site.from_row(row).footprint.area < 11


@pytest.mark.parametrize(
    "bounds", [(9.0, 47.0, 9.0, 48.0), (-200.0, 0.0, 0.0, 1.0), (0.0, 0.0, 190.0, 1.0), (0, 3, 1, 2)]
)
def test_bounds_that_are_none_are_refused(bounds: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"bounds are|at most 180"):
        SiteByBounds(point="1", bounds=bounds, gsd=1.0)


def test_tiles_across_the_antimeridian_are_few() -> None:
    window = TileWindow.of_site(site((179.999, -17.0, -179.999, -16.998)), TileMatrix(16, 256), "tiles")
    assert window.tile_count <= 6
    columns = [window.wrapped(x) for x in window.columns]
    assert columns[0] == 2**16 - 1
    assert columns[-1] == 0


def test_a_raster_of_longitudes_to_360_serves_negative_ones() -> None:
    whole = Grid("EPSG:4326", Affine(0.1, 0, 0, 0, -0.1, 90), 3600, 1800)
    window = window_of(site((-170.0, 10.0, -169.0, 11.0)), whole, "file")
    assert (window.width, window.height) == (10, 10)
    assert window.transform.c == pytest.approx(190)
    west, south, east, north = window.footprint().bounds
    assert (west, south, east, north) == pytest.approx((-170, 10, -169, 11))


def test_both_sides_of_a_site_across_the_antimeridian_meet() -> None:
    place = site((179.99, -17.0, -179.99, -16.99))
    tiles = TileWindow.of_site(place, TileMatrix(16, 256), "tiles").grid
    pacific = Grid("EPSG:3832", Affine(2.0, 0, 3338000, 0, -2.0, -1900000), 4000, 4000)
    corners = project(pacific.corners(), pacific, tiles)
    assert np.ptp(corners[:, 0]) < 10_000
    assert np.abs(project(corners, tiles, pacific) - pacific.corners()).max() < 1e-6
    _, error = georeferenced_homography(tiles, pacific)
    assert error < 0.5


def test_a_site_at_a_pole_has_a_grid_in_metres_and_no_tiles() -> None:
    (row,) = site_rows([SiteByBounds(point="1", bounds=(-180, 89.99, 180, 90), gsd=10.0)])
    place = Site.from_row(row)
    grid = local_grid(place)
    assert grid.crs == "EPSG:32661"
    assert grid.width == grid.height == row["width"] == pytest.approx(223, abs=1)
    assert grid.to_lonlat([[(grid.width - 1) / 2, (grid.height - 1) / 2]])[0, 1] == pytest.approx(90, abs=1e-3)
    with pytest.raises(PermanentError, match="85 degrees"):
        TileWindow.of_site(place, TileMatrix(16, 256), "tiles")


def test_the_window_of_a_polar_raster_is_the_raster() -> None:
    whole = Grid("EPSG:3413", Affine(1, 0, -320, 0, -1, 320), 640, 640)
    place = Site("1", "1", ground_polygon(whole.to_lonlat(whole.corners())), 1.0, "")
    window = window_of(place, whole, "file")
    assert (window.width, window.height) == (640, 640)


@pytest.mark.parametrize("width", [10.0, 90.0, 179.99, 180.0])
@pytest.mark.parametrize("west", [-180.0, -170.0, -1.0, 0.0, 10.0, 170.0, 179.0])
def test_a_wide_site_is_where_its_bounds_say_also_once_it_was_written(west: float, width: float) -> None:
    (row,) = site_rows([SiteByBounds(point="1", bounds=(west, 0.0, west + width, 1.0), gsd=100.0)])
    site = Site.from_row(row)
    bounds = np.array(site.footprint.bounds)[[0, 2]]
    assert (bounds - bounds[0]).tolist() == pytest.approx([0, width])
    assert wrapped(bounds[0] - west) % 360 == pytest.approx(0, abs=1e-9)
    assert row["width"] == pytest.approx(width * 1113.2, rel=1e-3)


def test_the_whole_globe_is_one_site_from_wherever_longitudes_count() -> None:
    rows = site_rows(
        [
            SiteByBounds(point="1", bounds=(west, -60.0, west + 360, 60.0), gsd=1000.0, site=str(site))
            for site, west in enumerate((-180.0, 0.0))
        ]
    )
    for row in rows:
        assert Site.from_row(row).footprint.bounds == (-180, -60, 180, 60)
        assert row["width"] == pytest.approx(40_075, rel=1e-3)
        assert TileWindow.of_site(Site.from_row(row), TileMatrix(2, 256), "t").tile_count == 8


def raster_of(path: Path, crs: str, transform: Affine) -> Path:
    with rasterio.open(path, "w", "GTiff", 180, 91, 1, crs, transform, "uint8") as dataset:
        dataset.write(np.full((1, 91, 180), 7, np.uint8))
    return path


def test_a_raster_of_the_globe_may_count_from_the_middles_of_its_pixels(tmp_path: Path) -> None:
    path = raster_of(tmp_path / "a.tif", "EPSG:4326", Affine(2, 0, -181, 0, -2, 91))
    (row,) = site_rows([SiteByRaster(point="1", raster=path)])
    assert Site.from_row(row).footprint.bounds == (-181, -90, 179, 90)


@pytest.mark.parametrize("crs", ["ESRI:54009", "+proj=geos +h=35785831 +lon_0=140.7 +sweep=y +ellps=WGS84"])
def test_a_raster_whose_corners_lie_off_the_globe_is_refused(tmp_path: Path, crs: str) -> None:
    path = raster_of(tmp_path / "a.tif", crs, Affine(2e5, 0, -1.8e7, 0, -2e5, 9e6))
    with pytest.raises(PermanentError, match="outside the domain of its CRS"):
        site_rows([SiteByRaster(point="1", raster=path)])
