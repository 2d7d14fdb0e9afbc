"""Aligning one pair of rasters: prior, coarse, fine, manual points, verdict. All that was measured is returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray, apply_homography
from raster.manual.verdict import PointLimits, PointVerdict
from raster.pair import RasterPair
from raster.pixels import outline
from raster.reader import RasterReader
from stages.align.coarse import coarse_candidates
from stages.align.features import Features, chosen_features
from stages.align.fine import Windows
from stages.align.georeference import overlap_share
from stages.align.judging import judge_answer
from stages.align.limits import DEFAULTS, Limits
from stages.align.local import Local, local_field
from stages.align.manual import carry_regions, judge_manual
from stages.align.model import Fitted
from stages.align.passes import Answer, Points, leads_to, measure_closely, measure_roughly
from stages.align.regions import refused_regions
from stages.align.result import Alignment, Transform
from stages.align.verdict import Check
from stages.tiepoints import TiePoint, arrays


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an alignment rests on.

    The `windows` of the last pass around the best candidate and what was `fitted` to them, the `checks` they had to
    pass, the `others` (earlier passes, the perturbed restart), which windows agree (`window_agreeing`); the manual
    `points`, which of them are `agreeing`, and what they say alone (`manual`). `reduce`: visible pixels a working
    pixel; `limits`: what it was judged by.
    """

    alignment: Alignment
    prior: FloatArray | None
    windows: Windows | None = None
    fitted: Fitted | None = None
    checks: Sequence[Check] = ()
    local: Local | None = None
    others: Sequence[Answer] = ()
    window_agreeing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    points: Sequence[TiePoint] = ()
    agreeing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    manual: PointVerdict | None = None
    reduce: int = 1
    limits: Limits = DEFAULTS

    @property
    def accepted(self) -> bool:
        """Whether the alignment may be passed on."""
        return self.alignment.verdict == "accepted"


def align_pair(
    pair: RasterPair,
    points: Sequence[TiePoint] = (),
    matcher: str = "cfog",
    limits: Limits = DEFAULTS,
    point_limits: PointLimits | None = None,
) -> Evidence:
    """Align a pair of rasters.

    The answer depends on the rasters, the points, the matcher and the limits only.

    Args:
        pair: The map and the visible raster.
        points: Manual tie points; none by default.
        matcher: Name of the matcher of the coarse step (see `matcher.load_matcher`).
        limits: Of the acceptance tests of windows and regions.
        point_limits: What manual points must fulfil to carry the pair without the windows; defaults if None.

    Returns:
        The alignment, accepted or not, with all that was measured.
    """
    prior = pair.georeferenced
    sizes = (pair.map.width, pair.map.height), (pair.visible.width, pair.visible.height)
    manual = judge_manual(points, *sizes, point_limits)
    best = Evidence(_nowhere(prior, matcher), prior, limits=limits)
    if manual.homography is not None:
        source, target = arrays(points)
        marked = source[manual.agreeing], target[manual.agreeing]
        best = _best(pair, [("manual", manual.homography)], best, marked, limits)
    if not best.accepted:  # manual points or none, what the rasters alone say counts
        best = _best(pair, coarse_candidates(pair, prior, matcher), best, None, limits)
    if not points:
        return best
    best = replace(best, points=points, agreeing=manual.agreeing, manual=manual)
    if not best.accepted:
        judged = _carried(best, manual)
    else:
        judged = _confirmed(best, (point_limits or PointLimits()).max_window_distance_px * best.reduce)
        if not judged.accepted:  # points and windows contradict each other: neither is believed anywhere
            return judged
    return _carried_by_region(pair, judged, manual, limits, point_limits)


def _best(
    pair: RasterPair,
    candidates: Iterable[tuple[str, FloatArray]],
    best: Evidence,
    manual: Points | None,
    limits: Limits,
) -> Evidence:
    """Return the first candidate that is accepted, or whichever has most of what was measured agree."""
    known = [] if best.windows is None else [best.alignment.transform.homography]
    for method, homography in candidates:
        if any(leads_to(homography, other, pair.visible, limits) for other in known):
            continue
        rough = measure_roughly(pair, homography, limits)
        if rough is None:
            continue
        if not rough.hopeless:
            known.append(rough.homography)
        for evidence in _closely(pair, rough, method, best.prior, manual):
            if evidence.accepted:
                return evidence
            if best.windows is None or (evidence.alignment.agreement or 0) > (best.alignment.agreement or 0):
                best = evidence
    return best


def _closely(
    pair: RasterPair, rough: Answer, method: str, prior: FloatArray | None, manual: Points | None
) -> Iterator[Evidence]:
    """Yield the evidence of the ground and, if the caller goes on, that of all of the map; where the rough pass is
    hopeless, its own alone."""
    limits = rough.limits
    located = pair.visible.located
    gsd = located.gsd * rough.reduce if located else float("inf")
    told = gsd <= limits.windows.max_building_gsd_m
    ground = chosen_features(limits.windows, limits.windows.max_building_m2 / gsd**2 if told else None)
    if rough.hopeless:
        yield _judged(pair, [rough], ground, method, prior)
        return
    answers = [rough]
    for features in [ground, chosen_features(limits.windows, None)][: 2 if ground.ground else 1]:
        closer = measure_closely(pair, rough, features, manual)
        if not closer and len(answers) > 1:
            return
        answers += closer
        yield _judged(pair, answers, ground, method, prior)


def _judged(
    pair: RasterPair,
    answers: list[Answer],
    ground: Features,
    method: str,
    prior: FloatArray | None,
) -> Evidence:
    """Judge the last answer and return the evidence."""
    *earlier, answer = answers
    judged = judge_answer(pair, answers[0], answer, ground)
    failed, regions = list(judged.failed), judged.regions
    windows, homography = answer.windows, judged.homography
    if not failed and not any(region.accepted for region in regions):
        commonest = Counter(region.reason for region in regions).most_common(1)
        failed.append("no region is accepted" + "".join(f": {reason}" for reason, _ in commonest))
    used = answer.agreeing & windows.reliable
    residual = float(np.sqrt(np.mean(answer.fitted.residuals[used] ** 2))) if used.any() else None
    local = local_field(windows, answer.fitted)
    refused = sum(not region.accepted for region in regions)
    partly = f"{refused} of {len(regions)} regions are refused" if refused else ""
    alignment = Alignment(
        Transform(homography, residual, int(used.sum())),
        "+".join(dict.fromkeys([method, answer.features.name])),
        "needs-manual" if failed else "accepted",
        "; ".join(failed) or partly,
        overlap=_overlap(homography, pair),
        inlier_cells=_inlier_cells(windows.expected[used], pair.visible),
        agreement=answer.agreement,
        patches=() if failed else local.patches(homography, pair.visible, windows, answer.fitted),
        regions=() if failed else regions,
    )
    return Evidence(
        alignment,
        prior,
        windows,
        answer.fitted,
        judged.checks,
        local,
        [*earlier, *judged.seen],
        answer.agreeing,
        reduce=answer.reduce,
        limits=answer.limits,
    )


def _nowhere(prior: FloatArray | None, matcher: str) -> Alignment:
    reason = (
        "no initial hypothesis under which map and visible raster share structure was found; mark tie points by hand"
    )
    start = Transform(np.eye(3) if prior is None else prior, None, 0)
    return Alignment(start, matcher, "needs-manual", reason, inlier_cells=0.0, agreement=0.0)


def _overlap(homography: FloatArray, pair: RasterPair) -> float:
    """Return the share of the visible raster that the map covers under a homography."""
    on_map, frame = (outline(raster.width, raster.height) for raster in (pair.map, pair.visible))
    return overlap_share(apply_homography(homography, on_map), frame)


def _inlier_cells(points: FloatArray, visible: RasterReader) -> float:
    """Return the share of cells of a 8 x 8 lattice over the visible raster that hold one of the points."""
    if not len(points):
        return 0.0
    cells = np.floor(points / (visible.width, visible.height) * 8).astype(int)
    return len(np.unique(np.clip(cells, 0, 7), axis=0)) / 64


def _carried(evidence: Evidence, manual: PointVerdict) -> Evidence:
    """Let manual points that pass their own tests carry the pair where the windows cannot."""
    alignment, agreeing = evidence.alignment, manual.agreeing
    reason = "" if manual.accepted else f"manual points: {manual.reason}; windows: {alignment.reason}"
    if manual.homography is None:
        return replace(evidence, alignment=replace(alignment, reason=reason))
    residual = float(np.sqrt(np.mean(manual.residuals[agreeing] ** 2))) if agreeing.any() else None
    carried = Alignment(
        Transform(manual.homography, residual, int(agreeing.sum())),
        "manual",
        "accepted" if manual.accepted else "needs-manual",
        reason,
        overlap=alignment.overlap,
        inlier_cells=alignment.inlier_cells,
        agreement=float(agreeing.mean()),
    )
    return replace(evidence, alignment=carried)


def _carried_by_region(
    pair: RasterPair, evidence: Evidence, manual: PointVerdict, limits: Limits, point_limits: PointLimits | None
) -> Evidence:
    """Let manual points carry the regions where they lie, if others do not carry these."""
    alignment, regions = evidence.alignment, evidence.alignment.regions
    rough = alignment.transform.homography
    if not evidence.accepted and not regions:
        if manual.homography is None:
            return evidence
        rough = manual.homography
        regions = refused_regions(pair, limits.region_px * evidence.reduce, "the windows are refused")
    carried = carry_regions(regions, evidence.points, rough, pair.map, pair.visible, point_limits)
    added = sum(region.accepted for region in carried) - sum(region.accepted for region in regions)
    if not added:
        return evidence if not alignment.regions else replace(evidence, alignment=replace(alignment, regions=carried))
    said = f"{added} of {len(carried)} regions are carried by manual points"
    reason = "; ".join(filter(None, [said, alignment.reason]))
    changed = replace(alignment, verdict="accepted", reason=reason, regions=carried)
    return replace(evidence, alignment=changed)


def _confirmed(evidence: Evidence, reach_px: float) -> Evidence:
    """Name the manual points further than `reach_px` from accepted windows; if most of them are, refuse the pair."""
    source, target = arrays(evidence.points)
    residuals = np.linalg.norm(apply_homography(evidence.alignment.transform.homography, source) - target, axis=1)
    evidence = replace(evidence, agreeing=residuals <= reach_px)
    if 2 * evidence.agreeing.sum() >= len(residuals):
        reason = "; ".join(filter(None, [evidence.alignment.reason, _contradicting(evidence)]))
        return replace(evidence, alignment=replace(evidence.alignment, reason=reason))
    reason = f"the manual points lie {np.median(residuals):.1f} px from what the windows say; check both"
    refused = replace(evidence.alignment, verdict="needs-manual", reason=reason, patches=(), regions=())
    return replace(evidence, alignment=refused)


def _contradicting(evidence: Evidence) -> str:
    names = [point.name for point, agrees in zip(evidence.points, evidence.agreeing, strict=True) if not agrees]
    return f"manual points that contradict the rest: {', '.join(names)}" if names else ""
