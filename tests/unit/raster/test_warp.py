"""The antialiased warp: where things land, what has data, and that fine patterns turn grey instead of aliasing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raster.homography import apply_homography, inverse, translation
from raster.pixels import resizing
from raster.warp import antialiased, shrinkage, warp

pytestmark = pytest.mark.unit

SIZE = 96


def ramp() -> np.ndarray:
    """Red is the column, green the row."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.dstack([2 * x, 2 * y, np.full_like(x, 9)]).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(0.5, 1.8), st.floats(-30, 30), st.floats(-30, 30))
def test_a_ramp_tells_where_pixels_come_from(angle: float, scale: float, x: float, y: float) -> None:
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    middle = translation(SIZE / 2 + x, SIZE / 2 + y) @ [[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]
    matrix = np.asarray(middle @ translation(-SIZE / 2, -SIZE / 2))
    image, mask = warp(ramp(), np.ones((SIZE, SIZE), bool), matrix, SIZE, SIZE)
    rows, columns = np.nonzero(mask)
    source = apply_homography(inverse(matrix), np.stack([columns, rows], axis=1))
    deep = ((source > 6) & (source < SIZE - 7)).all(axis=1)
    assert np.abs(image[rows[deep], columns[deep], :2] - 2 * source[deep]).max(initial=0) <= 1.5
    everywhere = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1).reshape(-1, 2)
    outside = apply_homography(inverse(matrix), everywhere)
    off = ((outside < -1) | (outside > SIZE)).any(axis=1).reshape(SIZE, SIZE)
    assert not mask[off].any()


def test_a_hole_masks_all_that_is_interpolated_from_it() -> None:
    mask = np.ones((SIZE, SIZE), bool)
    mask[40, 40] = False
    _, kept = warp(ramp(), mask, translation(0.5, 0.5), SIZE, SIZE)
    np.testing.assert_array_equal(np.argwhere(~kept[2:-2, 2:-2]), [[38, 38], [38, 39], [39, 38], [39, 39]])


@pytest.mark.parametrize("shrink", [2.0, 3.3, 5.0])
def test_fine_stripes_turn_grey(shrink: float) -> None:
    """Stripes of one pixel, sampled at every n-th, would come out as coarse ones."""
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    side = int(400 / shrink)
    image, mask = warp(stripes, np.ones((400, 400), bool), resizing(1 / shrink, 1 / shrink), side, side)
    assert image[mask][:, 0].astype(float).std() < 8


def test_nothing_is_blurred_that_is_not_shrunk() -> None:
    image = ramp()
    assert antialiased(image, 1.4) is image
    assert antialiased(image, np.inf) is image
    assert shrinkage(resizing(3, 3), SIZE, SIZE) == pytest.approx(3)
    assert shrinkage(np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 1]]), SIZE, SIZE) == np.inf
