"""The confidence of `fast-mapglue`: evidence of positive and negative pairs, and the regression on it.

    python benchmarks/confidence.py --rasters work/401/rasters work/404/rasters work/405/rasters --json \\
        > benchmarks/results/confidence.json

Development pairs only: SRIF Optical-Map 1 to 8, two random homographies a level, and all negative pairs of them;
windows of the raster pairs of runs like the demo's (`--rasters`; the record: with the seeds and worlds 401, 404 and
405), whose truth is known: three positive and three negative pairs a site, the latter of the same site, so that both
sides are of one kind of ground; and windows of Landquart's western part, a topographic map, with negative pairs of
them. A homography counts as right within 20 px of mean corner error: confidence tells an answer from chance, not how
precise it is. The matcher may judge two answers to a pair; the last one is recorded. The figures are by
cross-validation over images, sites and blocks of Landquart's windows: what is left out, and windows that overlap it,
are on neither side of any pair of the fit. `figures.weights` and `figures.bias` are what
`matcher/mapglue/judgement.py` holds.

`figures.limits` is what the limit of the confidence was chosen by: how many answers of each kind pass it, by
cross-validation, on all pairs and on those of Landquart. `figures.calibration` is how many answers, and wrong ones,
have a confidence of each range.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
import torch
from _machine import report
from judging import SIDE as WINDOW_PX
from judging import far_pairs, landquart_pairs, landquart_part, warped_pairs
from scipy.optimize import minimize

from cartography.misregistration import Misregistration
from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import score_pair
from matcher.benchmark.pairs import ImagePair, srif_pairs
from matcher.mapglue import inference
from matcher.mapglue.judgement import Evidence, features
from matcher.registry import load_matcher
from matcher.types import Matches
from stages.acquire.simulated import read_truth

LEVELS = ("easy", "normal", "hard")
SITE_LEVELS = ("normal", "hard", "minima")
SIDE, APART = 448, 60
LANDQUART, LANDQUART_NEGATIVES, LANDQUART_BLOCK = "landquart", 36, 768
LIMITS = (0.3, 0.4, 0.5)
RANGES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
RIGHT_PX = 20.0
FOLDS = 6
L2 = 0.02
Row = dict[str, Any]


def srif_samples(folder: Path) -> Iterator[tuple[ImagePair, bool]]:
    """Yield the pairs of SRIF's development part, and whether they are positive."""
    pairs = [files.load() for files in srif_pairs(folder, "development")]
    for first, second in product(pairs, pairs):
        if first is not second:
            yield ImagePair(f"{first.name}|{second.name}", first.image0, second.image1, np.eye(3)), False
    for seed, level, pair in product(range(2), LEVELS, pairs):
        yield at_level(ImagePair(f"{pair.name}#d{seed}", pair.image0, pair.image1, pair.homography), level), True


def site_samples(folder: Path, seed: int) -> Iterator[tuple[ImagePair, bool]]:
    """Yield windows of a drawn site, three negative pairs and three positive ones, as far as it has room for them."""
    chart, seen = (read_image(folder / f"{side}.tif") for side in ("map", "visible"))
    truth, generator = read_truth(folder / "truth.json"), np.random.default_rng(seed)
    name = "/".join([folder.parts[-4], *folder.parts[-2:]])  # the workspace's, the point and the site
    for number in range(3):
        here, there = place(seen, generator), place(seen, generator)
        if here is None or there is None:
            continue
        if near(here, there):  # the middle of the image away, in both directions
            width, height = seen.shape[1], seen.shape[0]
            there = (here[0] + width // 2) % (width - SIDE), (here[1] + height // 2) % (height - SIDE)
        corner = on_map(here, truth)
        window = chart[max(corner[1], 0) : corner[1] + SIDE, max(corner[0], 0) : corner[0] + SIDE]
        if window.shape[:2] != (SIDE, SIDE) or near(here, there):
            continue
        label = f"{name}#{number}"
        yield ImagePair(label, window, cut(seen, there), np.eye(3)), False
        grid = np.stack(np.meshgrid(*[np.linspace(0, SIDE, 5)] * 2), -1).reshape(-1, 2)
        homography, _ = cv2.findHomography(grid, truth.to_visible(grid + corner) - np.array(here))
        yield at_level(ImagePair(label, window, cut(seen, here), homography), SITE_LEVELS[number]), True


def landquart_samples(tiles: Path) -> Iterator[tuple[ImagePair, bool]]:
    """Yield pairs of Landquart's western part: a warped image of each window, and negative pairs of them."""
    pairs = landquart_pairs(tiles, "west")
    for pair in warped_pairs(pairs, landquart_part(tiles, "west")[1], 1):
        yield pair, True
    for pair in far_pairs(pairs, LANDQUART_NEGATIVES):
        yield pair, False


def near(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Tell whether two windows overlap or almost do."""
    return max(abs(first[0] - second[0]), abs(first[1] - second[1])) < SIDE + APART


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Return a raster's H x W x 3."""
    with rasterio.open(path) as dataset:
        return np.ascontiguousarray(np.moveaxis(dataset.read([1, 2, 3]), 0, 2))


def cut(image: npt.NDArray[np.uint8], corner: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return the window with its top left pixel (x, y) at `corner`."""
    return np.ascontiguousarray(image[corner[1] : corner[1] + SIDE, corner[0] : corner[0] + SIDE])


def place(image: npt.NDArray[np.uint8], generator: np.random.Generator) -> tuple[int, ...] | None:
    """Return the top left pixel of a window with data and some structure, None where fifty tries find none."""
    for _ in range(50):
        corner = tuple(int(generator.integers(0, length - SIDE)) for length in image.shape[1::-1])
        window = cut(image, corner)
        edges = cv2.Laplacian(cv2.cvtColor(window, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
        if (window.max(2) > 0).mean() > 0.98 and edges.std() > 8:
            return corner
    return None


def on_map(corner: tuple[int, ...], truth: Misregistration) -> tuple[int, int]:
    """Return the top left pixel of the map's window whose centre truly shows that of the image's window at `corner`."""
    centre = np.array([corner]) + SIDE / 2
    found = centre.copy()
    for _ in range(5):
        found = found - (truth.to_visible(found) - centre)
    x, y = (found[0] - SIDE / 2).round().astype(int)
    return int(x), int(y)


def measured(samples: Iterator[tuple[ImagePair, bool]]) -> Iterator[Row]:
    """Yield the evidence of each pair's last answer, and whether it is right."""
    matcher = load_matcher("fast-mapglue", "cpu")
    kept: list[tuple[Evidence, Matches]] = []
    judged = inference.judged

    def recorded(verified: inference.Refined, final: inference.Followed) -> Matches:
        kept.append(inference.weighed(verified, final))
        return judged(verified, final)

    with patch.object(inference, "judged", recorded):
        for pair, positive in samples:
            kept.clear()
            matcher.match(pair.image0, pair.image1)
            if not kept:
                continue
            evidence, matches = kept[-1]
            error = score_pair(matches, pair).corner_error_px if positive else np.inf
            row = {"pair": pair.name, "positive": positive, "right": bool(error <= RIGHT_PX), **evidence._asdict()}
            print(row, file=sys.stderr, flush=True)
            yield row


def fitted(values: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the weights of N x K features and the bias, K + 1, by which both classes weigh alike."""
    mean, spread = values.mean(0), values.std(0)
    scaled = np.column_stack([(values - mean) / spread, np.ones(len(values))])
    share = np.where(right, 0.5 / right.sum(), 0.5 / (~right).sum())

    def loss(weights: npt.NDArray[np.float64]) -> float:
        agreement = (2.0 * right - 1) * (scaled @ weights)
        return float((share * np.logaddexp(0, -agreement)).sum() + L2 * np.square(weights[:-1]).sum())

    found = minimize(loss, np.zeros(scaled.shape[1]), method="BFGS").x
    weights = found[:-1] / spread
    return np.append(weights, found[-1] - weights @ mean)


def weighed_values(rows: list[Row]) -> npt.NDArray[np.float64]:
    """Return what the regression weighs, N x K."""
    return np.array([features(Evidence(*(row[name] for name in Evidence._fields))) for row in rows])


def probability(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the confidence, N, of N x K features."""
    return np.asarray(1 / (1 + np.exp(-values @ weights[:-1] - weights[-1])))


def passing(rows: list[Row], confidence: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return how many negative pairs, wrong and right answers of positive ones there are, and pass each limit."""
    positive, right = (np.array([row[name] for row in rows]) for name in ("positive", "right"))
    kinds = {"negative": ~positive, "wrong": positive & ~right, "right": right}
    counts = {"all": {name: int(kind.sum()) for name, kind in kinds.items()}}
    return counts | {str(t): {name: int((confidence[kind] >= t).sum()) for name, kind in kinds.items()} for t in LIMITS}


def calibration(rows: list[Row], confidence: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return how many answers have a confidence of each range, and how many of them are wrong."""
    right = np.array([row["right"] for row in rows])
    found = [(low, high, (confidence >= low) & (confidence < high)) for low, high in pairwise(RANGES)]
    return [
        {"from": low, "below": high, "answers": int(kept.sum()), "wrong": int((kept & ~right).sum())}
        for low, high, kept in found
    ]


def sides_of(pair: str) -> list[str]:
    """Return the names of what both sides of a pair show; one name where that is the same."""
    return [name.split("#")[0] for name in pair.replace(" with ", "|").split("|")]


def ground_of(side: str) -> str:
    """Return the image, the site or the block of Landquart's windows that a side is of."""
    corner = landquart_corner(side)
    return side if corner is None else f"{LANDQUART}/{'-'.join(map(str, corner // LANDQUART_BLOCK))}"


def landquart_corner(side: str) -> npt.NDArray[np.intp] | None:
    """Return the top left pixel (y, x) of a window if a side is one of Landquart."""
    folder, _, corner = side.partition("/")
    return np.array([int(start) for start in corner.split("-")]) if folder.startswith(LANDQUART) else None


def apart(pairs: list[str], left_out: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which pairs, N, share no image, site or pixel of Landquart with the first sides of those left out."""
    first = [sides_of(pair)[0] for pair, chosen in zip(pairs, left_out, strict=True) if chosen]
    grounds = {ground_of(side) for side in first}
    corners = [corner for side in first if (corner := landquart_corner(side)) is not None]

    def touches(side: str) -> bool:
        corner = landquart_corner(side)
        overlaps = corner is not None and any(np.abs(corner - other).max() < WINDOW_PX for other in corners)
        return overlaps or ground_of(side) in grounds

    return np.array([not any(touches(side) for side in sides_of(pair)) for pair in pairs])


def regression(rows: list[Row]) -> dict[str, Any]:
    """Return the regression on all rows, and how it does on images that it was not fitted to."""
    values = weighed_values(rows)
    right = np.array([row["right"] for row in rows])
    negative = ~np.array([row["positive"] for row in rows])
    pairs = [row["pair"] for row in rows]
    grounds = np.array([ground_of(sides_of(pair)[0]) for pair in pairs])
    confidence = np.zeros(len(rows))
    for fold in range(FOLDS):
        left_out = np.isin(grounds, np.unique(grounds)[fold::FOLDS])
        kept = apart(pairs, left_out)
        weights = fitted(values[kept], right[kept])
        confidence[left_out] = probability(values[left_out], weights)
    *weights, bias = fitted(values, right)
    topographic = np.array([row["pair"].startswith(LANDQUART) for row in rows])
    mapped = [row for row, chosen in zip(rows, topographic, strict=True) if chosen]
    return {
        "limits": {"all": passing(rows, confidence), "landquart_west": passing(mapped, confidence[topographic])},
        "calibration": calibration(rows, confidence),
        "weights": dict(zip(Evidence._fields, np.round(weights, 3).tolist(), strict=True)),
        "bias": round(float(bias), 3),
        "negative_pairs": int(negative.sum()),
        "negative_pairs_over_half": int((confidence[negative] >= 0.5).sum()),
        "right_answers": int(right.sum()),
        "right_answers_over_half": int((confidence[right] >= 0.5).sum()),
        "evidence": [[row["pair"], row["positive"], row["right"], *_rounded(row)] for row in rows],
    }


def _rounded(row: Row) -> list[float]:
    return [round(row[name], 4) for name in Evidence._fields]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rasters", type=Path, nargs="*", default=[Path("work/demo/rasters")])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = list(measured(srif_samples(arguments.data / "pairs/srif/Optical-Map")))
    sites = sorted(path.parent for folder in arguments.rasters for path in folder.glob("*/*/truth.json"))
    for seed, site in enumerate(sites):
        rows += measured(site_samples(site, seed))
    rows += measured(landquart_samples(arguments.data / "tiles"))
    figures = regression(rows)
    drawn = {"workspaces": [folder.parent.name for folder in arguments.rasters], "sites": len(sites), "side_px": SIDE}
    workload = {"srif": "Optical-Map 1 to 8", "drawn": drawn, "landquart": "west"}
    report("confidence", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
