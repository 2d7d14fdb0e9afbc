"""The Web-Mercator tile matrix against the formulas that everyone publishes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Polygon, box

from pipeline.errors import PermanentError
from stages.acquire.source import Site
from stages.acquire.tiles import TileMatrix, TileWindow

pytestmark = pytest.mark.unit


def published_tile(lon: float, lat: float, zoom: int) -> tuple[float, float]:
    """OpenStreetMap's formula for (x, y) of a place, in tiles."""
    phi = math.radians(lat)
    y = (1 - math.log(math.tan(phi) + 1 / math.cos(phi)) / math.pi) / 2
    return (lon + 180) / 360 * 2**zoom, y * 2**zoom


@given(st.floats(-179, 179), st.floats(-84, 84), st.integers(0, 20), st.sampled_from([256, 512]))
def test_pixels_lie_where_the_formula_says(lon: float, lat: float, zoom: int, size: int) -> None:
    x, y = published_tile(lon, lat, zoom)
    found = TileMatrix(zoom, size).grid.to_lonlat(np.array([[x * size - 0.5, y * size - 0.5]]))[0]
    assert found == pytest.approx([lon, lat], abs=1e-7)


@given(st.floats(-170, 170), st.floats(-80, 80), st.floats(0.01, 0.05), st.integers(10, 19))
def test_a_window_touches_the_tiles_of_its_corners(lon: float, lat: float, half: float, zoom: int) -> None:
    site = Site("001", "1", box(lon - half, lat - half, lon + half, lat + half), 1.0, "")
    window = TileWindow.of_site(site, TileMatrix(zoom, 256), "test")
    left, top = published_tile(lon - half, lat + half, zoom)
    right, _ = published_tile(lon + half, lat - half, zoom)
    assert abs(window.x - left * 256) <= 0.5 + 1e-3
    assert abs(window.y - top * 256) <= 0.5 + 1e-3
    assert abs(window.grid.width - (right - left) * 256) <= 1.01
    assert window.columns.start == window.x // 256
    assert window.columns.stop * 256 >= window.x + window.grid.width
    assert (window.columns.stop - 1) * 256 < window.x + window.grid.width
    assert window.rows.start * 256 <= window.y < (window.rows.start + 1) * 256


@pytest.mark.parametrize(("gsd", "latitude", "zoom"), [(156543.03, 0, 0), (0.6, 0, 18), (0.3, 60, 18), (0.01, 0, 19)])
def test_the_nearest_zoom(gsd: float, latitude: float, zoom: int) -> None:
    assert TileMatrix.nearest(gsd, latitude, (0, 19), 256).zoom == zoom


def test_strips_show_the_tiles_in_their_places() -> None:
    matrix = TileMatrix(4, 256)
    corners = np.array([[300, 500], [900, 500], [900, 800], [300, 800]]) - 0.5
    window = TileWindow.of_site(Site("001", "1", Polygon(matrix.grid.to_lonlat(corners)), 1.0, ""), matrix, "test")
    assert (window.columns, window.rows) == (range(1, 4), range(1, 4))
    rows = [
        [np.full((256, 256, 4), 10 * y + x, np.uint8) if x != 2 else None for x in range(1, 4)] for y in range(1, 4)
    ]
    picture = np.concatenate([strip.copy() for strip in window.strips(rows)])
    assert picture.shape == (300, 600, 4)
    assert picture[0, 0, 0] == 11
    assert picture[299, 599, 0] == 33
    assert not picture[:, 300:400].any()  # tile column 2 spans x 512 to 768


def test_ground_beyond_the_mercator_square_is_refused() -> None:
    site = Site("001", "1", box(10, 86, 11, 87), 1.0, "")
    with pytest.raises(PermanentError, match="outside"):
        TileWindow.of_site(site, TileMatrix(10, 256), "the service")
