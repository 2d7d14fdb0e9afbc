"""The verdict by region: where an alignment that is right as a whole is known to be right, and its predicted error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from raster.homography import FloatArray, apply_homography
from raster.pair import RasterPair
from stages.align.limits import Limits
from stages.align.passes import Answer
from stages.align.result import Region

Bounds: TypeAlias = tuple[float, float, float, float]

RAYLEIGH_95 = 2.45
"""Standard deviations of one axis within which 95% of two-dimensional normal errors lie."""


def common_error(halves_px: float, unconfirmed_px: float, reduce: int, limits: Limits) -> float:
    """Return the 95% bound of what may be wrong all over the raster alike, visible px.

    Args:
        halves_px: Distance between the answers of two halves of the windows, visible px.
        unconfirmed_px: How far the answer may be off because the ground alone lies elsewhere, visible px.
        reduce: Visible pixels a working pixel.
        limits: Of the acceptance tests.
    """
    halves = RAYLEIGH_95 * halves_px / 2 / np.sqrt(2)
    return float(np.linalg.norm((halves, unconfirmed_px, limits.bias_px * reduce)))


def judge_regions(pair: RasterPair, answer: Answer, common_95: float) -> list[Region]:
    """Judge each cell of a lattice over the visible raster by the windows in and around it.

    A cell is divided into quarters where some of them lie too far from the windows: there the answer is extrapolated.

    Args:
        pair: The map and the visible raster.
        answer: What its windows say.
        common_95: 95% bound of what may be wrong all over the raster alike, visible px.

    Returns:
        The cells, row by row, or their quarters. The predicted error is a bound that the error of 95% of places shall
        not exceed.
    """
    reduce, limits = answer.reduce, answer.limits
    used = answer.windows.expected[answer.windows.reliable & answer.agreeing]
    last = np.array([pair.visible.width, pair.visible.height]) - 1.0
    found = []
    for cell in _cells(pair, limits.region_px * reduce):
        reaches = [_reach(part, last, used, limits.reach_windows) / reduce for part in _quarters(cell)]
        within = [reach <= limits.max_reach_px for reach in reaches]
        parts = _quarters(cell) if len(set(within)) == 2 else [cell]
        reaches = reaches if len(parts) == 4 else [max(reaches)]
        found += [_judge_region(part, reach, answer, common_95) for part, reach in zip(parts, reaches, strict=True)]
    return found


def _quarters(cell: Bounds) -> list[Bounds]:
    left, top, right, bottom = cell
    x, y = (left + right) / 2, (top + bottom) / 2
    return [(left, top, x, y), (x, top, right, y), (left, y, x, bottom), (x, y, right, bottom)]


def _reach(bounds: Bounds, last: FloatArray, used: FloatArray, count: int) -> float:
    """Return how far the `count` nearest of some points are from the corner that is farthest from them.

    Corners are those of what lies in the raster, whose last pixel is `last`. Infinite without so many points.
    """
    if len(used) < count:
        return float("inf")
    left, top, right, bottom = bounds
    corners = np.clip([[left, top], [right, top], [left, bottom], [right, bottom]], 0, last)
    away = np.linalg.norm(corners[:, None] - used[None], axis=2)
    return float(np.partition(away, count - 1, axis=1)[:, count - 1].max())


def _judge_region(bounds: Bounds, reach_px: float, answer: Answer, common_95: float) -> Region:
    windows, reduce, limits = answer.windows, answer.reduce, answer.limits
    middle = np.array([bounds[0] + bounds[2], bounds[1] + bounds[3]]) / 2
    away = np.abs(windows.expected - middle).max(axis=1, initial=0) / (limits.region_px * reduce / 2)
    own, near = away <= 1.25, away <= 3
    reliable, agreeing = near & windows.reliable, near & answer.agreeing
    used = reliable & agreeing
    share = windows.share(answer.agreeing, near, limits.windows.full_margin)
    reliable_share = float(answer.agreeing[reliable].mean()) if reliable.any() else 0.0
    own_reliable, own_agreeing = int((own & windows.reliable).sum()), int((own & used).sum())
    vectors = (windows.found - apply_homography(answer.homography, windows.source))[used]
    scatter = np.hypot(_scale(vectors), limits.detail_px * reduce) if used.any() else np.inf
    predicted = float(np.hypot(RAYLEIGH_95 * scatter, common_95) * limits.predicted_factor)
    tests = (
        (int(used.sum()) >= limits.region_windows, f"{used.sum()} reliable windows agree in and around it"),
        (
            own_agreeing >= max(limits.region_own_windows, limits.region_agreement * own_reliable),
            f"{own_agreeing} of {own_reliable} reliable windows agree within it",
        ),
        (share >= limits.region_agreement, f"{share:.0%} of the windows agree"),
        (reliable_share >= limits.region_reliable_agreement, f"{reliable_share:.0%} of the reliable windows agree"),
        (
            reach_px <= limits.max_reach_px,
            f"a corner is {reach_px:.0f} px away from the {limits.reach_windows} nearest windows",
        ),
        (common_95 <= limits.max_common_px * reduce, f"all of the raster may be shifted by {common_95:.1f} px"),
        (predicted <= limits.max_predicted_px * reduce, f"the predicted error is {predicted:.1f} px"),
    )
    reason = "; ".join(text for passed, text in tests if not passed)
    residual = float(np.sqrt(np.mean((vectors**2).sum(axis=1)))) if used.any() else None
    shown = "ground" if answer.features.ground else "whole map"
    return Region(bounds, not reason, reason, _finite(predicted), int(used.sum()), share, residual, shown)


def refused_regions(pair: RasterPair, side: int, reason: str) -> list[Region]:
    """Return the cells of `side` visible px, all refused for one reason: what further evidence may carry.

    Args:
        pair: Its visible raster is divided into cells, row by row.
        side: Side of a cell, full-resolution visible pixels; those at the right and lower border reach beyond the
            raster.
        reason: Why each of them is refused.
    """
    return [Region(bounds, False, reason, None, 0, 0.0) for bounds in _cells(pair, side)]


def _cells(pair: RasterPair, side: int) -> Iterator[Bounds]:
    for y in range(0, pair.visible.height, side):
        for x in range(0, pair.visible.width, side):
            yield x - 0.5, y - 0.5, x + side - 0.5, y + side - 0.5


def _scale(values: FloatArray) -> float:
    """Return the robust standard deviation about zero: 1.4826 times the median of the magnitudes."""
    return float(1.4826 * np.median(np.abs(values)))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
