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
(which the network was trained on) and drawn scenes whose numbers no training has. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
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
from raster.disk import atomic_path
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
    """Return all samples; each set's first come first, so that a run that is cut short has some of all."""
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


def slim(view: EncodedImage) -> EncodedImage:
    """Return an encoded image without what keypoints and graphs do not need."""
    return EncodedImage(replace(view.features, gradients=torch.zeros(0)), view.cells)


def kept(path: Path, make: Callable[[], Observed]) -> Observed:
    """Return what `make` returns, or returned in an earlier run."""
    if not path.exists():
        hypotheses, start = make()
        for each in [*hypotheses, *([start] if start else [])]:
            each.views = slim(each.views[0]), slim(each.views[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            torch.save((hypotheses, start), temporary)
    found: Observed = torch.load(path, weights_only=False)
    return found


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


def agreeing_share(matches: Matches) -> float:
    """Return the share of the matches' probability that agrees with the alignment."""
    near = np.linalg.norm(matches.points1 - matches.points0, axis=1) < AGREEING_PX
    return float(matches.scores[near].sum() / max(matches.scores.sum(), 1e-9))


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
    """Return the scores that each arm with keypoints gives a hypothesis, by its matches' number and by their share."""
    scores = {}
    for name, network in networks.items():
        matches = match_once(network, *hypothesis.views, KEYPOINTS, REACH)
        scores[name] = score(matches, hypothesis.views)
        scores[f"{name}, share"] = agreeing_share(matches)
    return scores


def corrected_errors(
    networks: dict[str, MapGlue], matcher: MapGlueMatcher, sample: Sample, start: Hypothesis
) -> dict[str, float]:
    """Return the corner error after each arm with keypoints has corrected a homography, one also in a second pass."""
    pair = sample.pair
    height, width = pair.image0.shape[:2]

    def error(matrix: Matrix) -> float:
        return corner_error_of(matrix, pair.homography, width, height)

    found = {
        name: start.matrix @ correction(match_once(network, *start.views, KEYPOINTS, REACH))
        for name, network in networks.items()
    }
    errors = {f"{name}, 1 pass": error(matrix) for name, matrix in found.items()}
    image1 = MaskedImage(pair.image1, data_mask(pair.image1), matcher.device)
    at = Homography.at(found["graphs"], matcher.device)
    view1 = encode_warped(matcher.encode, image1, at, (width, height))
    again = correction(match_once(networks["graphs"], start.views[0], view1, KEYPOINTS, REACH))
    return {**errors, "graphs, 2 passes": error(found["graphs"] @ again)}


def area_under_curve(scores: Values, right: npt.NDArray[np.bool_]) -> float:
    """Return the chance that a right hypothesis scores higher than a wrong one; a tie, or one kind alone, is half."""
    if right.all() or not right.any():
        return 0.5
    ranks = rankdata(scores)[right].sum() - right.sum() * (right.sum() + 1) / 2
    return float(ranks / (right.sum() * (~right).sum()))


def by_ground(rows: list[dict[str, Any]], statistic: Callable[[list[dict[str, Any]]], float]) -> list[float]:
    """Return a statistic of rows, and its interval by bootstrap over their grounds."""
    names = sorted({row["ground"] for row in rows})
    groups = [[row for row in rows if row["ground"] == name] for name in names]

    def of(chosen: Values) -> float:
        return statistic([row for index in chosen for row in groups[int(index)]])

    found = bootstrap(np.arange(len(groups), dtype=np.float64), of)
    return [round(value, 4) for value in (found.value, found.low, found.high)]


def verifying(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each arm's area under the curve, and how much it is above that of the cells and of the graphs."""
    right = np.array([row["error"] <= RIGHT_PX for row in rows])
    if right.all() or not right.any():
        return {}

    def area(name: str) -> Callable[[list[dict[str, Any]]], float]:
        return lambda chosen: area_under_curve(
            np.array([row["scores"][name] for row in chosen]), np.array([row["error"] <= RIGHT_PX for row in chosen])
        )

    return {
        "hypotheses": len(rows),
        "right": int(right.sum()),
        "auc": {name: by_ground(rows, area(name)) for name in rows[0]["scores"]},
        "auc_above": {
            base: {
                name: by_ground(rows, lambda chosen, base=base, name=name: area(name)(chosen) - area(base)(chosen))
                for name in rows[0]["scores"]
                if name != base
            }
            for base in ("cells", "graphs")
        },
    }


def refining(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each arm's median error, how much it is above that of the cells and of the graphs, and the share within
    `REFINED_PX`."""

    def share(name: str) -> Callable[[list[dict[str, Any]]], float]:
        return lambda chosen: float(np.mean([row["errors"][name] <= REFINED_PX for row in chosen]))

    def median(name: str) -> Callable[[list[dict[str, Any]]], float]:
        return lambda chosen: float(np.median([row["errors"][name] for row in chosen]))

    return {
        "pairs": len(rows),
        "median_px": {name: by_ground(rows, median(name)) for name in rows[0]["errors"]},
        "within_5px": {name: by_ground(rows, share(name)) for name in rows[0]["errors"]},
        "median_px_above": {
            base: {
                name: by_ground(rows, lambda chosen, base=base, name=name: median(name)(chosen) - median(base)(chosen))
                for name in rows[0]["errors"]
                if name != base
            }
            for base in ("cells, 3 passes", "graphs, 1 pass")
        },
    }


def main() -> None:
    """Observe every sample, let every arm judge it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("work/graphs"), help="drawn scenes and encodings stay here")
    parser.add_argument("--weights", type=Path, help="of the graphs; default: the shipped ones")
    parser.add_argument("--draws", type=int, default=2, help="random homographies a pair and level of SRIF")
    parser.add_argument("--windows", type=int, default=24, help="of Landquart")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=np.inf, help="samples that are not observed by then are left")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = load_model("fast-mapglue", arguments.weights)
    matcher = MapGlueMatcher("fast-mapglue", torch.device("cpu"), network=network)
    networks = arms(matcher.network)
    verified: list[dict[str, Any]] = []
    refined: list[dict[str, Any]] = []
    found = samples(arguments.data, arguments.work, arguments.draws, arguments.windows, arguments.scenes)
    end = time.monotonic() + arguments.seconds
    for sample in found:
        if time.monotonic() > end:
            break
        file = arguments.work / "encodings" / f"{sample.pair.name.replace('/', '_').replace(' ', '_')}.pt"
        hypotheses, start = kept(file, partial(observed, matcher, sample))
        facts = {"pair": sample.pair.name, "set": sample.pair.name.partition("/")[0], "ground": sample.ground}
        for each in hypotheses:
            scores = {**each.others, **matched_scores(networks, each)}
            verified.append({**facts, "error": each.error, "scores": scores})
        if start:
            refined.append({**facts, "errors": {**start.others, **corrected_errors(networks, matcher, sample, start)}})
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
        f"windows of Landquart's western part and {arguments.scenes} drawn scenes; a negative pair for each",
        "observed": f"{len({row['pair'] for row in verified})} of {len(found)} pairs, {len(refined)} of them positive",
        "hypotheses": [HYPOTHESES, NEGATIVE_HYPOTHESES],
        "keypoints": KEYPOINTS,
    }
    report("graphs", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
