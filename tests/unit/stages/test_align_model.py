"""The lowest-order model, the verdict and the local field on made-up tie points of known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raster.homography import apply_homography
from raster.least_squares import least_squares
from stages.align.fine import Windows
from stages.align.limits import DEFAULTS
from stages.align.local import local_field
from stages.align.model import fit_lowest_order
from stages.align.verdict import bounding_corners, corner_distance, judge

pytestmark = pytest.mark.unit

TRUTHS = {
    "shift": np.array([[1, 0, 7.5], [0, 1, -4.25], [0, 0, 1]]),
    "similarity": np.array([[1.004, -0.006, 3], [0.006, 1.004, -2], [0, 0, 1]]),
    "affine": np.array([[1.006, -0.002, 3], [0.007, 0.997, -2], [0, 0, 1]]),
    "homography": np.array([[1.004, -0.006, 3], [0.006, 1.004, -2], [3e-6, -4e-6, 1]]),
}


def spread(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 3000, (count, 2))


def windows_of(expected: np.ndarray, found: np.ndarray) -> Windows:
    ones = np.ones(len(expected))
    return Windows(expected, expected, found, ones, ones, 0 * ones, ones > 0, ones > 0)


@pytest.mark.parametrize("kind", list(TRUTHS))
def test_the_lowest_order_model_that_explains_the_points_is_chosen(kind: str) -> None:
    generator = np.random.default_rng(1)
    points = spread(300, 2)
    found = apply_homography(TRUTHS[kind], points) + generator.normal(0, 0.8, points.shape)
    outliers = generator.random(300) < 0.3
    found[outliers] += generator.uniform(-24, 24, (outliers.sum(), 2))
    fitted = fit_lowest_order(points, found, np.ones(300), 3.0)
    assert fitted is not None
    assert fitted.kind == kind
    assert corner_distance(fitted.matrix, TRUTHS[kind], bounding_corners(points)) < 1.0


@pytest.mark.parametrize(("side", "count", "stretch"), [(20_000, 2025, 0.002), (5_000, 484, 0.006), (2_304, 225, 0.01)])
def test_a_sheet_that_has_shrunk_along_one_axis_is_not_taken_for_bent(side: int, count: int, stretch: float) -> None:
    generator = np.random.default_rng(3)
    points = generator.uniform(0, side, (count, 2))
    found = points * [1 + stretch, 1] + generator.normal(0, 0.5, points.shape)
    fitted = fit_lowest_order(points, found, np.ones(count), 3.0, "similarity", bending=1.0)
    assert fitted is not None
    assert fitted.kind == "affine"
    assert fitted.inliers.mean() > 0.99


def test_districts_that_bend_by_little_do_not_bend_the_answer() -> None:
    generator = np.random.default_rng(3)
    points = generator.uniform(0, 2000, (225, 2))
    found = points * [1.002, 1] + generator.normal(0, 0.7, points.shape)
    kinds = {
        bending: fit_lowest_order(points, found, np.ones(225), 3.0, "similarity", bending=bending)
        for bending in (0.3, float("inf"))
    }
    assert [fitted and fitted.kind for fitted in kinds.values()] == ["similarity", "affine"]


def test_a_fit_sees_what_lies_near_its_start() -> None:
    generator = np.random.default_rng(3)
    lattice = np.stack(np.meshgrid(*2 * [np.linspace(200, 4800, 22)]), -1).reshape(-1, 2)
    found = lattice * [1.1, 1.0] + generator.normal(0, 0.5, lattice.shape)
    similar = least_squares("similarity", lattice, found, np.ones(484))
    expected, start = apply_homography(similar, lattice), np.diag([1.1, 1.0, 1.0]) @ np.linalg.inv(similar)
    alone = fit_lowest_order(expected, found, np.ones(484), 3.0, "similarity")
    started = fit_lowest_order(expected, found, np.ones(484), 3.0, "similarity", start=start)
    assert alone is not None
    assert started is not None
    assert alone.inliers.mean() < 0.1
    assert started.inliers.mean() > 0.99


@pytest.mark.parametrize("kind", list(TRUTHS))
def test_least_squares_is_exact_on_exact_points(kind: str) -> None:
    points = spread(20, 3)
    matrix = least_squares(kind, points, apply_homography(TRUTHS[kind], points), np.ones(20))
    np.testing.assert_allclose(apply_homography(matrix, points), apply_homography(TRUTHS[kind], points), atol=1e-6)


def test_too_few_points_give_no_fit() -> None:
    assert fit_lowest_order(np.zeros((1, 2)), np.zeros((1, 2)), np.ones(1), 3.0) is None


def test_chance_is_never_accepted_and_truth_is() -> None:
    generator = np.random.default_rng(4)
    for _ in range(20):
        points = spread(120, int(generator.integers(1 << 30)))
        for found, expected in (
            (points + generator.uniform(-12, 12, points.shape), False),
            (points + generator.normal(0, 1, points.shape), True),
        ):
            fitted = fit_lowest_order(points, found, np.ones(120), 3.0)
            assert fitted is not None
            agreeing = fitted.residuals <= DEFAULTS.tolerance_px
            checks = judge(windows_of(points, found), agreeing, DEFAULTS)
            assert all(check.passed for check in checks) is expected


def test_windows_that_show_nothing_do_not_count_against_an_answer() -> None:
    points = spread(200, 5)
    water = points[:, 1] > 800
    windows = replace(windows_of(points, points), peak_margins=np.where(water, 0.001, 0.1), reliable=~water)
    assert water.mean() > 0.6
    agreement = next(check for check in judge(windows, ~water, DEFAULTS) if check.name == "agreement")
    assert agreement.value == pytest.approx(0.1 * (~water).sum() / (0.1 * (~water).sum() + 0.001 * water.sum()))
    assert agreement.passed
    nothing = replace(windows, peak_margins=np.zeros(200))
    assert not next(check for check in judge(nothing, ~water, DEFAULTS) if check.name == "agreement").passed


def test_generalisation_is_kept_apart_from_misalignment() -> None:
    generator = np.random.default_rng(6)
    points = spread(400, 7)
    waves = 1.5 * np.stack([np.sin(points[:, 1] / 700), np.cos(points[:, 0] / 700)], axis=1)
    noise = generator.normal(0, 0.6, points.shape)
    fitted = fit_lowest_order(points, points + noise, np.ones(400), 6.0)
    assert fitted is not None
    alone = local_field(windows_of(points, points + noise), fitted)
    assert not alone.bends
    assert alone.generalisation_px == pytest.approx(0.6 * np.sqrt(2), rel=0.15)
    fitted = fit_lowest_order(points, points + noise + waves, np.ones(400), 6.0)
    assert fitted is not None
    both = local_field(windows_of(points, points + noise + waves), fitted)
    assert both.bends
    inner = points[(np.abs(points - 1500) < 1200).all(axis=1)]
    truth = 1.5 * np.stack([np.sin(inner[:, 1] / 700), np.cos(inner[:, 0] / 700)], axis=1)
    modelled = apply_homography(fitted.matrix, inner)
    assert np.sqrt(np.mean((modelled + both.at(modelled) - inner - truth) ** 2)) < 0.5


def test_what_bends_against_the_georeference_needs_more_evidence_than_what_does_not() -> None:
    # Building lean grows towards one corner; the rest lies where it should.
    generator = np.random.default_rng(3)
    points = spread(225, 10)
    displaced = np.clip(1 - points.sum(axis=1, keepdims=True) / 3000, 0, 1) * [-4.0, 1.2]
    found = points + generator.normal(0, 0.8, points.shape) + displaced
    free = fit_lowest_order(points, found, np.ones(225), 3.0, "similarity")
    held = fit_lowest_order(points, found, np.ones(225), 3.0, "similarity", bending=DEFAULTS.windows.bending_px)
    assert free is not None
    assert held is not None
    assert (free.kind, held.kind) == ("affine", "similarity")
    corners = bounding_corners(points)
    assert corner_distance(held.matrix, np.eye(3), corners) < 1.5 < corner_distance(free.matrix, np.eye(3), corners)


def test_windows_count_in_proportion_to_their_peak_margins() -> None:
    measured = windows_of(spread(3, 1), spread(3, 1))
    margins = np.array([0.0, 0.05, 0.4])
    np.testing.assert_allclose(replace(measured, peak_margins=margins).weights(0.1), [0.0, 0.5, 1.0])
