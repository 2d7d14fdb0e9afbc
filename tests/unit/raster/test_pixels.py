"""Both conventions of pixel coordinates, against the edges and centres that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raster.homography import apply_homography
from raster.pixels import TO_CORNER, from_corner, outer_bounds, outline, rescaled, resizing, to_corner, within

pytestmark = pytest.mark.unit

places = st.floats(-1e4, 1e4)


@given(places, places, st.integers(1, 16))
def test_the_ways_to_convert_agree(x: float, y: float, stride: int) -> None:
    point = np.array([[x, y]])
    assert np.allclose(to_corner(point), apply_homography(TO_CORNER, point))
    assert np.allclose(from_corner(to_corner(point)), point)
    cells = rescaled(point, 1 / stride)
    assert np.allclose(cells, apply_homography(resizing(1 / stride, 1 / stride), point))
    assert np.allclose(cells, from_corner(to_corner(point) / stride))
    assert np.allclose(rescaled(cells, stride), point)
    assert torch.allclose(rescaled(torch.from_numpy(point), 1 / stride), torch.from_numpy(cells))


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 9))
def test_a_cell_is_centred_on_its_pixels(column: int, row: int, stride: int) -> None:
    pixels = np.stack(np.meshgrid(np.arange(stride) + column * stride, np.arange(stride) + row * stride), axis=-1)
    assert np.allclose(rescaled(np.array([column, row], float), stride), pixels.reshape(-1, 2).mean(axis=0))


def test_the_outline_is_half_a_pixel_off_the_outermost_centres() -> None:
    assert outline(3, 2).tolist() == [[-0.5, -0.5], [2.5, -0.5], [2.5, 1.5], [-0.5, 1.5]]
    assert outer_bounds(10, 20, 3, 2) == (9.5, 19.5, 12.5, 21.5)
    points = np.array([[-0.5, 0], [-0.51, 0], [2.5, 1.5], [2.5, 1.51], [1, 1], [np.nan, 0]])
    assert within(points, 3, 2).tolist() == [True, False, True, False, True, False]
