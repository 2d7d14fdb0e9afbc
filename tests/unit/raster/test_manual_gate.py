"""The gate for hand-placed points: leverage and deleted residuals by refits, specimens that were accepted once, and a
random sample of `benchmarks/manual_points.py`, in which no accepted set is wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from raster.homography import apply_homography, normalised
from raster.manual.gate import judge_points
from raster.manual.models import MODELS, consensus, fit_points, predict
from raster.manual.places import shared_mistakes
from raster.manual.verdict import PointLimits

pytestmark = pytest.mark.unit

SIZE = (20000, 15000)
TRUTH = normalised(np.array([[0.98, -0.05, 700], [0.05, 0.98, 200], [1e-7, -1e-7, 1]]))
GRID = np.stack(np.meshgrid([1500, 7000, 13000, 18500], [1000, 7500, 13500]), axis=-1).reshape(-1, 2).astype(float)


def names(count: int) -> list[str]:
    return [f"p{i}" for i in range(count)]


def marked(source: np.ndarray, noise: float = 0.7, seed: int = 0) -> np.ndarray:
    return apply_homography(TRUTH, source) + np.random.default_rng(seed).normal(0, noise, source.shape)


def failed(verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


@pytest.mark.parametrize("model", MODELS)
def test_deleted_residuals_are_those_of_refits(model: str) -> None:
    generator = np.random.default_rng(1)
    source = generator.uniform(-1, 1, (10, 2))
    target = source * 1.1 + 0.05 * source[:, :1] * source + generator.normal(0, 1e-4, (10, 2))
    fitted = fit_points(model, source, target, np.ones(10))  # type: ignore[arg-type]
    assert fitted is not None
    for i in range(10):
        rest = np.arange(10) != i
        without = fit_points(model, source[rest], target[rest], np.ones(9))  # type: ignore[arg-type]
        assert without is not None
        refit = target[i] - predict(without.matrix, source[i : i + 1])[0][0]
        near = {"rel": 0.1, "abs": 2e-4} if model == "homography" else {"rel": 1e-6, "abs": 1e-8}
        assert fitted.deleted_residuals[i] == pytest.approx(refit, **near)


def test_covariance_is_that_of_repeated_noise() -> None:
    generator = np.random.default_rng(2)
    source, place = generator.uniform(-1, 1, (9, 2)), np.array([[1.0, 1.0]])
    truth = np.array([[1.0, 0.1, 0.2], [-0.1, 0.9, 0.1], [0.02, 0.03, 1]])
    images, predictions = predict(truth, source)[0], []
    for _ in range(2000):
        fitted = fit_points("homography", source, images + generator.normal(0, 1e-3, (9, 2)), np.ones(9))
        assert fitted is not None
        predictions.append(predict(fitted.matrix, place)[0][0])
    from raster.manual.models import jacobian

    there = jacobian("homography", place, *predict(fitted.matrix, place))[0]
    predicted = there @ fitted.cofactor @ there.T * 1e-6
    assert np.cov(np.array(predictions).T) == pytest.approx(predicted, rel=0.15, abs=2e-7)


def test_consensus_finds_the_majority() -> None:
    source = (GRID - [10000, 7500]) / 10000
    target = source * 1.2 + 0.1
    target[[2, 7, 9]] += [[0.5, 0], [0, 0.5], [-0.3, 0.1]]
    found = consensus("affine", source, target, np.ones(12), 1e-3)
    assert found is not None
    assert np.flatnonzero(~found[0]).tolist() == [2, 7, 9]


def test_well_spread_points_are_accepted_and_predict_their_own_error() -> None:
    verdict = judge_points(GRID, marked(GRID), names(12), SIZE, SIZE)
    assert verdict.accepted, verdict.reason
    assert verdict.model in MODELS
    corners = np.array([[0, 0], [SIZE[0], 0], [SIZE[0], SIZE[1]], [0, SIZE[1]]], float)
    assert verdict.homography is not None
    apart = apply_homography(verdict.homography, corners) - apply_homography(TRUTH, corners)
    assert np.linalg.norm(apart, axis=1).max() < verdict.corner_error_px <= 5
    assert verdict.reason == ""


def test_points_clustered_in_a_corner_are_refused() -> None:
    source = np.random.default_rng(3).uniform(2000, 2150, (4, 2))
    verdict = judge_points(source, marked(source, 1.0), names(4), SIZE, SIZE)
    assert {"points", "spread", "corners"} <= failed(verdict)
    assert verdict.homography is not None
    assert verdict.place is not None
    assert verdict.place.map_xy[0] > 10000  # the other end of the map


def test_points_on_a_line_are_refused() -> None:
    source = np.linspace([2000, 2000], [18000, 12000], 4)
    for count in (4, 12):
        source = np.linspace([2000, 2000], [18000, 12000], count)
        verdict = judge_points(source, marked(source, 0.5), names(count), SIZE, SIZE)
        assert "spread" in failed(verdict)


def test_a_point_wrong_by_250_px_of_20000_is_named() -> None:
    source = GRID[[0, 3, 5, 6, 8, 11]]
    target = source * 0.9 + source[:, ::-1] * 0.02 + np.random.default_rng(0).normal(0, 1.0, source.shape) + 100
    target[2] += [150, 200]
    verdict = judge_points(source, target, names(6), SIZE, SIZE)
    assert not verdict.accepted
    assert verdict.contradictions == ("p2",)
    assert "p2" in verdict.reason


@pytest.mark.parametrize("wild", [1e9, float("nan"), float("inf"), -1e9])
def test_wild_coordinates_are_named_and_refused(wild: float) -> None:
    source, target = GRID.copy(), marked(GRID)
    source[4], target[4] = wild, wild
    verdict = judge_points(source, target, names(12), SIZE, SIZE)
    assert not verdict.accepted
    assert "points outside their rasters: p4" in verdict.reason
    everywhere = judge_points(np.full((5, 2), wild), np.full((5, 2), wild), names(5), SIZE, SIZE)
    assert not everywhere.accepted
    assert everywhere.homography is None


def test_the_only_point_off_a_line_carries_too_much() -> None:
    source = np.concatenate([np.linspace([1000, 1000], [19000, 1100], 11), [[10000, 14000]]])
    target = marked(source, 0.5)
    target[11] += [80, 0]
    verdict = judge_points(source, target, names(12), SIZE, SIZE)
    assert not verdict.accepted


def test_a_file_given_twice_says_no_more_than_once() -> None:
    source, target = GRID[::3], marked(GRID[::3])
    once = judge_points(source, target, names(4), SIZE, SIZE)
    twice = judge_points(np.tile(source, (3, 1)), np.tile(target, (3, 1)), names(12), SIZE, SIZE)
    assert "points" in failed(once)
    assert "points" in failed(twice)


def test_a_mirrored_map_is_refused() -> None:
    target = GRID * [-1, 1] + [SIZE[0], 0]
    verdict = judge_points(GRID, target, names(12), SIZE, SIZE)
    assert "distortion" in failed(verdict)
    assert "mirrors" in verdict.reason


@pytest.mark.parametrize("seed", range(4))
def test_a_mistake_that_the_points_of_one_place_share_does_not_pass(seed: int) -> None:
    """Four places of five points; all of one place lie off together, which a homography fits without residuals."""
    generator = np.random.default_rng(seed)
    middles = np.array([[2500.0, 2000], [17500, 2500], [17000, 13000], [2500, 12500]])
    source = (middles[:, None] + generator.normal(0, 350, (4, 5, 2))).reshape(-1, 2)
    target = marked(source, 0.7, seed)
    target[5 * (seed % 4) : 5 * (seed % 4) + 5] += [36, 48]
    verdict = judge_points(source, target, names(20), SIZE, SIZE)
    assert not verdict.accepted
    assert {"places", "contradictions"} & failed(verdict)


def test_shared_mistakes_are_those_of_a_fit_with_a_shift_of_the_place() -> None:
    """The drop of the squared residuals, by fitting the shift of one point's place as two further parameters."""
    generator = np.random.default_rng(5)
    source = generator.uniform(-1, 1, (14, 2))
    target = source @ [[1.1, 0.1], [-0.2, 0.9]] + generator.normal(0, 1e-3, (14, 2))
    fitted = fit_points("affine", source, target, np.ones(14))
    assert fitted is not None
    shared = shared_mistakes(fitted, source, 0.7)
    for place in range(14):
        members = shared.members[place].astype(float)
        design = np.column_stack([np.ones(14), source, members])
        left = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
        assert shared.statistics[place] == pytest.approx(fitted.square_sum - np.sum(left**2), rel=1e-6, abs=1e-12)
    assert 1 < shared.members.sum(axis=1).mean() < 10


@pytest.mark.parametrize("factors", [(1e-3, 1e-3), (1, 0.2)])
def test_a_transformation_beyond_reason_is_refused(factors: tuple[float, float]) -> None:
    verdict = judge_points(GRID, marked(GRID) * factors + 50, names(12), SIZE, SIZE)
    assert "distortion" in failed(verdict)


def test_limits_decide() -> None:
    target = marked(GRID)
    strict = judge_points(GRID, target, names(12), SIZE, SIZE, PointLimits(max_corner_error_px=0.5))
    assert "corners" in failed(strict)


def test_no_points_give_no_fit_and_a_place() -> None:
    verdict = judge_points(np.zeros((0, 2)), np.zeros((0, 2)), [], SIZE, SIZE)
    assert verdict.homography is None
    assert not verdict.accepted
    assert verdict.place is not None


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    folder = Path(__file__).resolve().parents[3] / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("manual_points", folder / "manual_points.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["manual_points"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def test_no_accepted_set_of_the_benchmark_is_wrong(benchmark: ModuleType) -> None:
    for kind in benchmark.KINDS:
        count = 120 if kind in ("mixed", *benchmark.CLEAN) else 15
        row = benchmark.summary([benchmark.judged(kind, seed) for seed in range(1_000_000, 1_000_000 + count)])
        assert row["wrong"] == 0, kind
        if kind in benchmark.CLEAN:
            assert row["accepted"] > 0.1 * count
