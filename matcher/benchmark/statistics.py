"""Bootstrap intervals over the pairs of a set, and tests of one matcher against another."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]

RESAMPLES = 1000
INTERVAL = 0.95
"""Coverage probability of the confidence intervals."""


@dataclass(frozen=True)
class ConfidenceInterval:
    """A figure and its 95% confidence interval over the choice of pairs."""

    value: float
    low: float
    high: float


def bootstrap(values: Values, statistic: Callable[[Values], float]) -> ConfidenceInterval:
    """Return a statistic of values with its percentile bootstrap interval (Efron, 1979), the same at every call.

    Args:
        values: (N,), or (N, ...) with one item a pair. With fewer than two the interval is the figure itself.
        statistic: Function of the values.
    """
    value = statistic(values)
    if len(values) < 2:
        return ConfidenceInterval(value, value, value)
    # scipy resamples positions, so that what lies at one of them stays together.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # all resamples alike: the interval is a point
        found = stats.bootstrap(
            (np.arange(len(values)),),
            lambda chosen: statistic(values[chosen]),
            vectorized=False,
            n_resamples=RESAMPLES,
            confidence_level=INTERVAL,
            method="percentile",
            rng=np.random.default_rng(len(values)),
        ).confidence_interval
    return ConfidenceInterval(value, float(found.low), float(found.high))


@dataclass(frozen=True)
class Comparison:
    """First matcher minus second, on the same pairs: the difference of a statistic with its interval, and a test.

    `p_success`: exact McNemar test of equal success (two-sided): the chance of so uneven a split among the pairs where
    just one of the two succeeds, if both were equally good.
    """

    difference: ConfidenceInterval
    only_first: int
    only_second: int
    p_success: float


def compare(first: Values, second: Values, statistic: Callable[[Values], float], success_px: float) -> Comparison:
    """Compare two matchers on the same pairs, in the same order.

    Args:
        first: (N,) errors of the first matcher, infinite for failures.
        second: (N,) errors of the second.
        statistic: Function of the errors, such as the area under the curve.
        success_px: Largest error of a success.
    """
    both = np.stack([first, second], axis=1)
    difference = bootstrap(both, lambda chosen: statistic(chosen[:, 0]) - statistic(chosen[:, 1]))
    only_first = int(((first <= success_px) & (second > success_px)).sum())
    only_second = int(((second <= success_px) & (first > success_px)).sum())
    return Comparison(difference, only_first, only_second, mcnemar(only_first, only_second))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (McNemar, 1947).

    Args:
        only_first: Pairs where only the first matcher succeeds.
        only_second: Pairs where only the second does.
    """
    count = only_first + only_second
    return float(stats.binomtest(only_first, count).pvalue) if count else 1.0
