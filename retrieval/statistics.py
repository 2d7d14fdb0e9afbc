"""Intervals and tests by landmark: images of one landmark are not independent, so whole landmarks are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 0


@dataclass(frozen=True)
class Interval:
    """A figure with its 95% interval over the choice of landmarks."""

    value: float
    low: float
    high: float


def mean_by_landmark(values: Values, landmarks: npt.NDArray[np.int64]) -> Interval:
    """Return the mean over queries with a cluster bootstrap interval.

    Args:
        values: (Q,) a figure of each query.
        landmarks: (Q,) the landmark that each query shows.

    Returns:
        The mean of all queries, and percentiles of the means when landmarks are drawn with replacement, each with all
        its queries (Davison and Hinkley, Bootstrap Methods, 1997, section 3.8). The same values give the same numbers.
    """
    _, members = np.unique(landmarks, return_inverse=True)
    sums = np.bincount(members, values)
    counts = np.bincount(members).astype(np.float64)
    value = float(values.mean())
    if len(sums) < 2:
        return Interval(value, value, value)
    drawn = [float(sums[chosen].sum() / counts[chosen].sum()) for chosen in _resamples(len(sums))]
    return _interval(value, drawn)


def median_by_landmark(values: Values, landmarks: npt.NDArray[np.int64]) -> Interval:
    """Return the median over queries with a cluster bootstrap interval; see `mean_by_landmark`.

    Args:
        values: (Q,) a figure of each query.
        landmarks: (Q,) the landmark that each query shows; all queries of one are drawn together.
    """
    value = float(np.median(values))
    order = np.argsort(values, kind="stable")
    _, members = np.unique(landmarks, return_inverse=True)
    count = int(members.max()) + 1
    if count < 2:
        return Interval(value, value, value)
    drawn = []
    for chosen in _resamples(count):
        weights = np.bincount(chosen, minlength=count)[members[order]]
        total = np.cumsum(weights)
        low, high = np.searchsorted(total, [(total[-1] + 1) // 2, total[-1] // 2 + 1])
        drawn.append(float(values[order[[low, high]]].mean()))
    return _interval(value, drawn)


@dataclass(frozen=True)
class PairedTest:
    """First model minus second on the same queries: the difference of means, its interval, and a two-sided p-value."""

    difference: Interval
    p_value: float


def compare_by_landmark(first: Values, second: Values, landmarks: npt.NDArray[np.int64]) -> PairedTest:
    """Compare two models on the same queries.

    Args:
        first: (Q,) a figure of each query under the first model.
        second: The same queries under the second.
        landmarks: (Q,) the landmark that each query shows.

    Returns:
        The difference with a cluster bootstrap interval, and the p-value of a sign-flip permutation test in which all
        queries of a landmark change sign together.
    """
    difference = first - second
    _, members = np.unique(landmarks, return_inverse=True)
    sums = np.bincount(members, difference)
    generator = np.random.default_rng(_SEED)
    flipped = [abs(generator.choice([-1.0, 1.0], len(sums)) @ sums) for _ in range(RESAMPLES)]
    as_extreme = np.array(flipped) >= abs(sums.sum()) * (1 - 1e-12)
    p_value = (1 + int(as_extreme.sum())) / (1 + RESAMPLES)
    return PairedTest(mean_by_landmark(difference, landmarks), p_value)


def _interval(value: float, drawn: list[float]) -> Interval:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def _resamples(count: int) -> Iterator[npt.NDArray[np.int64]]:
    generator = np.random.default_rng(_SEED)
    return (generator.integers(0, count, count) for _ in range(RESAMPLES))
