"""The robust fit against an exhaustive search with the plain direct linear transform, and on what cannot be fitted."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raster.fit import MINIMAL_SAMPLE, Estimator, Fit, Model, false_alarms, fit
from raster.homography import apply_homography

pytestmark = pytest.mark.unit

Pairs = tuple[np.ndarray, np.ndarray]

CORNERS = np.array([[0.0, 0.0], [511, 0], [511, 511], [0, 511]])


def similarity(angle: float, scale: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y], [0, 0, 1]])


def matches_of(matrix: np.ndarray, points0: np.ndarray, noise: float = 0.0, outliers: int = 0, seed: int = 0) -> Pairs:
    """True correspondences with noise, and `outliers` more at random."""
    generator = np.random.default_rng(seed)
    points1 = apply_homography(matrix, points0) + generator.normal(0, noise, points0.shape)
    points0 = np.vstack([points0, generator.uniform(0, 511, (outliers, 2))])
    points1 = np.vstack([points1, generator.uniform(0, 511, (outliers, 2))])
    return points0, points1


def scattered(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 511, (count, 2))


def dlt(points0: np.ndarray, points1: np.ndarray) -> np.ndarray:
    """The plain direct linear transform, one pair of rows a point."""
    rows = []
    for (x, y), (u, v) in zip(points0, points1, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
    matrix = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    return matrix / matrix[2, 2]


def exhaustive_homography(matches: Pairs, threshold_px: float) -> np.ndarray:
    """Every sample of four; the one with most inliers wins and is fitted again to its inliers."""
    points0, points1 = matches
    best = np.zeros(len(points0), bool)
    for sample in combinations(range(len(points0)), 4):
        matrix = dlt(points0[list(sample)], points1[list(sample)])
        inliers = np.linalg.norm(apply_homography(matrix, points0) - points1, axis=1) <= threshold_px
        best = max(best, inliers, key=np.count_nonzero)
    return dlt(points0[best], points1[best])


def corner_error(fitted: Fit, truth: np.ndarray) -> float:
    assert fitted.matrix is not None, fitted.reason
    return float(
        np.linalg.norm(apply_homography(fitted.matrix, CORNERS) - apply_homography(truth, CORNERS), axis=1).max()
    )


@pytest.mark.parametrize("estimator", ["magsac", "ransac"])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_exhaustive_search(estimator: Estimator, seed: int) -> None:
    truth = similarity(0.3, 1.1, 20, -15)
    truth[2, :2] = 2e-4, -1e-4
    matches = matches_of(truth, scattered(10, seed), noise=0.3, outliers=4, seed=seed)
    fitted = fit(*matches, "homography", 3.0, estimator)
    slow = exhaustive_homography(matches, 3.0)
    assert fitted.inliers[:10].all()
    assert not fitted.inliers[10:].any()
    assert corner_error(fitted, slow) < 2.0
    assert corner_error(fitted, truth) < 5.0


@settings(max_examples=40, deadline=None)
@given(
    model=st.sampled_from(sorted(MINIMAL_SAMPLE)),
    estimator=st.sampled_from(["magsac", "ransac"]),
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.5, 2),
    shift=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    outliers=st.integers(0, 40),
)
def test_recovers_what_was_planted(
    model: Model, estimator: Estimator, angle: float, scale: float, shift: tuple[float, float], outliers: int
) -> None:
    truth = similarity(angle, scale, *shift)
    matches = matches_of(truth, scattered(60), noise=0.2, outliers=outliers)
    fitted = fit(*matches, model, 3.0, estimator)
    assert corner_error(fitted, truth) < 2.0
    assert fitted.inliers[:60].all()
    assert fitted.residual_px < 1.5
    again = fit(*matches, model, 3.0, estimator)
    assert np.array_equal(again.matrix, fitted.matrix)
    assert np.array_equal(again.inliers, fitted.inliers)


def test_the_global_random_state_changes_nothing() -> None:
    import cv2

    matches = matches_of(similarity(1.0, 0.8), scattered(50), noise=1.0, outliers=150)
    results = []
    for seed in (1, 99):
        cv2.setRNGSeed(seed)
        np.random.seed(seed)
        results.append([fit(*matches, model).matrix for model in MINIMAL_SAMPLE])
    assert np.array_equal(results[0], results[1])


@pytest.mark.parametrize("model", sorted(MINIMAL_SAMPLE))
def test_a_minimal_sample_proves_nothing(model: Model) -> None:
    for count in range(MINIMAL_SAMPLE[model] + 1):
        fitted = fit(*matches_of(np.eye(3), scattered(count)), model)
        assert fitted.matrix is None
        assert "needs" in fitted.reason
        assert fitted.inliers.shape == (count,)
        assert np.isnan(fitted.residual_px)


@pytest.mark.parametrize("model", sorted(MINIMAL_SAMPLE))
def test_one_correspondence_repeated_counts_once(model: Model) -> None:
    repeated = np.repeat(scattered(MINIMAL_SAMPLE[model]), 20, axis=0)
    assert fit(*matches_of(np.eye(3), repeated), model).matrix is None


MIRROR = np.array([[-1.0, 0, 511], [0, 1, 0], [0, 0, 1]])
LINE = np.column_stack([np.linspace(0, 500, 40), np.linspace(100, 200, 40)])
SPOT = 250 + scattered(40) / 511 * 6


@pytest.mark.parametrize(
    ("points", "model", "why"),
    [
        (LINE, "homography", "line"),
        (LINE, "affine", "line"),
        (np.vstack([LINE, [[20.0, 480.0]]]), "homography", ""),
        (SPOT, "homography", ""),
        (SPOT, "affine", "spot"),
        (SPOT, "similarity", "spot"),
    ],
)
def test_points_too_poor_in_shape(points: np.ndarray, model: Model, why: str) -> None:
    fitted = fit(*matches_of(similarity(0.1, 1.0, 5, 5), points, noise=0.1), model)
    assert fitted.matrix is None
    assert why in fitted.reason


def test_a_line_carries_a_similarity() -> None:
    truth = similarity(0.2, 1.3, 4, 4)
    assert corner_error(fit(*matches_of(truth, LINE, noise=0.1), "similarity"), truth) < 1.0


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        (MIRROR, ""),
        (similarity(0, 40.0), "scale"),
        (similarity(0, 0.03), ""),
        (np.diag([6.0, 0.5, 1]), "squeezes"),
        (np.array([[1, 0, 0], [0, 1, 0], [0.01, 0, 1]]), "perspective"),
    ],
)
def test_implausible_transformations_are_refused(matrix: np.ndarray, why: str) -> None:
    fitted = fit(*matches_of(matrix, scattered(80)), "homography")
    assert fitted.matrix is None
    assert why in fitted.reason


def test_a_mirrored_image_is_called_mirrored() -> None:
    for estimator in ("magsac", "ransac"):
        fitted = fit(*matches_of(MIRROR, scattered(80)), "affine", 3.0, estimator)
        assert fitted.matrix is None
        assert "mirror" in fitted.reason


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 60), seed=st.integers(0, 10_000), model=st.sampled_from(sorted(MINIMAL_SAMPLE)))
def test_chance_never_gives_a_wild_matrix(count: int, seed: int, model: Model) -> None:
    generator = np.random.default_rng(seed)
    points = generator.uniform(0, 511, (2, count, 2))
    fitted = fit(points[0], points[1], model)
    if fitted.matrix is None:
        assert fitted.reason
        assert not fitted.inliers.any()
    else:
        assert np.isfinite(fitted.matrix).all()
        moved = apply_homography(fitted.matrix, points[0][fitted.inliers].astype(np.float32))
        assert np.abs(moved - points[1][fitted.inliers]).max() <= 3.01


@pytest.mark.parametrize("model", sorted(MINIMAL_SAMPLE))
@pytest.mark.parametrize("count", [20, 500])
def test_what_chance_explains_is_refused(model: Model, count: int) -> None:
    for seed in range(20):
        points = np.random.default_rng(seed).uniform(0, 511, (2, count, 2))
        fitted = fit(points[0], points[1], model)
        assert fitted.matrix is None
        assert "chance" in fitted.reason or "agree" in fitted.reason or "needs" in fitted.reason


def test_false_alarms_against_counting() -> None:
    """Ten matches, threshold probability 0.2, a model fixed by two: the expected number of pairs of (model, set of
    five that agree) is counted one by one over all subsets, times the number of sizes (Moisan and Stival)."""
    expected = (10 - 2) * sum(0.2**3 for _ in combinations(range(10), 5) for _ in combinations(range(5), 2))
    assert false_alarms(10, 5, 2, 0.2) == pytest.approx(expected)
    assert false_alarms(10, 10, 2, 5.0) == pytest.approx(8 * 45)


def test_beyond_the_horizon_is_infinite() -> None:
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])
    assert np.isinf(apply_homography(matrix, np.array([[100.0, 5.0], [200.0, 5.0]]))).all()


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ValueError, match="spline"):
        fit(np.empty((0, 2)), np.empty((0, 2)), "spline")  # type: ignore[arg-type]
