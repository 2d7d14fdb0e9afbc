"""Least-squares fits: exact where the model is exact, and no other transformation of the kind does better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from raster.homography import apply_homography
from raster.least_squares import DEGREES_OF_FREEDOM, Kind, fit_homography, least_squares

pytestmark = pytest.mark.unit

SCATTER = np.random.default_rng(3).uniform(0, 2000, (40, 2))


def example(kind: Kind, a: float, b: float, x: float, y: float) -> np.ndarray:
    """A transformation of a kind."""
    matrix = np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])
    if kind != "shift":
        matrix[:2, :2] = [[1 + a, -b], [b, 1 + a]]
    if kind in ("affine", "homography"):
        matrix[0, 1] += a / 2
    if kind == "homography":
        matrix[2, :2] = a * 1e-4, b * 1e-4
    return matrix


@pytest.mark.parametrize("kind", DEGREES_OF_FREEDOM)
@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-500, 500), st.floats(-500, 500))
@settings(max_examples=25, deadline=None)
def test_exact_correspondences_give_the_transformation(kind: Kind, a: float, b: float, x: float, y: float) -> None:
    matrix = example(kind, a, b, x, y)
    target = apply_homography(matrix, SCATTER)
    fits = [least_squares(kind, SCATTER, target, np.ones(len(SCATTER)))]
    if kind == "homography":
        fits.append(fit_homography(SCATTER, target))
    for fitted in fits:
        assert np.abs(apply_homography(fitted, SCATTER) - target).max() < 1e-5


@pytest.mark.parametrize("kind", ["shift", "similarity", "affine"])
def test_nothing_of_the_kind_is_closer(kind: Kind) -> None:
    """A general optimiser, started at the answer, finds no smaller weighted sum of squares."""
    generator = np.random.default_rng(1)
    target = apply_homography(example(kind, 0.1, -0.2, 30, -40), SCATTER) + generator.normal(0, 3, SCATTER.shape)
    weights = generator.uniform(0.1, 1, len(SCATTER))

    def cost(values: np.ndarray) -> float:
        a, b, x, y, c, d = {
            "shift": (1, 0, *values, 0, 1) if kind == "shift" else None,
            "similarity": (values[0], -values[1], *values[2:4], values[1], values[0]) if kind == "similarity" else None,
            "affine": tuple(values) if kind == "affine" else None,
        }[kind]
        moved = SCATTER @ np.array([[a, b], [c, d]]).T + [x, y]
        return float((weights * ((moved - target) ** 2).sum(axis=1)).sum())

    m = least_squares(kind, SCATTER, target, weights)
    start = {
        "shift": [m[0, 2], m[1, 2]],
        "similarity": [m[0, 0], m[1, 0], m[0, 2], m[1, 2]],
        "affine": [m[0, 0], m[0, 1], m[0, 2], m[1, 2], m[1, 0], m[1, 1]],
    }[kind]
    better = minimize(cost, start, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-9, "xatol": 1e-9})
    assert cost(np.array(start)) <= better.fun * (1 + 1e-6)
