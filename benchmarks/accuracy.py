"""How accurate a matcher is on SRIF's map pairs, and what it costs, beside a peer in the same run.

    python benchmarks/accuracy.py --json > benchmarks/results/accuracy.json

The pairs are Optical-Map 9 to 20, which no setting is chosen on, at each level with four random homographies. Every
view is matched by each matcher in turn, on one thread, so that whatever else the machine does slows all alike; the cost
is the processor's time. The first matcher gets all homographies, its peers the first one. Sparse matchers of features
that do not bear rotation get each view at four quarter turns and keep the answer with the most inliers, as their users
do. The costs at 512 x 512 px are those of one call on each of the first six pairs, enlarged. Negative pairs are maps of
these pairs with each other's images, and declared matched if a homography can be fitted.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _machine import report

from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import auc, score_pair, share_within
from matcher.benchmark.pairs import ImagePair, srif_pairs
from matcher.benchmark.statistics import bootstrap
from matcher.registry import load_matcher
from matcher.types import Matcher, Matches
from raster.fit import fit

LEVELS = ("easy", "normal", "hard")
SIDE = 512
TURNED = ("aliked-lightglue", "xfeat", "xfeat-lighterglue")


def timed(matcher: Matcher, image0: np.ndarray, image1: np.ndarray) -> tuple[Matches, float]:
    """Return the matches of a pair and the processor seconds that they took."""
    start = time.process_time()
    matches = matcher.match(image0, image1)
    return matches, time.process_time() - start


class FourTurns:
    """A matcher that tries the second image at four quarter turns and keeps the answer with the most inliers."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    def match(self, image0: np.ndarray, image1: np.ndarray) -> Matches:
        """Return the best turn's matches; N x 2 points (x, y) in pixels of the images as given."""
        found = []
        for turns in range(4):
            matches = self._matcher.match(image0, np.ascontiguousarray(np.rot90(image1, turns)))
            points1 = turned_back(matches.points1, turns, image1.shape)
            found.append(Matches(matches.points0, points1, matches.scores))
        return max(found, key=lambda each: fit(each.points0, each.points1).inliers.sum())


def turned_back(points: np.ndarray, turns: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return N x 2 points (x, y) of an image turned by quarters counter-clockwise in pixels of the image as it was."""
    height, width = shape[:2]
    x, y = np.asarray(points).reshape(-1, 2).T
    last = width - 1, height - 1
    return np.stack([(x, y), (last[0] - y, x), (last[0] - x, last[1] - y), (y, last[1] - x)][turns], axis=1)


def seeded_pair(pair: ImagePair, seed: int) -> ImagePair:
    """Return a pair under the name that seeds its random homographies."""
    return ImagePair(f"{pair.name}#{seed}" if seed else pair.name, pair.image0, pair.image1, pair.homography)


def measured(matchers: dict[str, Matcher], pairs: list[ImagePair], seeds: int) -> dict[str, Any]:
    """Return the figures of every level and matcher; a line for each view goes to the standard error at once."""
    keys = list(product(LEVELS, matchers))
    errors: dict[tuple[str, str], list[list[float]]] = {key: [[] for _ in pairs] for key in keys}
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in keys}
    first = next(iter(matchers))
    for seed, level, (number, pair), name in product(range(seeds), LEVELS, enumerate(pairs), matchers):
        if seed and name != first:
            continue
        view = at_level(seeded_pair(pair, seed), level)
        matches, cost = timed(matchers[name], view.image0, view.image1)
        error = score_pair(matches, view).corner_error_px
        errors[level, name][number].append(error)
        seconds[level, name].append(cost)
        print(f"{level} {view.name} {name}: {error:.2f} px, {cost:.2f} s", file=sys.stderr, flush=True)
    return {
        level: {name: summary(np.array(errors[level, name]), seconds[level, name]) for name in matchers}
        for level in LEVELS
    }


def summary(errors: np.ndarray, seconds: list[float]) -> dict[str, Any]:
    """Return shares within 5 and 10 px, the latter's interval over pairs (rows), the AUC and the cost."""
    right = bootstrap(errors, lambda values: share_within(values.ravel(), 10))
    return {
        "views": errors.size,
        "within_5px": share_within(errors.ravel(), 5),
        "within_10px": right.value,
        "interval": [right.low, right.high],
        "auc_10px": auc(errors.ravel(), 10),
        "cpu_s_median": float(np.median(seconds)),
        "cpu_s_mean": float(np.mean(seconds)),
        "errors_px": [[round(error, 2) if np.isfinite(error) else None for error in row] for row in errors.tolist()],
    }


def costs(matchers: dict[str, Matcher], pairs: list[ImagePair]) -> dict[str, float]:
    """Return the median processor seconds of a pair of 512 x 512 px."""
    taken: dict[str, list[float]] = {name: [] for name in matchers}
    for pair, name in product(pairs, matchers):
        view = at_level(pair, "normal")
        images = [cv2.resize(image, (SIDE, SIDE)) for image in (view.image0, view.image1)]
        taken[name].append(timed(matchers[name], *images)[1])
    return {name: float(np.median(values)) for name, values in taken.items()}


def declared(matcher: Matcher, pairs: list[ImagePair], most: int) -> dict[str, int]:
    """Return how many negative pairs, and how many of them are declared matched."""
    chosen = [(first, second) for first, second in product(pairs, pairs) if first is not second]
    chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, min(most, len(chosen))).round().astype(int)]
    found = [matcher.match(first.image0, second.image1) for first, second in chosen]
    return {
        "pairs": len(chosen),
        "declared_matched": sum(fit(each.points0, each.points1).matrix is not None for each in found),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--matchers", nargs="+", default=["fast-mapglue", "cfog", *TURNED])
    parser.add_argument("--seeds", type=int, default=4, help="random homographies of a pair and level")
    parser.add_argument("--negatives", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = arguments.data / "pairs/srif/Optical-Map"
    pairs = [files.load() for files in srif_pairs(folder, "final")]
    matchers = {name: load_matcher(name, "cpu") for name in arguments.matchers}
    for matcher in matchers.values():
        matcher.match(pairs[0].image0, pairs[0].image1)  # the first call of a network takes longer
    tried = {name: FourTurns(matcher) if name in TURNED else matcher for name, matcher in matchers.items()}
    figures = measured(tried, pairs, arguments.seeds)
    figures["cpu_s_at_512px"] = costs(matchers, pairs[:6])
    figures["negatives"] = declared(next(iter(matchers.values())), pairs, arguments.negatives)
    workload = {"pairs": "SRIF Optical-Map 9 to 20", "seeds": arguments.seeds, "matchers": arguments.matchers}
    report("accuracy", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
