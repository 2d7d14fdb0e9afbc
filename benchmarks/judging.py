"""How accurate a matcher is on ground that it was not trained on, and how many negative pairs it declares matched.

    python benchmarks/judging.py --json > benchmarks/results/judging.json

The ground is Landquart's eastern part: the topographic map 1:25,000 and the aerial image at zoom 16 (1.6 m a pixel), in
windows of the map of 512 x 512 px, half overlapping. Each is matched with images of 512 x 512 px that are warped at the
level Normal and show what lies beyond the window too (black beyond the eastern part). "cropped" are the same windows of
both, the image warped and cut to what it shows without gaps, as the benchmark does with pairs of which no more is
known: some 360 x 360 px. The services' georeferences are the truth, good to a pixel or so. A pair counts as found if a
homography can be fitted to its matches, and as right if the window's corners lie within 5 px.

Negative pairs are maps of SRIF's development part with each other's images, and windows of Landquart's map with images
of other windows, neither warped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _machine import report

from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import score_fit, share_within
from matcher.benchmark.pairs import ImagePair, srif_pairs
from matcher.benchmark.statistics import bootstrap
from matcher.registry import load_matcher
from matcher.training.config import Tiles
from matcher.training.tiles import Mosaic, read_mosaic
from matcher.types import Matcher
from raster.fit import fit
from raster.levels import LEVELS, seeded

SIDE, STRIDE = 512, 256
COLUMNS = {"west": (34512, 34518), "east": (34519, 34524)}
"""Of tiles of zoom 16: the western part serves development only, the eastern part final figures only."""

ROWS = (23054, 23062)
LEVEL = "normal"
RIGHT_PX = 5.0
MIN_DATA = 0.98


@cache
def landquart_part(tiles: Path, part: str) -> tuple[Mosaic, Mosaic]:
    """Return map and image of a part of Landquart."""
    layers = {"lk25": False, "swissimage": True}
    place: dict[str, Any] = {"zoom": 16, "x": COLUMNS[part], "y": ROWS}
    chart, seen = (read_mosaic(Tiles(folder=tiles / name, **place), imagery=real) for name, real in layers.items())
    return chart, seen


def landquart_pairs(tiles: Path, part: str) -> list[ImagePair]:
    """Return map and image of every window of a part that both show."""
    chart, seen = landquart_part(tiles, part)
    height, width = chart.mask.shape
    pairs = []
    for y, x in product(range(0, height - SIDE + 1, STRIDE), range(0, width - SIDE + 1, STRIDE)):
        window = slice(y, y + SIDE), slice(x, x + SIDE)
        if (chart.mask & seen.mask)[window].mean() >= MIN_DATA:
            image0, image1 = (np.ascontiguousarray(side.image[window]) for side in (chart, seen))
            pairs.append(ImagePair(f"landquart-{part}/{y}-{x}", image0, image1, np.eye(3)))
    return pairs


def place_of(pair: ImagePair) -> tuple[int, int]:
    """Return the top-left pixel (x, y) of a pair's window in its part."""
    y, x = pair.name.rpartition("/")[2].split("-")
    return int(x), int(y)


def warped_pairs(pairs: list[ImagePair], seen: Mosaic, seeds: int) -> list[ImagePair]:
    """Return each window's map with `seeds` warped images of the image, as large as the window, one after another."""
    image = seen.image * seen.mask[..., None]
    found = []
    for pair, seed in product(pairs, range(seeds)):
        homography = LEVELS[LEVEL].sample(seeded(LEVEL, f"{pair.name}#{seed}"), SIDE, SIDE)
        x, y = place_of(pair)
        to_image = homography @ np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
        view = cv2.warpPerspective(image, to_image, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        found.append(ImagePair(f"{pair.name}#{seed}", pair.image0, np.asarray(view, np.uint8), homography))
    return found


def far_pairs(pairs: list[ImagePair], most: int) -> list[ImagePair]:
    """Return negative pairs: the map of a window with the image of another that lies far from it, evenly chosen."""
    places = np.array([place_of(pair) for pair in pairs])
    return negatives(pairs, lambda i, j: np.abs(places[i] - places[j]).max() >= 2 * SIDE, most)


def negatives(pairs: list[ImagePair], apart: Callable[[int, int], bool], most: int) -> list[ImagePair]:
    """Return image 0 of a pair with image 1 of another for which `apart` is true, evenly chosen."""
    found = [
        ImagePair(f"{first.name} with {second.name}", first.image0, second.image1, np.eye(3))
        for (i, first), (j, second) in product(enumerate(pairs), repeat=2)
        if apart(i, j)
    ]
    return [found[index] for index in np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)]


_matcher: Matcher | None = None


def _judge(name: str, pair: ImagePair) -> float | None:
    """Return the corner error, None where nothing was found."""
    global _matcher
    if _matcher is None:
        torch.set_num_threads(1)
        _matcher = load_matcher(name, "cpu")
    matches = _matcher.match(pair.image0, pair.image1)
    fitted = fit(matches.points0, matches.points1)
    return None if fitted.matrix is None else score_fit(matches, fitted, pair).corner_error_px


def judged(name: str, pairs: Iterable[ImagePair], processes: int) -> list[float | None]:
    """Return the corner error of every pair, None where nothing was found."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return list(pool.map(partial(_judge, name), pairs))


def summary(errors: list[float | None], windows: int) -> dict[str, Any]:
    """Return the shares of pairs found and right, the latter's interval by bootstrap over windows."""
    found = np.array([error for error in errors if error is not None])
    by_window = np.array([np.inf if error is None else error for error in errors]).reshape(windows, -1)
    right = bootstrap(by_window, lambda values: share_within(values.ravel(), RIGHT_PX))
    return {
        "pairs": len(errors),
        "within_5px": right.value,
        "interval": [right.low, right.high],
        "found": len(found) / len(errors),
        "found_but_over_10px": float((found > 10).sum()) / len(errors),
        "median_px_of_found": float(np.median(found)) if len(found) else None,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--matcher", default="fast-mapglue")
    parser.add_argument("--seeds", type=int, default=3, help="random homographies of a window")
    parser.add_argument("--negatives", type=int, default=60, help="of each kind, at most")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    run = partial(judged, arguments.matcher, processes=arguments.processes)
    tiles = arguments.data / "tiles"
    east, seen = landquart_pairs(tiles, "east"), landquart_part(tiles, "east")[1]
    kinds = {
        "srif": negatives(
            [files.load() for files in srif_pairs(arguments.data / "pairs/srif/Optical-Map", "development")],
            lambda i, j: i != j,
            arguments.negatives,
        ),
        "landquart": far_pairs(east, arguments.negatives),
    }
    figures: dict[str, Any] = {
        "landquart_east": summary(run(warped_pairs(east, seen, arguments.seeds)), len(east)),
        "landquart_east_cropped": summary(run([at_level(pair, LEVEL) for pair in east]), len(east)),
    }
    for kind, pairs in kinds.items():
        matched = sum(error is not None for error in run(pairs))
        figures[f"negatives_{kind}"] = {"pairs": len(pairs), "declared_matched": matched}
    workload = {"matcher": arguments.matcher, "level": LEVEL, "seeds": arguments.seeds}
    report("judging", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
