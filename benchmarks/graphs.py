"""What the graphs of MapGlue are worth where the search has aligned a pair, beside the comparison of cells.

    python benchmarks/graphs.py --json > benchmarks/results/graphs.json

Image 1 is warped by a homography as the matcher does, both images are encoded once, and every arm sees the same:

- cells: descriptors with gradient histograms, cell by cell (`matcher.mapglue.refinement`);
- windows: correlation of the learned feature map (`matcher.dense`), which the default mode uses beside the cells;
- nearest: keypoints, mutual nearest descriptors, no graph;
- graphs: keypoints, both graphs, assignment; and the same with parts switched off: no bias of the assignment by the
  semantic nodes' agreement, no semantic graph at all, no keypoint graph (assignment alone).

Keypoints match within `REACH` of their place in every arm.

As a verifier, an arm scores the search's best hypotheses, as the dense steps follow them, on positive and negative
pairs; the figure is the area under the ROC curve of right ones (within 20 px) against all others. As a refiner, it
corrects homographies that are off as the search leaves them, and the figure is the mean corner error after it.
Intervals are 95%, by bootstrap over grounds. Development data only: SRIF Optical-Map 1 to 8, Landquart's western part
(which the network was trained on) and drawn scenes whose numbers no training has.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, product, zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from _machine import report
from judging import landquart_pairs, landquart_part, warped_pairs
from scipy.stats import rankdata

from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import corner_error_of
from matcher.benchmark.pairs import ImagePair, srif_pairs
from matcher.benchmark.statistics import bootstrap
from matcher.dense.masked_image import MaskedImage, data_mask
from matcher.dense.matcher import FINAL_STEPS, FOLLOWING_STEPS, initial_hypotheses
from matcher.dense.resident import Homography, fetched
from matcher.mapglue.encoding import EncodedImage, encode_warped
from matcher.mapglue.graphs import KeypointLayer
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.model import REACH, MapGlue
from matcher.mapglue.refinement import AGREEING_PX, agreeing, refine
from matcher.mapglue.single_pass import match_once
from matcher.mapglue.weights import load_model
from matcher.training.config import SyntheticScenes
from matcher.training.scenes import scene_pool
from matcher.types import Matches
from raster.homography import Matrix, apply_homography
from raster.least_squares import Kind, least_squares
from raster.levels import HomographyRange, seeded

LEVELS = ("easy", "normal", "hard")
RESIDUAL = HomographyRange(rotation_deg=3, scale=1.04, shift=0.03, perspective=1e-4)
"""What the search leaves: 10 to 20 px at 512 px."""

HYPOTHESES, NEGATIVE_HYPOTHESES = 2, 1
"""Of the search, followed and scored for each positive and each negative pair."""

KEYPOINTS = 1024
RIGHT_PX, REFINED_PX = 20.0, 5.0
FIRST_SCENE = 100_000
"""Number of the first drawn scene; trainings have smaller ones."""

NARROWING: tuple[tuple[float, Kind], ...] = (
    (24, "similarity"),
    (12, "similarity"),
    (6, "similarity"),
    (6, "homography"),
    (4, "homography"),
)
"""Scales, in pixels, of the robust fit to matches, and what is fitted."""

Values = npt.NDArray[np.float64]
Row = dict[str, Any]
"""A hypothesis with its scores, or a pair with its errors, by arm."""

Statistic = Callable[[list[Row], str], float]
"""Of rows and the name of an arm."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A pair, the ground that it shows, and whether both images show it."""

    pair: ImagePair
    ground: str
    positive: bool


@dataclass
class Hypothesis:
    """A homography of a sample with what does not depend on the graphs: the encoded images and what others make of it.

    Attributes:
        matrix: 3 x 3, image 0 -> image 1.
        error: Mean corner error, pixels; infinite for a negative pair.
        views: Image 0 and image 1, warped by the homography, encoded.
        others: Scores or errors of the arms without keypoints.
    """

    matrix: Matrix
    error: float
    views: tuple[EncodedImage, EncodedImage]
    others: dict[str, float]


Observed = tuple[list[Hypothesis], Hypothesis | None]
"""What the search finds in a sample, followed, and for a positive pair a homography to be refined."""


def samples(data: Path, work: Path, draws: int, windows: int, scenes: int) -> list[Sample]:
    """Return all samples, of each set in turn."""
    sets = (
        _with_negatives(srif(data / "pairs/srif/Optical-Map", draws)),
        _with_negatives(landquart(data / "tiles", windows)),
        _with_negatives(drawn(SyntheticScenes(folder=work / "scenes", osm=data / "osm"), scenes)),
    )
    return [sample for sample in chain(*zip_longest(*sets)) if sample is not None]


def srif(folder: Path, draws: int) -> Iterator[Sample]:
    """Yield the development pairs of SRIF at three levels."""
    pairs = [files.load() for files in srif_pairs(folder, "development")]
    for draw, level, pair in product(range(draws), LEVELS, pairs):
        yield Sample(at_level(replace(pair, name=f"{pair.name}#a{draw}{level}"), level), pair.name, True)


def landquart(tiles: Path, count: int) -> Iterator[Sample]:
    """Yield windows of Landquart's western part, evenly spread, at the level Normal."""
    pairs = landquart_pairs(tiles, "west")
    chosen = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)]
    for pair in warped_pairs(chosen, landquart_part(tiles, "west")[1], 1):
        yield Sample(pair, pair.name, True)


def drawn(scenes: SyntheticScenes, count: int) -> Iterator[Sample]:
    """Yield drawn scenes, map and simulated image, at the level Normal."""
    pool = scene_pool(scenes)
    for number in range(FIRST_SCENE, FIRST_SCENE + count):
        scene = pool[number]
        images = (np.ascontiguousarray(image) for image in (scene.map, scene.visible))
        pair = ImagePair(f"scene/{number}", *images, np.eye(3))
        yield Sample(at_level(pair, "normal"), pair.name, True)


def _with_negatives(found: Iterator[Sample]) -> Iterator[Sample]:
    """Yield samples, each followed by its image 0 with image 1 of the last one of another ground."""
    last: Sample | None = None
    for sample in found:
        yield sample
        if last is not None and last.ground != sample.ground:
            name = f"{sample.pair.name} with {last.pair.name}"
            pair = ImagePair(name, sample.pair.image0, last.pair.image1, np.eye(3))
            yield Sample(pair, sample.ground, False)
        last = sample


def observed(matcher: MapGlueMatcher, sample: Sample) -> Observed:
    """Return what the search finds in a sample, followed, and for a positive pair a homography to be refined."""
    assert matcher.dense is not None
    pair, device, dense = sample.pair, matcher.device, matcher.dense
    images = [MaskedImage(image, data_mask(image), device) for image in (pair.image0, pair.image1)]
    height, width = pair.image0.shape[:2]
    reference, encoded0 = dense.reference(images[1]), matcher.encode(pair.image0)

    def error(matrix: Matrix) -> float:
        return corner_error_of(matrix, pair.homography, width, height) if sample.positive else np.inf

    def views(matrix: Matrix) -> tuple[EncodedImage, EncodedImage]:
        warped = encode_warped(matcher.encode, images[1], Homography.at(matrix, device), (width, height))
        return encoded0, warped

    found = []
    count = HYPOTHESES if sample.positive else NEGATIVE_HYPOTHESES
    for matrix in initial_hypotheses(images[0], images[1], count)[0]:
        followed = dense.follow(images[0], reference, matrix, FOLLOWING_STEPS)
        seen = views(followed.matrix)
        cells = fetched(agreeing(*seen, Homography.at(followed.matrix, device)))[0].score
        others = {"cells": cells, "windows": max(followed.score, -1.0)}
        found.append(Hypothesis(followed.matrix, error(followed.matrix), seen, others))
    if not sample.positive:
        return found, None
    start = pair.homography @ RESIDUAL.sample(seeded("residual", pair.name), width, height)
    refined = refine(matcher.encode, encoded0, (width, height), images[1], start).matrix
    followed = dense.follow(images[0], reference, start, FOLLOWING_STEPS)
    final = dense.follow(images[0], reference, followed.matrix, FINAL_STEPS)
    others = {
        "none": error(start),
        "cells, 3 passes": error(refined),
        "windows, 3 steps": error(followed.matrix),
        "windows, 6 steps": error(final.matrix),
    }
    return found, Hypothesis(start, error(start), views(start), others)


def arms(network: MapGlue) -> dict[str, MapGlue]:
    """Return the network, and with parts switched off: their weights are zero, or their layers do nothing."""

    def without(*parts: str) -> MapGlue:
        changed = copy.deepcopy(network)
        with torch.no_grad():
            changed.guidance *= "agreement" not in parts
            for layer in changed.layers:
                assert isinstance(layer, KeypointLayer)
                if "guidance" in parts:
                    layer.guide.weight.zero_()
                    layer.guide.bias.zero_()
        return changed

    alone = nearest(network)
    alone.enter, alone.assignments = network.enter, network.assignments[-1:]
    return {
        "graphs": network,
        "graphs without agreement": without("agreement"),
        "graphs without the semantic graph": without("agreement", "guidance"),
        "assignment without graphs": alone,
        "nearest": nearest(network),
    }


def nearest(network: MapGlue) -> MapGlue:
    """Return a network that matches descriptors as they are: a new layer changes nothing."""
    plain = MapGlue(replace(network.config, semantic_graph=False, graph_layers=1)).eval()
    plain.extractor = network.extractor
    return plain


def score(matches: Matches, views: tuple[EncodedImage, EncodedImage]) -> float:
    """Return how much matches of aligned images speak for the alignment, as the cells' score does (see `Refined`).

    The agreeing probability's share of the cells that both images show, times its share of all cells of image 0.
    """
    near = np.linalg.norm(matches.points1 - matches.points0, axis=1) < AGREEING_PX
    both, all0 = float((views[0].cells & views[1].cells).sum()), float(views[0].cells.sum())
    return float(matches.scores[near].sum()) ** 2 / max(both * all0, 1.0)


def correction(matches: Matches) -> Matrix:
    """Return the homography, 3 x 3, that matches of nearly aligned images agree on, weighted by their probability.

    Iteratively reweighted least squares (Geman and McClure's weights) from the identity, at narrowing scales.
    """
    matrix = np.eye(3)
    if len(matches) < 8:
        return matrix
    points0, points1 = matches.points0.astype(np.float64), matches.points1.astype(np.float64)
    for scale, kind in NARROWING:
        for _ in range(5):
            residual = np.linalg.norm(apply_homography(matrix, points0) - points1, axis=1)
            weights = matches.scores / (1 + (residual / scale) ** 2) ** 2
            matrix = least_squares(kind, points0, points1, weights)
    return matrix


def matched_scores(networks: dict[str, MapGlue], hypothesis: Hypothesis) -> dict[str, float]:
    """Return the scores that each arm with keypoints gives a hypothesis."""
    return {
        name: score(match_once(network, *hypothesis.views, KEYPOINTS, REACH), hypothesis.views)
        for name, network in networks.items()
    }


def corrected_errors(networks: dict[str, MapGlue], sample: Sample, start: Hypothesis) -> dict[str, float]:
    """Return the corner error after each arm with keypoints has corrected a homography."""
    height, width = sample.pair.image0.shape[:2]
    found = {
        name: start.matrix @ correction(match_once(network, *start.views, KEYPOINTS, REACH))
        for name, network in networks.items()
    }
    return {name: corner_error_of(matrix, sample.pair.homography, width, height) for name, matrix in found.items()}


def area_under_curve(scores: Values, right: npt.NDArray[np.bool_]) -> float:
    """Return the chance that a right hypothesis scores higher than a wrong one; a tie, or one kind alone, is half."""
    if right.all() or not right.any():
        return 0.5
    ranks = rankdata(scores)[right].sum() - right.sum() * (right.sum() + 1) / 2
    return float(ranks / (right.sum() * (~right).sum()))


def by_ground(rows: list[Row], statistic: Callable[[list[Row]], float]) -> list[float]:
    """Return a statistic of rows, and its interval by bootstrap over their grounds."""
    names = sorted({row["ground"] for row in rows})
    groups = [[row for row in rows if row["ground"] == name] for name in names]

    def of(chosen: Values) -> float:
        return statistic([row for index in chosen for row in groups[int(index)]])

    found = bootstrap(np.arange(len(groups), dtype=np.float64), of)
    return [round(value, 4) for value in (found.value, found.low, found.high)]


def above(rows: list[Row], names: Iterable[str], base: str, statistic: Statistic) -> dict[str, Any]:
    """Return how much each arm's statistic is above that of one of them, with its interval."""
    others = [name for name in names if name != base]
    return each_arm(rows, others, lambda chosen, name: statistic(chosen, name) - statistic(chosen, base))


def each_arm(rows: list[Row], names: Iterable[str], statistic: Statistic) -> dict[str, Any]:
    """Return each arm's statistic with its interval."""
    return {name: by_ground(rows, lambda chosen, name=name: statistic(chosen, name)) for name in names}


def verifying(rows: list[Row]) -> dict[str, Any]:
    """Return each arm's area under the curve, and how much it is above that of the cells and of the graphs."""
    right = np.array([row["error"] <= RIGHT_PX for row in rows])
    if right.all() or not right.any():
        return {}

    def area(chosen: list[Row], name: str) -> float:
        scores = np.array([row["scores"][name] for row in chosen])
        return area_under_curve(scores, np.array([row["error"] <= RIGHT_PX for row in chosen]))

    names = rows[0]["scores"]
    return {
        "hypotheses": len(rows),
        "right": int(right.sum()),
        "auc": each_arm(rows, names, area),
        "auc_above": {base: above(rows, names, base, area) for base in ("cells", "graphs")},
    }


def refining(rows: list[Row]) -> dict[str, Any]:
    """Return each arm's median error, the share within `REFINED_PX`, and how much both are above those of the cells and
    of the graphs."""

    def share(chosen: list[Row], name: str) -> float:
        return float(np.mean([row["errors"][name] <= REFINED_PX for row in chosen]))

    def median(chosen: list[Row], name: str) -> float:
        return float(np.median([row["errors"][name] for row in chosen]))

    names, bases = rows[0]["errors"], ("cells, 3 passes", "graphs")
    return {
        "pairs": len(rows),
        "median_px": each_arm(rows, names, median),
        "within_5px": each_arm(rows, names, share),
        "median_px_above": {base: above(rows, names, base, median) for base in bases},
        "within_5px_above": {base: above(rows, names, base, share) for base in bases},
    }


def main() -> None:
    """Observe every sample, let every arm judge it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("work/graphs"), help="drawn scenes stay here")
    parser.add_argument("--weights", type=Path, help="of the graphs; default: the shipped ones")
    parser.add_argument("--draws", type=int, default=2, help="random homographies a pair and level of SRIF")
    parser.add_argument("--windows", type=int, default=24, help="of Landquart")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = load_model("fast-mapglue", arguments.weights)
    matcher = MapGlueMatcher("fast-mapglue", torch.device("cpu"), network=network)
    networks = arms(matcher.network)
    verified, refined = list[Row](), list[Row]()
    found = samples(arguments.data, arguments.work, arguments.draws, arguments.windows, arguments.scenes)
    for sample in found:
        hypotheses, start = observed(matcher, sample)
        facts = {"pair": sample.pair.name, "set": sample.pair.name.partition("/")[0], "ground": sample.ground}
        for each in hypotheses:
            scores = {**each.others, **matched_scores(networks, each)}
            verified.append({**facts, "error": each.error, "scores": scores})
        if start:
            refined.append({**facts, "errors": {**start.others, **corrected_errors(networks, sample, start)}})
        print(sample.pair.name, file=sys.stderr, flush=True)
    sets = sorted({row["set"] for row in verified})
    figures = {
        name: {
            "verifier": verifying([row for row in verified if name in ("all", row["set"])]),
            "refiner": refining([row for row in refined if name in ("all", row["set"])]),
        }
        for name in ("all", *sets)
    }
    workload = {
        "weights": arguments.weights.name if arguments.weights else "shipped",
        "pairs": f"SRIF Optical-Map 1-8, {arguments.draws} draws at {', '.join(LEVELS)}; at normal {arguments.windows} "
        f"windows of Landquart's western part and {arguments.scenes} drawn scenes; negative pairs of neighbours",
        "samples": f"{len(found)} pairs, {len(refined)} of them positive",
        "hypotheses": [HYPOTHESES, NEGATIVE_HYPOTHESES],
        "keypoints": KEYPOINTS,
    }
    report("graphs", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
