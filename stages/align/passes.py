"""The passes of windows around one candidate: from a coarse homography to an answer, and a second one to test it by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from matcher.dense.windows import window_grid
from raster.homography import FloatArray, apply_homography, inverse
from raster.least_squares import least_squares
from raster.pair import RasterPair
from raster.pixels import outline
from raster.reader import RasterReader
from stages.align.coarse import gsd_ratio
from stages.align.features import Features, harmonics
from stages.align.fine import BLOCK, Layout, Windows, measure
from stages.align.limits import Limits, Pass
from stages.align.model import Fitted, fit_lowest_order
from stages.align.verdict import bounding_corners, corner_distance

Points = tuple[FloatArray, FloatArray]
"""Points (N, 2) on the map and on the visible raster, full-resolution pixels."""

HALVED = 2
"""Working pixels to a pixel of the passes, along each axis. Finer feature maps do not tell the ground better, and cost
several times as much."""

SHIFT_DIRECTION = np.array([0.8, -0.6])
"""Of the shift of the perturbed restart: along neither axis."""

SPARSE_BLOCK = 320
"""Side of the blocks in which the windows of the restart are measured: most blocks of a large raster hold one."""

LATTICE = np.array([0.7548776662466927, 0.5698402909980532])
"""Generator of a rank-1 lattice of low discrepancy in two dimensions: powers of the inverse of the plastic number."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a pass of windows says: measured around `start`, `fitted` is the correction to it in the visible frame.

    `step` names the pass; `features`: what the windows were compared by; `reduce`: visible pixels a pixel of those in
    which it is judged, which are working pixels but for the rough pass.
    """

    step: str
    start: FloatArray
    windows: Windows
    fitted: Fitted
    features: Features
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
    def agreement(self) -> float:
        """Return the share of windows that agree, weighed by their peak margins."""
        return self.windows.share(self.agreeing, np.ones(len(self.windows), bool), self.limits.windows.full_margin)

    @property
    def hopeless(self) -> bool:
        """Whether so few windows agree that a closer look is not worth it."""
        return self.agreement < self.limits.windows.hopeless_agreement

    @property
    def moved(self) -> float:
        """Return the largest move of the correction over what the windows cover, in the pixels it is judged in."""
        return corner_distance(self.fitted.matrix, np.eye(3), bounding_corners(self.windows.expected)) / self.reduce


def measure_closely(pair: RasterPair, start: Answer, features: Features, manual: Points | None) -> list[Answer]:
    """Measure by learned features until the answer stays where it is: a part of the windows, and all of them at last.

    Args:
        pair: The map and the visible raster.
        start: The answer of the rough pass.
        features: What windows are compared by.
        manual: Manual tie points that are fitted too, or None.

    Returns:
        The answers, the last one being the one that counts; none where no two windows hold structure on both sides.
    """
    limits, homography, reduce = start.limits, start.homography, start.reduce // HALVED
    layout = spread_layout(limits.windows.close, pair.visible, HALVED * reduce, limits.max_windows)
    last = limits.windows.max_close
    part = layout
    if last > 1:
        part = replace(layout, corners=layout.corners[_in_part(layout, limits.max_early_windows)])
    answers: list[Answer] = []
    step = "ground" if features.ground else "whole map"
    for number in range(1, last + 1):
        windows = measure(pair, homography, part, features, limits.windows)
        closer = _answer(f"{step} {number}", pair, homography, windows, features, reduce, manual, limits)
        answers += [closer] if closer else []
        if closer is None or closer.agreement < limits.min_agreement / 2:
            break
        settled = closer.moved <= limits.windows.settled_px
        if settled and len(part.corners) == len(layout.corners):
            break
        if settled or number == last - 1:
            part = layout
        homography = closer.homography
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
        What was measured on the way back, and how far the last answer lies from the first: working pixels, at the
        corners of what the windows cover; infinite where no similarity could be fitted.
    """
    reduce, limits = answer.reduce, answer.limits
    layout = _restart_layout(pair, answer)
    there = _displacement(answer.windows.expected, reduce, limits) @ answer.homography
    seen: list[Answer] = []
    apart = float("inf")
    for number in range(1, limits.windows.max_restart + 1):
        found = measure(pair, there, layout, answer.features, limits.windows)
        expected = apply_homography(answer.homography, found.source)
        weights = found.weights(limits.windows.full_margin)
        tolerance = limits.tolerance_px * reduce
        fitted = fit_lowest_order(expected, found.found, weights, tolerance, "similarity", "similarity")
        if fitted is None:
            break
        seen.append(Answer(f"perturbed restart {number}", there, found, fitted, answer.features, reduce, limits))
        apart = corner_distance(fitted.matrix, np.eye(3), bounding_corners(answer.windows.expected)) / reduce
        if apart <= limits.max_disagreement_px:
            break
        there = fitted.matrix @ answer.homography
    return seen, apart


def _restart_layout(pair: RasterPair, answer: Answer) -> Layout:
    """Choose windows at random between those of an answer."""
    again, measured = answer.limits.windows.restart, HALVED * answer.reduce
    centres = answer.windows.expected / measured
    chosen = np.random.default_rng(0).permutation(len(centres))[: again.count]
    step = np.min(np.ptp(centres, axis=0)) / np.sqrt(len(centres)) / 2
    size = min(again.size, *(np.array([pair.visible.width, pair.visible.height]) // measured - 1).tolist())
    limit = np.array([pair.visible.width, pair.visible.height]) // measured - size
    corners = np.clip(np.rint(centres[chosen] - size / 2 + step).astype(np.intp), 0, limit)
    return Layout(measured, size, again.radius, np.unique(corners, axis=0), SPARSE_BLOCK)


def split_half_distance(answer: Answer) -> float:
    """Return the split-half consistency: the distance, in working pixels at the corners, between two halves' answers.

    The halves are the fields of a chequered pattern wider than a window, so that most windows of one half share no
    pixel with the other.
    """
    windows, fitted = answer.windows, answer.fitted
    weights = windows.weights(answer.limits.windows.full_margin)
    parity = chequered(windows.expected)
    corrections = []
    for half in (parity, ~parity):
        ends = windows.expected[half], windows.found[half]
        found = fit_lowest_order(
            *ends, weights[half], answer.limits.tolerance_px * answer.reduce, fitted.kind, fitted.kind
        )
        if half.sum() < 8 or found is None:
            return float("inf")
        corrections.append(found.matrix)
    return corner_distance(corrections[0], corrections[1], bounding_corners(windows.expected)) / answer.reduce


def chequered(points: FloatArray) -> NDArray[np.bool_]:
    """Return which points (N, 2) lie on the black fields of a chequered pattern, eight fields across their extent."""
    cell = max(float(np.ptp(points, axis=0).min()) / 4, 1.0) if len(points) else 1.0
    return np.asarray(np.floor(points / cell).sum(axis=1) % 2).astype(bool)


def measure_roughly(pair: RasterPair, homography: FloatArray, limits: Limits) -> Answer | None:
    """Measure all over the raster by harmonics.

    Of many windows a part is measured first; where it says that the candidate is hopeless, no more are.

    Args:
        pair: The map and the visible raster.
        homography: The candidate: 3x3, map -> visible, full-resolution pixels.
        limits: Of the acceptance tests; they bound the number of windows.

    Returns:
        The answer, None where no two windows hold structure on both sides.
    """
    measured = HALVED * working_reduction(homography, pair.visible)
    features = harmonics(limits.windows.min_structure)
    layout = spread_layout(limits.windows.rough, pair.visible, measured, limits.max_windows)
    first, used = (_in_part(layout, count) for count in (limits.windows.probe, limits.max_early_windows))
    windows = measure(pair, homography, replace(layout, corners=layout.corners[first]), features, limits.windows)
    answer = _answer("rough", pair, homography, windows, features, measured, None, limits)
    rest = used & ~first
    if not rest.any() or answer is None or answer.hopeless:
        return answer
    more = measure(pair, homography, replace(layout, corners=layout.corners[rest]), features, limits.windows)
    return _answer("rough", pair, homography, windows.joined(more), features, measured, None, limits)


def _in_part(layout: Layout, count: int) -> NDArray[np.bool_]:
    """Return which corners (N,) lie in some blocks that hold about `count` of them and are spread evenly (a rank-1
    lattice); all, if half of the blocks would not do. Those of a lower count are among those of a higher one."""
    keys, owner = np.unique(layout.corners // layout.block, axis=0, return_inverse=True)
    blocks = -(-len(keys) * count // max(len(owner), 1))
    chosen = np.argsort((keys @ LATTICE) % 1)[: blocks if 2 * blocks <= len(keys) else None]
    return np.isin(owner.ravel(), chosen)


def _answer(
    step: str,
    pair: RasterPair,
    homography: FloatArray,
    windows: Windows,
    features: Features,
    reduce: int,
    manual: Points | None,
    limits: Limits,
) -> Answer | None:
    """Return what windows say, if they say anything."""
    fitted = _fit(pair, windows, manual, homography, reduce, limits)
    return None if fitted is None else Answer(step, homography, windows, fitted, features, reduce, limits)


def spread_layout(plan: Pass, visible: RasterReader, reduce: int, most: int) -> Layout:
    """Spread the windows of a pass evenly over a raster.

    Args:
        plan: Their size, reach and number.
        visible: The raster.
        reduce: Visible pixels a pixel of the pass.
        most: Their number at most, about.
    """
    width, height = visible.width // reduce, visible.height // reduce
    size = min(plan.size, max(96, min(width, height) // 4), width, height)
    even = int(np.sqrt(max(width - size, 1) * max(height - size, 1) / plan.count))
    sparse = int(np.sqrt(max(width - size, 1) * max(height - size, 1) / most))
    spacing = max(16, min(round(size * plan.spacing), even), sparse)
    return Layout(reduce, size, plan.radius, window_grid(height, width, size, spacing), BLOCK)


def _fit(
    pair: RasterPair,
    windows: Windows,
    manual: Points | None,
    homography: FloatArray,
    reduce: int,
    limits: Limits,
) -> Fitted | None:
    """Fit to the windows, weighed by their peak margins, and to manual points; the verdict is on windows alone.

    The order of a transformation is its order against the georeference, whatever the passes before made of it: a
    similarity is the lowest, as a rotation and a scale that an earlier pass got slightly wrong must not stay.
    """
    weights, source, found = windows.weights(limits.windows.full_margin), windows.source, windows.found
    if not len(windows):
        return None
    base = _without_bending(pair, homography)
    start = homography @ inverse(base)
    if manual is not None:
        source, found = np.concatenate([source, manual[0]]), np.concatenate([found, manual[1]])
        weights = np.concatenate([weights, np.full(len(manual[0]), limits.windows.manual_weight)])
    expected = apply_homography(base, source)
    bending = limits.windows.bending_px * reduce if pair.georeferenced is not None else float("inf")
    tolerance = limits.tolerance_px * reduce
    fitted = fit_lowest_order(expected, found, weights, tolerance, "similarity", bending=bending, start=start)
    if fitted is None:
        return None
    matrix, count = fitted.matrix @ base @ inverse(homography), len(windows)
    return Fitted(fitted.kind, matrix / matrix[2, 2], fitted.residuals[:count], fitted.inliers[:count])


def _without_bending(pair: RasterPair, homography: FloatArray) -> FloatArray:
    """Return the georeference, moved by the similarity that brings it closest to a homography; both map -> visible.

    Without a georeference this is the similarity closest to the homography.
    """
    prior = pair.georeferenced
    corners = outline(pair.visible.width, pair.visible.height)
    source = apply_homography(inverse(homography), corners)
    start = source if prior is None else apply_homography(prior, source)
    similarity = least_squares("similarity", start, corners, np.ones(len(corners)))
    return similarity if prior is None else similarity @ prior


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
