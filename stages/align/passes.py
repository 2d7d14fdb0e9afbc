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
from stages.align.limits import Limits
from stages.align.model import Fitted, fit_lowest_order
from stages.align.verdict import TOLERANCE, bounding_corners, corner_distance

Points = tuple[FloatArray, FloatArray]
"""Points (N, 2) on the map and on the visible raster, full-resolution pixels."""

MANUAL_WEIGHT = 25.0
"""A manual point counts as so many windows."""

UNRELIABLE_WEIGHT = 0.15
"""A window that fails a test of its own counts as so much of one that passes them."""

HOPELESS = 0.3
"""Where fewer windows of the first pass agree, no second is made: it would have to double their number."""

MAX_CLOSE = 3
SETTLED = 2.0
"""The close pass is repeated from its own answer, so many times at most, while that moves by more working pixels."""

ROTATION = np.deg2rad(1.0)
SHIFT = np.array([6.4, -4.8])
"""How far the perturbed restart begins from the answer: by this shift (8 working pixels), and by a rotation about the
windows' centre of a degree or as much as moves none by more than those 8 pixels."""


MIN_INDEPENDENT = 8.0
"""Reliable windows, counted as if they lay side by side, without which the ground alone is not believed."""


@dataclass(frozen=True)
class Pass:
    """Windows of `size` and searches of `radius` working pixels: together a length that transforms fast. About how
    many windows a small raster gets at least; a large one has them `spacing` sizes apart, so that their number grows
    with its area as far as the limits allow."""

    size: int
    radius: int
    count: int
    spacing: float = 0.6


ROUGH = Pass(248, 20, 80)
CLOSE = Pass(296, 12, 180)
AGAIN = Pass(240, 24, 48)
GROUND = Pass(296, 12, 100, 1.0)
"""The first pass, at half the working resolution; the second; the windows of the perturbed restart; and those of the
ground alone."""


MAX_COMPONENT_M2 = 1250.0
"""Square metres of the largest building that is told from the ground."""


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

    @property
    def homography(self) -> FloatArray:
        """Return the corrected homography, map -> visible."""
        matrix = self.fitted.matrix @ self.start
        return np.asarray(matrix / matrix[2, 2])

    @property
    def agreeing(self) -> NDArray[np.bool_]:
        """Return which windows (N,) agree with the correction."""
        return np.asarray(self.fitted.residuals <= TOLERANCE * self.reduce)

    @property
    def hopeless(self) -> bool:
        """Whether so few windows agree that a closer look is not worth it."""
        return bool(self.agreeing.mean() < HOPELESS)

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
    answers = _around("rough", pair, homography, 2 * reduce, None, limits)
    if not answers or answers[0].hopeless:
        return answers, reduce
    for number in range(1, MAX_CLOSE + 1):
        closer = _around(f"close {number}", pair, answers[-1].homography, reduce, manual, limits)
        answers += closer
        if not closer or closer[0].moved <= SETTLED or closer[0].agreeing.mean() < limits.min_agreement / 2:
            break
    return answers, reduce


def working_reduction(homography: FloatArray, visible: RasterReader) -> int:
    """Return how many visible pixels a pixel of the coarser raster spans, to the nearest whole number."""
    ratio = gsd_ratio(homography, visible)
    return max(1, round(ratio)) if np.isfinite(ratio) else 1


def leads_to(homography: FloatArray, answer: FloatArray, visible: RasterReader) -> bool:
    """Return whether a candidate lies so close to an answer, all over the visible raster, that it would lead there."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [visible.width, visible.height]
    apart = corner_distance(homography, answer, apply_homography(inverse(answer), corners))
    return apart <= ROUGH.radius * working_reduction(answer, visible)


def perturbed_restart(pair: RasterPair, answer: Answer) -> tuple[list[Answer], float]:
    """Measure again from a known distance to an answer, on other, fewer windows.

    An answer that merely stays where it was put does not come back.

    Returns:
        This second answer, if there is one, and how far it lies from the first: working pixels, at the corners of what
        the windows cover.
    """
    reduce = answer.reduce
    centres = answer.windows.expected / reduce
    chosen = np.random.default_rng(0).permutation(len(centres))[: AGAIN.count]
    step = np.min(np.ptp(centres, axis=0)) / np.sqrt(len(centres)) / 2
    size = min(AGAIN.size, *(np.array([pair.visible.width, pair.visible.height]) // reduce - 1).tolist())
    limit = np.array([pair.visible.width, pair.visible.height]) // reduce - size
    corners = np.clip(np.rint(centres[chosen] - size / 2 + step).astype(np.intp), 0, limit)
    there = _displacement(answer.windows.expected, reduce) @ answer.homography
    layout = Layout(reduce, size, AGAIN.radius, np.unique(corners, axis=0), block=1)
    found = measure(pair, there, layout)
    expected = apply_homography(answer.homography, found.source)
    weights = np.where(found.reliable, 1.0, UNRELIABLE_WEIGHT)
    fitted = fit_lowest_order(expected, found.found, weights, TOLERANCE * reduce, "similarity", "similarity")
    if fitted is None:
        return [], float("inf")
    apart = corner_distance(fitted.matrix, np.eye(3), bounding_corners(answer.windows.expected)) / reduce
    return [Answer("perturbed restart", there, found, fitted, reduce)], apart


def ground_shift(pair: RasterPair, answer: Answer, limits: Limits) -> tuple[list[Answer], FloatArray]:
    """Measure the shift of the ground alone against an answer: the correction for building lean (relief displacement).

    Roofs are displaced away from the camera, all to one side, and bias whatever is fitted to all of the map. Roads,
    water and fields are not, so the map is matched once more without its small connected components. No shift where
    this is not reliable or nothing says how large a pixel is.

    Returns:
        The answer of the ground's windows, if there is one, and the shift (3x3, visible pixels).
    """
    grid = pair.visible.located
    if grid is None:
        return [], np.eye(3)
    reduce = answer.reduce
    layout = _layout(GROUND, pair.visible, reduce, limits.max_windows)
    layout = replace(layout, min_component=MAX_COMPONENT_M2 / (grid.gsd * reduce) ** 2)
    windows = measure(pair, answer.homography, layout)
    weights = np.where(windows.reliable, 1.0, UNRELIABLE_WEIGHT)
    fitted = fit_lowest_order(windows.expected, windows.found, weights, TOLERANCE * reduce, "shift", "shift")
    if fitted is None:
        return [], np.eye(3)
    found = Answer("ground", answer.homography, windows, fitted, reduce)
    agreeing = found.agreeing[windows.reliable]
    steps = np.diff(np.unique(layout.corners[:, 0]))
    apart = min(1.0, float(steps.min()) / layout.size) if len(steps) else 1.0
    independent = len(agreeing) * apart**2  # windows that overlap say the same
    believed = independent >= MIN_INDEPENDENT and agreeing.mean() >= limits.min_reliable_agreement
    return [found], fitted.matrix if believed else np.eye(3)


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
        weights = np.where(windows.reliable[half], 1.0, UNRELIABLE_WEIGHT)
        ends = windows.expected[half], windows.found[half]
        found = fit_lowest_order(*ends, weights, TOLERANCE * answer.reduce, fitted.kind, fitted.kind)
        if half.sum() < 8 or found is None:
            return float("inf")
        corrections.append(found.matrix)
    return corner_distance(corrections[0], corrections[1], bounding_corners(windows.expected)) / answer.reduce


def _around(
    step: str, pair: RasterPair, homography: FloatArray, reduce: int, manual: Points | None, limits: Limits
) -> list[Answer]:
    """Measure all over the raster and return the one answer, or none."""
    plan = ROUGH if step == "rough" else CLOSE
    windows = measure(pair, homography, _layout(plan, pair.visible, reduce, limits.max_windows))
    fitted = _fit(windows, manual, homography, reduce)
    return [] if fitted is None else [Answer(step, homography, windows, fitted, reduce)]


def _layout(plan: Pass, visible: RasterReader, reduce: int, most: int) -> Layout:
    """Spread the windows of a pass evenly, about `most` at most."""
    width, height = visible.width // reduce, visible.height // reduce
    size = min(plan.size, max(96, min(width, height) // 4), width, height)
    even = int(np.sqrt(max(width - size, 1) * max(height - size, 1) / plan.count))
    sparse = int(np.sqrt(max(width - size, 1) * max(height - size, 1) / most))
    spacing = max(16, min(round(size * plan.spacing), even), sparse)
    return Layout(reduce, size, plan.radius, window_grid(height, width, size, spacing), BLOCK)


def _fit(windows: Windows, manual: Points | None, homography: FloatArray, reduce: int) -> Fitted | None:
    """Fit to the windows, the reliable ones at full weight, and to manual points; the verdict is on windows alone.

    A similarity is the lowest order: a rotation and a scale that an earlier pass got slightly wrong must not stay.
    """
    weights = np.where(windows.reliable, 1.0, UNRELIABLE_WEIGHT)
    expected, found = windows.expected, windows.found
    if not len(windows):
        return None
    if manual is not None:
        expected = np.concatenate([expected, apply_homography(homography, manual[0])])
        found = np.concatenate([found, manual[1]])
        weights = np.concatenate([weights, np.full(len(manual[0]), MANUAL_WEIGHT)])
    fitted = fit_lowest_order(expected, found, weights, TOLERANCE * reduce, "similarity")
    if fitted is None:
        return None
    count = len(windows)
    return Fitted(fitted.kind, fitted.matrix, fitted.residuals[:count], fitted.inliers[:count])


def _displacement(points: FloatArray, reduce: int) -> FloatArray:
    centre = (points.min(0) + points.max(0)) / 2
    reach = max(float(np.linalg.norm(points - centre, axis=1).max()), 1.0)
    angle = min(ROTATION, float(np.linalg.norm(SHIFT)) * reduce / reach)
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre + SHIFT * reduce - linear @ centre
    return matrix
