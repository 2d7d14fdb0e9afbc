"""How a matcher does on ground it was not trained on, and whether it keeps silent where there is nothing to say.

    python benchmarks/judging.py --json > benchmarks/results/judging.json

Landquart's eastern part: the topographic map 1:25,000 on the aerial image, 512 x 512 px at zoom 16 (1.6 m a pixel),
half overlapping, the image moved at the level Normal. The services' georeferences are the truth, good to a pixel or so.
A pair counts as found when a homography can be fitted to its matches, as right when its corners lie within 5 px.

Pairs that do not belong together: maps of SRIF's development part with each other's images, and pieces of Landquart's
map with images of other pieces, neither moved.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _machine import report

from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import score_fit, share_within
from matcher.benchmark.pairs import Pair, srif_pairs
from matcher.benchmark.statistics import bootstrap
from matcher.fit import fit
from matcher.registry import load_matcher
from matcher.training.tiles import TileRange, read_mosaic
from matcher.types import Matcher

SIDE, STRIDE = 512, 256
EAST = TileRange(16, 34519, 34524, 23054, 23062)
LEVEL = "normal"
RIGHT_PX = 5.0
MIN_DATA = 0.98


def eastern_pairs(tiles: Path) -> list[Pair]:
    """Return map and image of every window of Landquart's eastern part that both show."""
    drawn = read_mosaic(tiles / "lk25", EAST, imagery=False)
    seen = read_mosaic(tiles / "swissimage", EAST, imagery=True)
    height, width = drawn.mask.shape
    pairs = []
    for y, x in product(range(0, height - SIDE + 1, STRIDE), range(0, width - SIDE + 1, STRIDE)):
        window = slice(y, y + SIDE), slice(x, x + SIDE)
        if (drawn.mask & seen.mask)[window].mean() >= MIN_DATA:
            image0, image1 = (np.ascontiguousarray(side.image[window]) for side in (drawn, seen))
            pairs.append(Pair(f"landquart-east/{y}-{x}", image0, image1, np.eye(3)))
    return pairs


def strangers(pairs: list[Pair], apart: Callable[[int, int], bool], most: int) -> list[Pair]:
    """Return image 0 of a pair with image 1 of another that is `apart` from it, evenly chosen."""
    found = [
        Pair(f"{first.name} with {second.name}", first.image0, second.image1, np.eye(3))
        for (i, first), (j, second) in product(enumerate(pairs), repeat=2)
        if apart(i, j)
    ]
    return [found[index] for index in np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)]


_matcher: Matcher | None = None


def _judge(name: str, pair: Pair) -> float | None:
    """Return the corner error, None where nothing was found."""
    global _matcher
    if _matcher is None:
        torch.set_num_threads(1)
        _matcher = load_matcher(name, "cpu")
    matches = _matcher.match(pair.image0, pair.image1)
    fitted = fit(matches)
    return None if fitted.matrix is None else score_fit(matches, fitted, pair).corner_error_px


def judged(name: str, pairs: Iterable[Pair], processes: int) -> list[float | None]:
    """Return the corner error of every pair, None where nothing was found."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return list(pool.map(partial(_judge, name), pairs))


def main() -> None:
    """Judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--matcher", default="fast-mapglue")
    parser.add_argument("--strangers", type=int, default=60, help="of each kind, at most")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    run = partial(judged, arguments.matcher, processes=arguments.processes)
    east = eastern_pairs(arguments.data / "tiles")
    errors = run([at_level(pair, LEVEL) for pair in east])
    found = np.array([error for error in errors if error is not None])
    right = bootstrap(np.array([np.inf if e is None else e for e in errors]), lambda v: share_within(v, RIGHT_PX))
    places = [np.array(pair.name.rpartition("/")[2].split("-"), int) for pair in east]
    kinds = {
        "srif": strangers(
            [files.load() for files in srif_pairs(arguments.data / "pairs/srif/Optical-Map", "development")],
            lambda i, j: i != j,
            arguments.strangers,
        ),
        "landquart": strangers(east, lambda i, j: np.abs(places[i] - places[j]).max() >= 2 * SIDE, arguments.strangers),
    }
    figures: dict[str, Any] = {
        "landquart_east": {
            "pairs": len(east),
            "within_5px": right.value,
            "interval": [right.low, right.high],
            "found": len(found) / len(east),
            "found_but_over_10px": float((found > 10).sum()) / len(east),
            "median_px_of_found": float(np.median(found)) if len(found) else None,
        }
    }
    for kind, pairs in kinds.items():
        matched = sum(error is not None for error in run(pairs))
        figures[f"strangers_{kind}"] = {"pairs": len(pairs), "declared_matched": matched}
    workload = {"matcher": arguments.matcher, "level": LEVEL}
    report("judging", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
