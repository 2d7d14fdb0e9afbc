"""Metrics on cases worked out by hand, and against an independent implementation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.benchmark.metrics import auc, corner_error, match_errors, score_pair, share_within, srif_rmse
from matcher.benchmark.pairs import ImagePair
from matcher.types import Matches
from raster.fit import Fit

pytestmark = pytest.mark.unit

NO_INLIERS = np.zeros(0, bool)


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def grid_matches(moved: np.ndarray | float = 0.0, count: int = 5) -> Matches:
    y, x = np.mgrid[0:count, 0:count] * 20.0
    points = np.column_stack([x.ravel(), y.ravel()])
    return Matches(points, points + moved, np.ones(len(points)))


def test_corner_error_of_a_shift_is_its_length() -> None:
    assert corner_error(Fit(shift(3, 4), NO_INLIERS), np.eye(3), 100, 50) == pytest.approx(5)


def test_corner_error_of_a_doubling() -> None:
    """Corners (0,0) (2,0) (2,1) (0,1) move by 0, 2, sqrt(5), 1."""
    doubled = Fit(np.diag([2.0, 2, 1]), NO_INLIERS)
    assert corner_error(doubled, np.eye(3), 3, 2) == pytest.approx((0 + 2 + math.sqrt(5) + 1) / 4)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_turned_square_is_wrong(quarter_turns: int) -> None:
    """The corners as a set are the same; each of them is elsewhere."""
    c, s = round(math.cos(quarter_turns * math.pi / 2)), round(math.sin(quarter_turns * math.pi / 2))
    turned = shift(50, 50) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ shift(-50, -50)
    assert corner_error(Fit(turned, NO_INLIERS), np.eye(3), 101, 101) >= 100


def test_no_matrix_and_a_corner_beyond_the_horizon_are_infinite() -> None:
    assert corner_error(Fit(None, NO_INLIERS, "why"), np.eye(3), 10, 10) == math.inf
    horizon = np.array([[1, 0, 0], [0, 1, 0], [-0.2, 0, 1.0]])
    assert corner_error(Fit(horizon, NO_INLIERS), np.eye(3), 10, 10) == math.inf


def test_auc_by_hand() -> None:
    """Errors 2 and infinity, threshold 4: a rise to 0.5 at 2 (area 0.5), then flat for 2 (area 1): 1.5 / 4."""
    assert auc([2.0, math.inf], 4) == pytest.approx(1.5 / 4)
    assert auc([0.0, 0.0], 4) == pytest.approx(1.0)
    assert auc([math.inf] * 3, 4) == 0
    assert auc([], 4) == 0
    assert auc([4.0], 4) == 0.0


def slow_auc(errors: list[float], threshold: float) -> float:
    """Sum trapezia one by one, walking up the sorted errors; the error at the threshold is outside."""
    area, previous_error, previous_share = 0.0, 0.0, 0.0
    for count, error in enumerate(sorted(errors), start=1):
        if error >= threshold:
            break
        area += (error - previous_error) * (previous_share + count / len(errors)) / 2
        previous_error, previous_share = error, count / len(errors)
    return (area + (threshold - previous_error) * previous_share) / threshold


@given(
    st.lists(st.one_of(st.floats(0, 50), st.just(math.inf)), min_size=1, max_size=40),
    st.sampled_from([3.0, 5.0, 10.0, 20.0]),
)
def test_auc_against_a_walk(errors: list[float], threshold: float) -> None:
    assert auc(errors, threshold) == pytest.approx(slow_auc(errors, threshold), abs=1e-12)


def test_share_within() -> None:
    assert share_within([1.0, 3.0, 3.1, math.inf], 3) == 0.5
    assert share_within([], 3) == 0


def test_match_errors_follow_the_truth() -> None:
    np.testing.assert_allclose(match_errors(grid_matches(), shift(3, 4)), 5)


def test_srif_rmse() -> None:
    assert srif_rmse([2.0] * 10 + [50.0] * 5) == pytest.approx(2.0)
    assert srif_rmse([3.0] * 5 + [1.0] * 5) == pytest.approx(math.sqrt(5))
    assert srif_rmse([2.0] * 9 + [50.0] * 5) == 20.0
    assert srif_rmse([]) == 20.0


def score(matches: Matches) -> dict[str, float]:
    blank = np.zeros((81, 81, 3), np.uint8)
    return vars(score_pair(matches, ImagePair("p", blank, blank, np.eye(3))))


def test_a_perfect_matcher() -> None:
    assert score(grid_matches()) == pytest.approx(
        {
            "corner_error_px": 0,
            "matches": 25,
            "correct": 25,
            "accuracy_1px": 1,
            "accuracy_3px": 1,
            "accuracy_5px": 1,
            "rmse_px": 0,
            "inlier_ratio": 1,
        },
        abs=1e-4,
    )


def test_a_wrong_matcher_that_agrees_with_itself() -> None:
    """Every match 4 px off: a full inlier ratio and no correct match."""
    found = score(grid_matches(np.array([4.0, 0.0])))
    assert found["inlier_ratio"] == 1
    assert found["corner_error_px"] == pytest.approx(4, abs=1e-3)
    assert (found["correct"], found["accuracy_3px"], found["accuracy_5px"], found["rmse_px"]) == (0, 0, 1, 20)


def test_no_match() -> None:
    found = score(Matches.empty())
    assert found["corner_error_px"] == math.inf
    assert (found["matches"], found["correct"], found["inlier_ratio"], found["accuracy_5px"]) == (0, 0, 0, 0)
