"""The verdict on an answer: as a whole, by all of its windows; then region by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raster.homography import FloatArray, translation
from raster.pair import RasterPair
from stages.align.features import Features
from stages.align.ground import check_ground, remaining_building_lean
from stages.align.passes import Answer, perturbed_restart, split_half_distance
from stages.align.regions import common_error, judge_regions
from stages.align.result import Region
from stages.align.verdict import Check, apart, judge


@dataclass(frozen=True, eq=False)
class Judged:
    """What was said of an answer.

    `homography` (map -> visible) is the one to use; `failed`: why it is refused, empty if it is not; `seen`: further
    answers that were looked at.
    """

    homography: FloatArray
    checks: Sequence[Check]
    failed: Sequence[str]
    regions: Sequence[Region] = ()
    seen: Sequence[Answer] = ()


def judge_answer(pair: RasterPair, rough: Answer, answer: Answer, ground: Features) -> Judged:
    """Judge an answer by its windows and, where these pass their tests, by a perturbed restart and by the ground.

    Args:
        pair: The map and the visible raster.
        rough: The answer of the rough pass.
        answer: The answer. The rough one itself has failed already.
        ground: Features of the ground, or of all of the map where nothing tells buildings.
    """
    limits, reduce, seen = answer.limits, answer.reduce, list[Answer]()
    halves = split_half_distance(answer)
    checks = [
        *judge(answer.windows, answer.agreeing, limits),
        apart("split halves", halves, limits.max_disagreement_px),
    ]
    failed = ["not looked at more closely than by the rough pass"] if answer is rough else []
    if not failed and all(check.passed for check in checks):
        seen, distance = perturbed_restart(pair, answer)
        checks.append(apart("perturbed restart", distance, limits.max_disagreement_px))
    shift, unconfirmed = np.zeros(2), 0.0
    if answer.features.ground:
        shift = remaining_building_lean(rough, answer)
        unconfirmed = float(np.linalg.norm(shift))
    elif ground.ground and not failed and all(check.passed for check in checks):
        off, halves_of_ground, confirming = check_ground(pair, answer, ground)
        checks += [off, halves_of_ground]
        seen += [confirming] if confirming else []
        unconfirmed = off.value / 2 * reduce  # the truth lies between both
    failed = [*(check.text for check in checks if not check.passed), *failed]
    common = common_error(halves * reduce, unconfirmed, reduce, limits)
    regions = [] if failed else judge_regions(pair, answer, common)
    return Judged(translation(*-shift) @ answer.homography, checks, failed, regions, seen)
