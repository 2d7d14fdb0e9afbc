"""Bootstrap intervals over the pairs of a set, and tests of one matcher against another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

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
    resampled = [statistic(values[chosen]) for chosen in _resamples(len(values))]
    low, high = np.quantile(resampled, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return ConfidenceInterval(value, float(low), float(high))


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
    value = statistic(first) - statistic(second)
    differences = [value]  # with one pair nothing is known of its spread
    if len(first) > 1:
        differences = [statistic(both[chosen, 0]) - statistic(both[chosen, 1]) for chosen in _resamples(len(first))]
    low, high = np.quantile(differences, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    only_first = int(((first <= success_px) & (second > success_px)).sum())
    only_second = int(((second <= success_px) & (first > success_px)).sum())
    estimate = ConfidenceInterval(value, float(low), float(high))
    return Comparison(estimate, only_first, only_second, mcnemar(only_first, only_second))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (McNemar, 1947).

    Args:
        only_first: Pairs where only the first matcher succeeds.
        only_second: Pairs where only the second does.
    """
    count = only_first + only_second
    if count == 0:
        return 1.0
    tail = sum(comb(count, k) for k in range(min(only_first, only_second) + 1)) / 2**count
    return min(1.0, 2 * tail)


def _resamples(count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(count).integers(0, count, (RESAMPLES, count))
