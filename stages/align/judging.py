"""The verdict on an answer: as a whole, by all of its windows and the shift of the ground; then region by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray
from raster.pair import RasterPair
from stages.align.ground import NO_GROUND, Ground, measure_ground
from stages.align.limits import Limits
from stages.align.passes import Answer, perturbed_restart, split_half_distance
from stages.align.regions import (
    Residuals,
    building_lean,
    common_error,
    judge_regions,
    residuals_of,
)
from stages.align.result import Region
from stages.align.verdict import Check, apart, judge


@dataclass(frozen=True, eq=False)
class Judged:
    """An answer and what was said of it.

    `homography` (map -> visible) is the one to use, `agreeing` (N,) says which windows agree with it; `ground`: its
    shift against what roofs and ground together say; `failed`: why it is refused, empty if it is not; `seen`: the
    answers that led here.
    """

    answer: Answer
    homography: FloatArray
    agreeing: NDArray[np.bool_]
    checks: Sequence[Check]
    failed: Sequence[str]
    ground: Ground = NO_GROUND
    regions: Sequence[Region] = ()
    seen: Sequence[Answer] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing failed and a region is accepted."""
        return not self.failed and any(region.accepted for region in self.regions)


def judge_by_all(pair: RasterPair, answer: Answer, reduce: int, failed: Sequence[str], limits: Limits) -> Judged:
    """Judge an answer by all of its windows, and correct it by the shift of the ground.

    The costlier tests, perturbed restart and ground, are made where the others are passed. Once the ground is found,
    windows that building lean explains agree: how many do is known only then. Where it is not found, they must agree
    with one answer more strictly.

    Args:
        pair: The map and the visible raster.
        answer: The answer.
        reduce: Visible pixels a working pixel.
        failed: Why it is refused already.
        limits: Of the acceptance tests.
    """
    windows, ground, seen, unexplained = answer.windows, NO_GROUND, list[Answer](), 0.0
    halves = split_half_distance(answer)
    consistent = apart("split halves", halves, limits.max_disagreement_px)
    checks = [*judge(windows, answer.agreeing, limits, limits.min_reliable_agreement), consistent]
    # Windows on displaced roofs agree with the ground, too, once it is found.
    unknown = {"agreement", "reliable agreement"} if not answer.hopeless else set[str]()
    residuals: Residuals | None = None
    if all(check.passed or check.name in unknown for check in checks) and answer.reduce == reduce:
        again, distance = perturbed_restart(pair, answer)
        seen += again
        displaced = building_lean(windows, answer.homography, reduce, limits)
        measured = measure_ground(pair, answer.homography, reduce, limits.ground)
        ground = measured.weighed(displaced, reduce, limits.ground)
        unexplained = measured.unexplained_px(displaced, reduce, limits.ground)
        residuals = residuals_of(windows, ground.matrix @ answer.homography, ground, reduce, limits)
        least = limits.min_ground_agreement if ground.reliable else limits.min_reliable_agreement
        checks = [
            *judge(windows, residuals.agreeing, limits, least),
            consistent,
            apart("perturbed restart", distance, limits.max_disagreement_px),
            apart("ground", float(np.linalg.norm(ground.shift)) / reduce, limits.max_building_lean_px),
        ]
    failed = [*(check.text for check in checks if not check.passed), *failed]
    regions: list[Region] = []
    if residuals is not None and not failed:
        common = common_error(halves * reduce, ground, unexplained, reduce, limits)
        regions = judge_regions(pair, windows, residuals, common, reduce, limits)
    agreeing = answer.agreeing if residuals is None else residuals.agreeing
    return Judged(answer, ground.matrix @ answer.homography, agreeing, checks, failed, ground, regions, seen)
