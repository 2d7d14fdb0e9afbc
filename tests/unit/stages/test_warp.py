"""Tiles against a slow bilinear interpolation, written down pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raster.grid import Grid
from raster.reader import RasterReader
from stages.rasters import open_raster, write_raster
from stages.tile.warp import sample_tile

pytestmark = pytest.mark.unit

WIDTH, HEIGHT, SIZE = 200, 150, 48
HOLE = (slice(60, 90), slice(100, 130))


def content() -> NDArray[np.uint8]:
    """Return RGBA with structure at all scales and a hole without data."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rgba = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    for channel, (u, v) in enumerate([(0.11, 0.05), (0.03, -0.13), (-0.07, 0.09)]):
        rgba[..., channel] = 128 + 100 * np.sin(u * x + v * y)
    rgba[HOLE] = 0
    return rgba


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RasterReader]:
    path = tmp_path_factory.mktemp("warp") / "raster.tif"
    grid = Grid("EPSG:32632", Affine(1, 0, 5e5, 0, -1, 5e6), WIDTH, HEIGHT)
    nodata = write_raster(path, grid, [content()], {})
    assert nodata == pytest.approx(30 * 30 / (WIDTH * HEIGHT))
    with open_raster(path) as opened:
        assert opened.grid == grid
        yield opened


def slowly(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the tile and which of its pixels have data."""
    rgba = content().astype(float)
    tile, valid = np.zeros((SIZE, SIZE, 3)), np.zeros((SIZE, SIZE), bool)
    for y in range(SIZE):
        for x in range(SIZE):
            u, v, w = matrix @ [x, y, 1]
            u, v = u / w, v / w
            if not (-0.5 <= u <= WIDTH - 0.5 and -0.5 <= v <= HEIGHT - 0.5):
                continue
            x0, y0 = int(np.floor(u)), int(np.floor(v))
            corners = [(x0, y0), (x0 + 1, y0), (x0, y0 + 1), (x0 + 1, y0 + 1)]
            weights = [
                (x0 + 1 - u) * (y0 + 1 - v),
                (u - x0) * (y0 + 1 - v),
                (x0 + 1 - u) * (v - y0),
                (u - x0) * (v - y0),
            ]
            inside = [rgba[min(max(j, 0), HEIGHT - 1), min(max(i, 0), WIDTH - 1)] for i, j in corners]
            used = [pixel for pixel, weight in zip(inside, weights, strict=True) if weight > 1 / 32]
            valid[y, x] = all(pixel[3] for pixel in used)
            tile[y, x] = sum(weight * pixel[:3] for weight, pixel in zip(weights, inside, strict=True))
    return tile, valid


@settings(max_examples=25, deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(0.5, 1.6), st.floats(-40, WIDTH), st.floats(-40, HEIGHT), st.floats(-1e-4, 1e-4))
def test_any_transform_equals_the_slow_way(
    raster: RasterReader, angle: float, scale: float, x: float, y: float, tilt: float
) -> None:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[cos, -sin, x], [sin, cos, y], [tilt, 0, 1]])
    tile, mask = sample_tile(raster, matrix, SIZE)
    expected, valid = slowly(matrix)
    found = np.ones((SIZE, SIZE), bool) if mask is None else mask > 0
    assert (found != valid).mean() < 0.03, "they may differ along the rims of what has data"
    both = found & valid
    assert np.abs(tile[both] - expected[both]).max(initial=0) <= 5
    assert np.abs(tile[both] - expected[both]).mean() < 0.8 if both.any() else True
    assert not tile[~found].any(), "no data is black"


@pytest.mark.parametrize(("x", "y"), [(0, 0), (17, 33), (WIDTH - SIZE, HEIGHT - SIZE), (90, 50)])
def test_a_whole_shift_is_a_copy(raster: RasterReader, x: int, y: int) -> None:
    tile, mask = sample_tile(raster, np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]]), SIZE)
    window = content()[y : y + SIZE, x : x + SIZE]
    assert np.array_equal(tile, window[..., :3])
    assert np.array_equal(window[..., 3], np.full((SIZE, SIZE), 255) if mask is None else mask)


def test_a_shift_beyond_the_edge_is_a_copy_with_a_rim(raster: RasterReader) -> None:
    tile, mask = sample_tile(raster, np.array([[1.0, 0, -10], [0, 1, -7], [0, 0, 1]]), SIZE)
    assert mask is not None
    assert not mask[:7].any()
    assert not mask[:, :10].any()
    assert mask[7:, 10:].all()
    assert np.array_equal(tile[7:, 10:], content()[: SIZE - 7, : SIZE - 10, :3])


def test_a_tile_off_the_raster_is_empty(raster: RasterReader) -> None:
    tile, mask = sample_tile(raster, np.array([[1.0, 0, 5000], [0, 1, 0], [0, 0, 1]]), SIZE)
    assert mask is not None
    assert not mask.any()
    assert not tile.any()


@pytest.mark.parametrize("factor", [2, 3])
def test_a_finer_raster_is_averaged(raster: RasterReader, factor: int) -> None:
    # The centre of a tile pixel is the centre of factor x factor raster pixels.
    offset = (factor - 1) / 2
    matrix = np.array([[factor, 0, offset], [0, factor, offset], [0, 0, 1.0]])
    tile, _ = sample_tile(raster, matrix, 20)
    blocks = content()[: 20 * factor, : 20 * factor, :3].reshape(20, factor, 20, factor, 3).mean(axis=(1, 3))
    assert np.abs(tile - blocks).max() <= 1
