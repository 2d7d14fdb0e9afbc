"""Pixel coordinates, ground coordinates and the homographies between georeferenced grids."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from raster.grid import Grid, georeferenced_homography, project
from raster.homography import apply_homography
from raster.least_squares import fit_homography

pytestmark = pytest.mark.unit

UTM = Grid("EPSG:32632", Affine(0.5, 0, 556000, 0, -0.5, 5202000), 4000, 3000)


def test_the_first_pixels_centre_is_half_a_pixel_from_the_corner() -> None:
    assert np.allclose(UTM.to_world([[0, 0]]), [[556000.25, 5201999.75]])
    assert np.allclose(UTM.to_world(UTM.corners())[0], [556000, 5202000])
    assert np.allclose(UTM.to_pixel([[556000.25, 5201999.75]]), [[0, 0]])


def test_sample_distance_is_metres_on_the_ground() -> None:
    assert UTM.gsd == pytest.approx(0.5, rel=1e-3)
    mercator = Grid("EPSG:3857", Affine(1, 0, 1_000_000, 0, -1, 5_900_000), 100, 100)
    latitude = np.radians(mercator.to_lonlat([[50, 50]])[0, 1])
    assert mercator.gsd == pytest.approx(np.cos(latitude), rel=5e-3)
    assert UTM.resampled(2.0).gsd == pytest.approx(2.0, rel=1e-6)


def test_a_window_keeps_its_place() -> None:
    window = UTM.window(100, 50, 10, 10)
    assert np.allclose(window.to_world([[3, 4]]), UTM.to_world([[103, 54]]))


def test_json_round_trip() -> None:
    assert Grid.from_json(UTM.to_json()) == UTM


def test_homography_in_one_crs_is_exact() -> None:
    other = Grid(UTM.crs, Affine.translation(556100, 5201900) @ Affine.rotation(30) @ Affine.scale(0.7, -0.7), 900, 900)
    homography, error = georeferenced_homography(other, UTM)
    points = np.random.default_rng(0).uniform(0, 900, (50, 2))
    assert error == 0
    assert np.allclose(apply_homography(homography, points), project(points, other, UTM), atol=1e-6)


def test_homography_across_crss_is_as_good_as_it_says() -> None:
    west, _, east, north = UTM.footprint().bounds
    other = Grid("EPSG:4326", Affine(7e-6, 0, west, 0, -5e-6, north), int((east - west) / 7e-6), 3000)
    bounds = (500.0, 500.0, 1500.0, 1500.0)
    homography, error = georeferenced_homography(other, UTM, bounds)
    points = np.random.default_rng(0).uniform(500, 1500, (50, 2))
    # The slow way: through pyproj point by point.
    transformer = Transformer.from_crs(UTM.crs, "EPSG:4326", always_xy=True)
    lonlat = np.array([transformer.transform(*world) for world in UTM.to_world(points)])
    origin = np.stack([(lonlat[:, 0] - west) / 7e-6 - 0.5, (north - lonlat[:, 1]) / 5e-6 - 0.5], axis=1)
    assert error < 0.1
    assert np.abs(apply_homography(homography, origin) - points).max() <= error * 1.1 + 1e-6


def test_ground_outside_a_crss_domain_is_refused() -> None:
    polar = Grid("EPSG:4326", Affine(0.1, 0, 0, 0, -0.1, 95), 10, 10)
    with pytest.raises(ValueError, match="outside its domain"):
        georeferenced_homography(Grid("EPSG:3857", Affine(1, 0, 0, 0, -1, 0), 10, 10), polar)


@given(st.integers(0, 2**32 - 1))
def test_fit_recovers_a_homography(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
    true[:2, 2] *= 500
    true[2] = [*rng.uniform(-1e-4, 1e-4, 2), 1]
    source = rng.uniform(0, 1000, (12, 2))
    found = fit_homography(source, apply_homography(true, source))
    corners = np.array([[0, 0], [1000, 0], [1000, 1000], [0, 1000.0]])
    assert np.allclose(apply_homography(found, corners), apply_homography(true, corners), atol=1e-5)


@pytest.mark.parametrize(
    ("grid", "crs"),
    [
        (Grid("EPSG:4326", Affine(5e-6, 0, 9.52, 0, -5e-6, 46.96), 3000, 2000), "EPSG:32632"),  # narrow pixels
        (Grid("EPSG:3857", Affine(1, 0, 20037508.0 - 1000, 0, -1, 2e6), 2000, 1500), "EPSG:32660"),  # antimeridian
        (UTM, "EPSG:3857"),
    ],
)
def test_a_grid_in_another_crs_has_square_pixels_and_covers_the_ground(grid: Grid, crs: str) -> None:
    made = grid.reprojected(crs, 0.8)
    assert made.gsd == pytest.approx(0.8, rel=1e-6)
    middle = [(made.width - 1) / 2, (made.height - 1) / 2]
    steps = made.to_lonlat([middle, np.add(middle, [1, 0]), np.add(middle, [0, 1])])
    _, _, sides = Geod(ellps="WGS84").inv([steps[0, 0]] * 2, [steps[0, 1]] * 2, steps[1:, 0], steps[1:, 1])
    assert sides == pytest.approx([0.8, 0.8], rel=2e-3)
    corners = project(grid.corners(), grid, made)
    assert (corners > -1.5).all()
    assert (corners < [made.width + 0.5, made.height + 0.5]).all()
    assert np.ptp(corners, axis=0) == pytest.approx([made.width, made.height], rel=0.03)


def test_ground_outside_the_domain_of_a_crs_has_no_grid_in_it() -> None:
    pole = Grid("EPSG:3413", Affine(1, 0, -50, 0, -1, 50), 100, 100)
    with pytest.raises(ValueError, match="outside the domain of the CRS 'EPSG:3857'"):
        pole.reprojected("EPSG:3857", 1.0)
