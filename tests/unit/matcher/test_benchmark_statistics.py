"""Intervals and tests: answers known by hand, or from SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from matcher.benchmark.metrics import auc, share_within
from matcher.benchmark.statistics import bootstrap, compare, mcnemar

pytestmark = pytest.mark.unit


def _success(errors: np.ndarray) -> float:
    return share_within(errors, 10)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_exact_binomial_test(only_first: int, only_second: int) -> None:
    total = only_first + only_second
    expected = binomtest(only_first, total, 0.5).pvalue if total else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(expected)


def test_the_interval_of_a_share_is_about_that_of_the_normal_approximation() -> None:
    errors = np.array([1.0] * 60 + [np.inf] * 40)
    found = bootstrap(errors, _success)
    assert found.value == 0.6
    half = 1.96 * np.sqrt(0.6 * 0.4 / 100)
    assert found.low == pytest.approx(0.6 - half, abs=0.02)
    assert found.high == pytest.approx(0.6 + half, abs=0.02)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(100):
        errors = np.where(generator.random(80) < 0.5, 1.0, np.inf)
        interval = bootstrap(errors, _success)
        hits += interval.low <= 0.5 <= interval.high
    assert 88 <= hits <= 100


def test_the_same_values_give_the_same_interval() -> None:
    errors = np.random.default_rng(0).exponential(8, 50)
    assert bootstrap(errors, lambda values: auc(values, 10)) == bootstrap(errors, lambda values: auc(values, 10))


@pytest.mark.parametrize("errors", [[], [2.0]])
def test_one_pair_or_none_has_no_spread(errors: list[float]) -> None:
    found = bootstrap(np.array(errors), _success)
    assert found.low == found.value == found.high


def test_a_matcher_does_not_differ_from_itself() -> None:
    errors = np.random.default_rng(0).exponential(8, 50)
    found = compare(errors, errors, lambda values: auc(values, 10), 10)
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
    assert (found.only_first, found.only_second, found.p_success) == (0, 0, 1)


def test_pairing_finds_a_small_but_steady_difference() -> None:
    errors = np.random.default_rng(0).exponential(8, 200)
    found = compare(errors * 0.9, errors, lambda values: auc(values, 10), 10)
    alone = bootstrap(errors, lambda values: auc(values, 10))
    assert 0 < found.difference.low < found.difference.value < found.difference.high
    assert found.difference.high - found.difference.low < 0.5 * (alone.high - alone.low)


def test_who_succeeds_alone_is_counted() -> None:
    first, second = np.array([1.0, 1.0, 1.0, np.inf]), np.array([1.0, np.inf, 30.0, 2.0])
    found = compare(first, second, _success, 10)
    assert (found.only_first, found.only_second) == (2, 1)
    assert found.p_success == 1.0
    assert found.difference.value == pytest.approx(0.25)
