"""The passes of windows around one candidate: from a coarse homography to an answer, and a second one to test it by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from matcher.dense.windows import window_grid
from raster.homography import FloatArray, apply_homography, inverse
from raster.pair import RasterPair
from raster.reader import RasterReader
from stages.align.coarse import gsd_ratio
from stages.align.fine import BLOCK, Layout, Windows, measure
from stages.align.limits import Limits, Pass
from stages.align.model import Fitted, fit_lowest_order
from stages.align.verdict import bounding_corners, corner_distance

Points = tuple[FloatArray, FloatArray]
"""Points (N, 2) on the map and on the visible raster, full-resolution pixels."""

SHIFT_DIRECTION = np.array([0.8, -0.6])
"""Of the shift of the perturbed restart: along neither axis."""


LATTICE = np.array([0.7548776662466927, 0.5698402909980532])
"""Generator of a rank-1 lattice of low discrepancy in two dimensions: powers of the inverse of the plastic number."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a pass of windows says: measured around `start`, `fitted` is the correction to it in the visible frame.

    `step` names the pass; `reduce`: visible pixels a pixel that it was measured in.
    """

    step: str
    start: FloatArray
    windows: Windows
    fitted: Fitted
    reduce: int
    limits: Limits

    @property
    def homography(self) -> FloatArray:
        """Return the corrected homography, map -> visible."""
        matrix = self.fitted.matrix @ self.start
        return np.asarray(matrix / matrix[2, 2])

    @property
    def agreeing(self) -> NDArray[np.bool_]:
        """Return which windows (N,) agree with the correction."""
        return np.asarray(self.fitted.residuals <= self.limits.tolerance_px * self.reduce)

    @property
    def hopeless(self) -> bool:
        """Whether so few windows agree that a closer look is not worth it."""
        return bool(self.agreeing.mean() < self.limits.windows.hopeless_agreement)

    @property
    def moved(self) -> float:
        """Return the largest move of the correction over what the windows cover, in the pixels it was measured in."""
        return corner_distance(self.fitted.matrix, np.eye(3), bounding_corners(self.windows.expected)) / self.reduce


def approach(
    pair: RasterPair, homography: FloatArray, manual: Points | None, limits: Limits
) -> tuple[list[Answer], int]:
    """Measure around a candidate, at half the working resolution, then at it until the answer stays where it is.

    Args:
        pair: The map and the visible raster.
        homography: The candidate: 3x3, map -> visible, full-resolution pixels.
        manual: Manual tie points that are fitted too, or None.
        limits: Of the acceptance tests; they bound the number of windows.

    Returns:
        The answers, the last one being the one that counts, none where no two windows hold structure on both sides; and
        the working reduction: visible pixels a pixel of the coarser of both rasters.
    """
    reduce = working_reduction(homography, pair.visible)
    answers = _rough(pair, homography, 2 * reduce, limits)
    if not answers or answers[0].hopeless:
        return answers, reduce
    return answers + _close("close", pair, answers[-1].homography, reduce, manual, limits), reduce


def _close(
    name: str,
    pair: RasterPair,
    homography: FloatArray,
    reduce: int,
    manual: Points | None,
    limits: Limits,
) -> list[Answer]:
    """Measure at the working resolution until the answer stays where it is: a part of the windows, and all at last."""
    layout, last = _layout(limits.windows.close, pair.visible, reduce, limits.max_windows), limits.windows.max_close
    part = layout
    if last > 1:
        part = replace(layout, corners=layout.corners[_in_part(layout, limits.max_early_windows)])
    answers: list[Answer] = []
    for number in range(1, last + 1):
        windows = measure(pair, homography, part, limits.windows)
        closer = _answer(f"{name} {number}", homography, windows, reduce, manual, limits)
        answers += closer
        if not closer or closer[0].agreeing.mean() < limits.min_agreement / 2:
            break
        settled = closer[0].moved <= limits.windows.settled_px
        if settled and len(part.corners) == len(layout.corners):
            break
        if settled or number == last - 1:
            part = layout
        homography = closer[0].homography
    return answers


def working_reduction(homography: FloatArray, visible: RasterReader) -> int:
    """Return how many visible pixels a pixel of the coarser raster spans, to the nearest whole number.

    Args:
        homography: 3x3, map -> visible, full-resolution pixels.
        visible: The visible raster, at whose centre the ratio is taken.

    Returns:
        At least 1, which it is where the visible raster is the coarser one or the homography is degenerate.
    """
    ratio = gsd_ratio(homography, visible)
    return max(1, round(ratio)) if np.isfinite(ratio) else 1


def leads_to(homography: FloatArray, answer: FloatArray, visible: RasterReader, limits: Limits) -> bool:
    """Return whether a candidate lies so close to an answer, all over the visible raster, that it would lead there.

    Args:
        homography: The candidate: 3x3, map -> visible, full-resolution pixels.
        answer: Homography of an answer that another candidate gave, in the same frame.
        visible: The raster at whose corners both are compared.
        limits: The search radius of the rough pass, counted in working pixels, is the largest distance: half of what
            that pass reaches.
    """
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [visible.width, visible.height]
    apart = corner_distance(homography, answer, apply_homography(inverse(answer), corners))
    return apart <= limits.windows.rough.radius * working_reduction(answer, visible)


def perturbed_restart(pair: RasterPair, answer: Answer) -> tuple[list[Answer], float]:
    """Measure again from a known distance to an answer, on other, fewer windows.

    An answer that merely stays where it was put does not come back.

    Args:
        pair: The map and the visible raster.
        answer: The answer to be tested; windows are placed between its own.

    Returns:
        This second answer, if there is one, and how far it lies from the first: working pixels, at the corners of what
        the windows cover; infinite where no similarity could be fitted.
    """
    reduce, limits = answer.reduce, answer.limits
    again = limits.windows.restart
    centres = answer.windows.expected / reduce
    chosen = np.random.default_rng(0).permutation(len(centres))[: again.count]
    step = np.min(np.ptp(centres, axis=0)) / np.sqrt(len(centres)) / 2
    size = min(again.size, *(np.array([pair.visible.width, pair.visible.height]) // reduce - 1).tolist())
    limit = np.array([pair.visible.width, pair.visible.height]) // reduce - size
    corners = np.clip(np.rint(centres[chosen] - size / 2 + step).astype(np.intp), 0, limit)
    there = _displacement(answer.windows.expected, reduce, limits) @ answer.homography
    layout = Layout(reduce, size, again.radius, np.unique(corners, axis=0), 1)
    found = measure(pair, there, layout, limits.windows)
    expected = apply_homography(answer.homography, found.source)
    weights = np.where(found.reliable, 1.0, limits.windows.unreliable_weight)
    fitted = fit_lowest_order(expected, found.found, weights, limits.tolerance_px * reduce, "similarity", "similarity")
    if fitted is None:
        return [], float("inf")
    apart = corner_distance(fitted.matrix, np.eye(3), bounding_corners(answer.windows.expected)) / reduce
    return [Answer("perturbed restart", there, found, fitted, reduce, limits)], apart


def split_half_distance(answer: Answer) -> float:
    """Return the split-half consistency: the distance, in working pixels at the corners, between two halves' answers.

    The halves are the fields of a chequered pattern wider than a window, so that most windows of one half share no
    pixel with the other.
    """
    windows, fitted = answer.windows, answer.fitted
    cell = max(float(np.ptp(windows.expected, axis=0).min()) / 4, 1.0)
    parity = (np.floor(windows.expected / cell).sum(axis=1) % 2).astype(bool)
    corrections = []
    for half in (parity, ~parity):
        weights = np.where(windows.reliable[half], 1.0, answer.limits.windows.unreliable_weight)
        ends = windows.expected[half], windows.found[half]
        found = fit_lowest_order(*ends, weights, answer.limits.tolerance_px * answer.reduce, fitted.kind, fitted.kind)
        if half.sum() < 8 or found is None:
            return float("inf")
        corrections.append(found.matrix)
    return corner_distance(corrections[0], corrections[1], bounding_corners(windows.expected)) / answer.reduce


def _rough(pair: RasterPair, homography: FloatArray, reduce: int, limits: Limits) -> list[Answer]:
    """Measure all over the raster at half the working resolution and return the one answer, or none.

    Of many windows a part is measured first; where it says that the candidate is hopeless, no more are.
    """
    layout = _layout(limits.windows.rough, pair.visible, reduce, limits.max_windows)
    first, used = (_in_part(layout, count) for count in (limits.windows.probe, limits.max_early_windows))
    windows = measure(pair, homography, replace(layout, corners=layout.corners[first]), limits.windows)
    answers = _answer("rough", homography, windows, reduce, None, limits)
    rest = used & ~first
    if not rest.any() or not answers or answers[0].hopeless:
        return answers
    more = measure(pair, homography, replace(layout, corners=layout.corners[rest]), limits.windows)
    return _answer("rough", homography, windows.joined(more), reduce, None, limits)


def _in_part(layout: Layout, count: int) -> NDArray[np.bool_]:
    """Return which corners (N,) lie in some blocks that hold about `count` of them and are spread evenly (a rank-1
    lattice); all, if half of the blocks would not do. Those of a lower count are among those of a higher one."""
    keys, owner = np.unique(layout.corners // layout.block, axis=0, return_inverse=True)
    blocks = -(-len(keys) * count // max(len(owner), 1))
    chosen = np.argsort((keys @ LATTICE) % 1)[: blocks if 2 * blocks <= len(keys) else None]
    return np.isin(owner.ravel(), chosen)


def _answer(
    step: str,
    homography: FloatArray,
    windows: Windows,
    reduce: int,
    manual: Points | None,
    limits: Limits,
) -> list[Answer]:
    """Return what windows say, or nothing."""
    fitted = _fit(windows, manual, homography, reduce, limits)
    return [] if fitted is None else [Answer(step, homography, windows, fitted, reduce, limits)]


def _layout(plan: Pass, visible: RasterReader, reduce: int, most: int) -> Layout:
    """Spread the windows of a pass evenly, about `most` at most."""
    width, height = visible.width // reduce, visible.height // reduce
    size = min(plan.size, max(96, min(width, height) // 4), width, height)
    even = int(np.sqrt(max(width - size, 1) * max(height - size, 1) / plan.count))
    sparse = int(np.sqrt(max(width - size, 1) * max(height - size, 1) / most))
    spacing = max(16, min(round(size * plan.spacing), even), sparse)
    return Layout(reduce, size, plan.radius, window_grid(height, width, size, spacing), BLOCK)


def _fit(windows: Windows, manual: Points | None, homography: FloatArray, reduce: int, limits: Limits) -> Fitted | None:
    """Fit to the windows, the reliable ones at full weight, and to manual points; the verdict is on windows alone.

    A similarity is the lowest order: a rotation and a scale that an earlier pass got slightly wrong must not stay.
    """
    weights = np.where(windows.reliable, 1.0, limits.windows.unreliable_weight)
    expected, found = windows.expected, windows.found
    if not len(windows):
        return None
    if manual is not None:
        expected = np.concatenate([expected, apply_homography(homography, manual[0])])
        found = np.concatenate([found, manual[1]])
        weights = np.concatenate([weights, np.full(len(manual[0]), limits.windows.manual_weight)])
    fitted = fit_lowest_order(expected, found, weights, limits.tolerance_px * reduce, "similarity")
    if fitted is None:
        return None
    count = len(windows)
    return Fitted(fitted.kind, fitted.matrix, fitted.residuals[:count], fitted.inliers[:count])


def _displacement(points: FloatArray, reduce: int, limits: Limits) -> FloatArray:
    centre = (points.min(0) + points.max(0)) / 2
    reach = max(float(np.linalg.norm(points - centre, axis=1).max()), 1.0)
    shift = limits.windows.restart_px * reduce
    angle = min(np.deg2rad(limits.windows.restart_deg), shift / reach)
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre + SHIFT_DIRECTION * shift - linear @ centre
    return matrix
