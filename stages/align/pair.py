"""Aligning one pair of rasters: prior, coarse, fine, manual points, verdict. All that was measured is returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stages.align.coarse import coarse_candidates, gsd_ratio, prior_of
from stages.align.fine import Scheme, Windows, measure
from stages.align.local import Local, local_field
from stages.align.manual import fit_manual
from stages.align.model import Fitted, fit_least_free
from stages.align.result import Alignment, Transform
from stages.align.source import Side
from stages.align.verdict import MIN_AGREEMENT, TOLERANCE, Check, bounding_corners, corner_distance, judge
from stages.grid import FloatArray, apply_homography
from stages.tiepoints import TiePoint, arrays

FIRST = {"size": 256, "radius": 20, "count": 80}
SECOND = {"size": 320, "radius": 12, "count": 200}
"""Windows (pixels) of both passes of the fine step, the first at half the working resolution, and about how many a
small raster gets at least; a large one has them half a size apart, so that their number grows with its area."""

MANUAL_WEIGHT = 25.0
"""A manual point counts as so many windows."""

MAX_CANDIDATES = 5

MAX_PASSES = 3
SETTLED = 1.0
"""The second pass is repeated from its own answer, so many times at most, until that moves by so many working pixels
or less: the answer of another start. It is not repeated where far too few windows agree."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an alignment rests on. `windows` and `fitted` are those of the best candidate, `coarse` its start."""

    alignment: Alignment
    prior: FloatArray | None
    windows: Windows | None = None
    fitted: Fitted | None = None
    checks: Sequence[Check] = ()
    local: Local | None = None
    points: Sequence[TiePoint] = ()
    agreeing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    point_residuals: FloatArray = field(default_factory=lambda: np.zeros(0))
    reduce: int = 1


def align_pair(map_side: Side, visible_side: Side, points: Sequence[TiePoint] = (), matcher: str = "cfog") -> Evidence:
    """Align a pair by `matcher` (a name that `matcher.load_matcher` knows) and the manual points there are.

    The answer depends on the rasters, the points and the matcher only.
    """
    prior = prior_of(map_side, visible_side)
    manual, agreeing, residuals = fit_manual(list(points))
    best: Evidence | None = None
    candidates = (
        iter([("manual", manual)]) if manual is not None else coarse_candidates(map_side, visible_side, prior, matcher)
    )
    for tried, (method, homography) in enumerate(candidates):
        evidence = _closely(map_side, visible_side, homography, method, prior, points, agreeing)
        if best is None or _rank(evidence) > _rank(best):
            best = evidence
        if evidence.alignment.verdict == "accepted" or tried + 1 == MAX_CANDIDATES:
            break
    if best is None:
        nowhere = Transform(np.eye(3) if prior is None else prior, None, 0)
        reason = "no pose at which map and visible raster share structure was found; mark tie points by hand"
        best = Evidence(Alignment(nowhere, matcher, "needs-manual", reason, 0.0, 0.0), prior)
    best = replace(best, points=points, agreeing=agreeing, point_residuals=residuals)
    return _with_manual(best, manual, map_side, visible_side) if len(points) else best


def _rank(evidence: Evidence) -> tuple[bool, float]:
    """Order candidates: accepted ones first, then by how much of what was measured agrees."""
    return evidence.alignment.verdict == "accepted", evidence.alignment.confidence or 0.0


def _closely(
    map_side: Side,
    visible_side: Side,
    homography: FloatArray,
    method: str,
    prior: FloatArray | None,
    points: Sequence[TiePoint],
    agreeing: NDArray[np.bool_],
) -> Evidence:
    """Measure around a candidate twice, the second time from what the first says; judge the outcome."""
    ratio = gsd_ratio(homography, visible_side)
    reduce = max(1, round(ratio)) if np.isfinite(ratio) else 1
    manual = agreeing_arrays(points, agreeing) if agreeing.any() else None
    first = measure(map_side, visible_side, homography, _scheme(FIRST, visible_side, 2 * reduce))
    initial = _fit(first, None, 2 * reduce)
    if initial is None:
        return _empty(homography, method, prior, reduce, "no window holds structure on both sides")
    started = initial.matrix @ homography
    settled = _settle(map_side, visible_side, started, reduce, manual)
    if settled is None:
        return _empty(started, method, prior, reduce, "no window holds structure on both sides")
    started, windows, fitted = settled
    checks = judge(windows, fitted, _independent(windows, fitted, reduce), reduce)
    failed = [check.text for check in checks if not check.passed]
    matrix = fitted.matrix @ started
    matrix /= matrix[2, 2]
    local = local_field(windows, fitted, reduce)
    agree = fitted.residuals <= TOLERANCE * reduce
    used = agree & windows.reliable
    residual = float(np.sqrt(np.mean(fitted.residuals[used] ** 2))) if used.any() else None
    alignment = Alignment(
        Transform(matrix, residual, int(used.sum())),
        method if method == "cfog" else f"{method}+cfog",
        "needs-manual" if failed else "accepted",
        "; ".join(failed),
        coverage=_coverage(windows.expected[used], visible_side, reduce),
        confidence=float(agree.mean()),
        patches=() if failed else local.patches(matrix, visible_side, windows, fitted),
    )
    return Evidence(alignment, prior, windows, fitted, checks, local, reduce=reduce)


def _settle(
    map_side: Side,
    visible_side: Side,
    homography: FloatArray,
    reduce: int,
    manual: tuple[FloatArray, FloatArray] | None,
) -> tuple[FloatArray, Windows, Fitted] | None:
    """Measure at working resolution until the answer stays: the last start, what it measured, the correction to it."""
    settled = None
    for _ in range(MAX_PASSES):
        windows = measure(map_side, visible_side, homography, _scheme(SECOND, visible_side, reduce))
        fitted = _fit(windows, None if manual is None else _expected(manual, homography), reduce)
        if fitted is None:
            break
        settled = homography, windows, fitted
        moved = corner_distance(fitted.matrix, np.eye(3), bounding_corners(windows.expected)) / reduce
        agreement = float((fitted.residuals <= TOLERANCE * reduce).mean())
        if moved <= SETTLED or agreement < MIN_AGREEMENT / 2:
            break
        homography = fitted.matrix @ homography
    return settled


def _empty(homography: FloatArray, method: str, prior: FloatArray | None, reduce: int, reason: str) -> Evidence:
    alignment = Alignment(Transform(homography, None, 0), method, "needs-manual", reason, 0.0, 0.0)
    return Evidence(alignment, prior, reduce=reduce)


def _scheme(plan: dict[str, int], visible_side: Side, reduce: int) -> Scheme:
    width, height = visible_side.width // reduce, visible_side.height // reduce
    size = min(plan["size"], max(96, min(width, height) // 4))
    even = int(np.sqrt(max(width - size, 1) * max(height - size, 1) / plan["count"]))
    return Scheme(reduce, size, max(16, min(size // 2, even)), plan["radius"])


def _fit(windows: Windows, manual: tuple[FloatArray, FloatArray] | None, reduce: int) -> Fitted | None:
    """Fit to the windows, the sure ones at full weight, and to manual points; the verdict is on windows alone."""
    weights = np.where(windows.reliable, 1.0, 0.15)
    expected, found = windows.expected, windows.found
    if manual is not None:
        expected, found = np.concatenate([expected, manual[0]]), np.concatenate([found, manual[1]])
        weights = np.concatenate([weights, np.full(len(manual[0]), MANUAL_WEIGHT)])
    if len(expected) < 2:
        return None
    fitted = fit_least_free(expected, found, weights, TOLERANCE * reduce)
    if fitted is None:
        return None
    count = len(windows)
    return Fitted(fitted.kind, fitted.matrix, fitted.residuals[:count], fitted.inliers[:count])


def agreeing_arrays(points: Sequence[TiePoint], agreeing: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return the agreeing manual points on the map and on the visible raster."""
    source, target = arrays(points)
    return source[agreeing], target[agreeing]


def _expected(manual: tuple[FloatArray, FloatArray], homography: FloatArray) -> tuple[FloatArray, FloatArray]:
    return apply_homography(homography, manual[0]), manual[1]


def _independent(windows: Windows, fitted: Fitted, reduce: int) -> dict[str, float]:
    """Return how far apart independent answers lie: two halves of the windows, and the start of the second pass.

    The halves are the left and right parts of a chequered pattern whose fields are wider than a window, so that most
    windows of one half share no pixel with the other.
    """
    distances = {}
    corners = bounding_corners(windows.expected)
    cell = max(float(np.ptp(windows.expected, axis=0).min()) / 4, 1.0)
    parity = (np.floor(windows.expected / cell).sum(axis=1) % 2).astype(bool)
    halves = []
    for half in (parity, ~parity):
        weights = np.where(windows.reliable[half], 1.0, 0.15)
        if half.sum() >= 8:
            halves.append(_same_kind(fitted, windows.expected[half], windows.found[half], weights, reduce))
    apart = corner_distance(halves[0], halves[1], corners) / reduce if len(halves) == 2 else np.inf
    distances["halves"] = apart
    distances["two starts"] = corner_distance(fitted.matrix, np.eye(3), corners) / reduce
    return distances


def _same_kind(fitted: Fitted, expected: FloatArray, found: FloatArray, weights: FloatArray, reduce: int) -> FloatArray:
    half = fit_least_free(expected, found, weights, TOLERANCE * reduce, only=fitted.kind)
    return np.full((3, 3), np.inf) if half is None else half.matrix


def _coverage(points: FloatArray, visible_side: Side, reduce: int) -> float:
    """Return the share of cells of a 8 x 8 lattice over the visible raster that hold an inlier."""
    if not len(points):
        return 0.0
    cells = np.floor(points / (visible_side.width, visible_side.height) * 8).astype(int)
    return len(np.unique(np.clip(cells, 0, 7), axis=0)) / 64


def _with_manual(evidence: Evidence, manual: FloatArray | None, map_side: Side, visible_side: Side) -> Evidence:
    """Let the manual points have their say: they may carry a pair that the windows cannot, never the reverse."""
    alignment = evidence.alignment
    contradicting = [p.name for p, agrees in zip(evidence.points, evidence.agreeing, strict=True) if not agrees]
    said = f"manual points that contradict the rest: {', '.join(contradicting)}" if contradicting else ""
    if manual is None:
        reason = "; ".join(part for part in (alignment.reason, "the manual points do not agree", said) if part)
        return replace(evidence, alignment=replace(alignment, verdict="needs-manual", reason=reason))
    source, target = agreeing_arrays(evidence.points, evidence.agreeing)
    residuals = np.linalg.norm(apply_homography(alignment.transform.homography, source) - target, axis=1)
    own = evidence.point_residuals[evidence.agreeing]
    limit = max(10.0 * evidence.reduce, 3 * float(np.median(own)))
    if alignment.verdict == "accepted" and np.median(residuals) <= limit:
        return replace(evidence, alignment=replace(alignment, reason=said))
    if alignment.verdict == "accepted":
        reason = f"the manual points lie {np.median(residuals):.1f} px from what the windows say; check both"
        return replace(evidence, alignment=replace(alignment, verdict="needs-manual", reason=reason, patches=()))
    enough = int(evidence.agreeing.sum()) >= 4
    rms = float(np.sqrt(np.mean(own**2)))
    carried = Alignment(
        Transform(manual, rms, int(evidence.agreeing.sum())),
        "manual",
        "accepted" if enough else "needs-manual",
        "; ".join(
            part
            for part in (said, "" if enough else "fewer than four manual points agree", f"windows: {alignment.reason}")
            if part
        ),
        coverage=_coverage(target, visible_side, 1),
        confidence=float(evidence.agreeing.mean()),
    )
    return replace(evidence, alignment=carried)
