"""Homographies applied, inverted and composed, against the definition written down point by point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raster.homography import apply_homography, inverse, normalised, translation
from raster.pixels import resizing

pytestmark = pytest.mark.unit

numbers = st.floats(-100, 100)
matrices = st.tuples(*[st.floats(-1, 1)] * 4, *[numbers] * 2, *[st.floats(-1e-3, 1e-3)] * 2).map(
    lambda v: np.array([[1.5 + v[0] / 4, v[1] / 4, v[4]], [v[2] / 4, 1.5 + v[3] / 4, v[5]], [v[6], v[7], 1.0]])
)
points = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20).map(lambda p: np.array(p, np.float64))


@given(matrices, points)
def test_points_are_divided_by_their_depth(matrix: np.ndarray, where: np.ndarray) -> None:
    for found, (x, y) in zip(apply_homography(matrix, where), where, strict=True):
        u, v, w = matrix @ [x, y, 1]
        assert np.allclose(found, [u / w, v / w], rtol=1e-9, atol=1e-9)


@given(matrices, points)
def test_the_inverse_leads_back(matrix: np.ndarray, where: np.ndarray) -> None:
    assert np.allclose(apply_homography(inverse(matrix), apply_homography(matrix, where)), where, atol=1e-6)
    assert normalised(3 * matrix)[2, 2] == 1
    assert np.allclose(normalised(3 * matrix), matrix)


def test_beyond_the_horizon_is_infinite() -> None:
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [0.01, 0, 1]])
    assert np.isinf(apply_homography(matrix, [[-100, 3], [-200, 3]])).all()
    assert np.isfinite(apply_homography(matrix, [[-99, 3]])).all()
    assert apply_homography(matrix, np.empty((0, 2))).shape == (0, 2)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 9))
def test_resizing_keeps_corners(width: int, height: int, factor: int) -> None:
    """The outer corners of an image and of its reduced version are the same places."""
    corners = np.array([[-0.5, -0.5], [width * factor - 0.5, height * factor - 0.5]])
    small = apply_homography(resizing(1 / factor, 1 / factor), corners)
    assert np.allclose(small, [[-0.5, -0.5], [width - 0.5, height - 0.5]])
    assert np.allclose(apply_homography(translation(3, -2), corners), corners + np.array([3, -2]))
