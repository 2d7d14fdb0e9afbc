"""Alignment on real tiles: random perturbations of the map's georeference, and pairs that do not belong together.

    python benchmarks/alignment.py --json [--perturbations 40] [--negatives 10]

Needs ../shared/data beside the checkout. Every fourth perturbation is turned by any angle, the others by up to 5
degrees; shifts reach 200 m, scales 5%. The error is the largest move of the visible raster's corners against the
unperturbed solution, in pixels of zoom 16. Negatives are maps of other places under the image's georeference, and
mirrored ones; every one accepted is a failure.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _machine import PROJECT, report
from affine import Affine

from stages.align.pair import Evidence, align_pair
from stages.align.source import open_side
from stages.grid import Grid, apply_homography
from stages.rasters import write_raster

HALF = 20037508.342789244
PIXEL = 2 * HALF / (256 * 2**16)
IMAGE = {16: (34512, 34524, 23054, 23062), 17: (69024, 69048, 46109, 46124), 18: (138048, 138096, 92218, 92249)}
MAP = (34504, 34526, 23054, 23069)
SHARED = PROJECT.parent / "shared" / "data" / "tiles"


def assemble(layer: str, zoom: int, tiles: tuple[int, int, int, int]) -> np.ndarray:
    """Return tiles (x and y ranges, inclusive) as one RGBA image; alpha 0 where a tile is missing."""
    x0, x1, y0, y1 = tiles
    image = np.zeros(((y1 - y0 + 1) * 256, (x1 - x0 + 1) * 256, 4), np.uint8)
    for path in sorted((SHARED / layer / str(zoom)).glob("*/*.*")):
        x, y = int(path.parent.name), int(path.stem)
        if x0 <= x <= x1 and y0 <= y <= y1:
            tile = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGBA)
            image[(y - y0) * 256 :, (x - x0) * 256 :][:256, :256] = tile
    return image


def placed(zoom: int, x: float, y: float) -> Affine:
    """Return the geotransform of an image whose top-left tile is (x, y)."""
    pixel = PIXEL / 2 ** (zoom - 16)
    return Affine(pixel, 0, -HALF + x * 256 * pixel, 0, -pixel, HALF - y * 256 * pixel)


def perturbation(generator: np.random.Generator, any_angle: bool, middle: np.ndarray) -> Affine:
    """Return a random similarity of the ground about `middle`."""
    degrees = generator.uniform(-180, 180) if any_angle else generator.uniform(-5, 5)
    scale, (east, north) = generator.uniform(0.95, 1.05), generator.uniform(-200, 200, 2)
    there = Affine.translation(*(middle + np.array([east, north])))
    return there @ Affine.rotation(degrees) @ Affine.scale(scale) @ Affine.translation(*-middle)


def align(folder: Path, chart: np.ndarray, transform: Affine, visible: Path) -> tuple[Evidence, float]:
    """Align one map under a georeference; return the evidence and the seconds taken."""
    path = folder / "map.tif"
    write_raster(path, Grid("EPSG:3857", transform, chart.shape[1], chart.shape[0]), iter([chart]), {})
    start = time.perf_counter()
    with open_side(path) as map_side, open_side(visible) as visible_side:
        evidence = align_pair(map_side, visible_side)
    return evidence, time.perf_counter() - start


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--zoom", type=int, default=16, choices=sorted(IMAGE), help="of the image")
    parser.add_argument("--perturbations", type=int, default=40)
    parser.add_argument("--negatives", type=int, default=10)
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.error("real data is absent: no ../shared/data beside the project")
    chart, image = assemble("lk25", 16, MAP), assemble("swissimage", options.zoom, IMAGE[options.zoom])
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x0, _, y0, _ = IMAGE[options.zoom]
        grid = Grid("EPSG:3857", placed(options.zoom, x0, y0), width, height)
        visible = folder / "visible.tif"
        write_raster(visible, grid, iter([image]), {})
        middle = grid.to_world([[width / 2, height / 2]])[0]
        home = placed(16, MAP[0], MAP[2])
        reference, seconds = align(folder, chart, home, visible)
        figures: dict[str, Any] = {"reference": reference.alignment.verdict, "reference_s": round(seconds, 1)}
        back = np.linalg.inv(reference.alignment.transform.homography)
        errors, times, flagged, wrong = [], [], 0, 0
        generator = np.random.default_rng(2026)
        for index in range(options.perturbations):
            change = perturbation(generator, index % 4 == 3, middle)
            evidence, seconds = align(folder, chart, change @ home, visible)
            there = apply_homography(evidence.alignment.transform.homography, apply_homography(back, corners))
            error = float(np.linalg.norm(there - corners, axis=1).max()) / 2 ** (options.zoom - 16)
            accepted = evidence.alignment.verdict == "accepted"
            errors.append(error if accepted else np.inf)
            times.append(seconds)
            flagged, wrong = flagged + (not accepted), wrong + (accepted and error > 5)
            print(f"{index}: {evidence.alignment.verdict} {error:.2f} px {seconds:.1f} s", file=sys.stderr, flush=True)
        if errors:
            figures |= {
                "within_2px": float(np.mean(np.array(errors) <= 2)),
                "median_px": float(np.median(errors)),
                "flagged": flagged,
                "accepted_wrong_by_5px": wrong,
                "median_s": round(float(np.median(times)), 1),
            }
        figures["negatives_accepted"] = negatives(folder, chart, home, visible, options.negatives)
    figures["peak_memory_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    workload = {"zoom": options.zoom, "perturbations": options.perturbations, "negatives": options.negatives}
    report("alignment", workload, figures, as_json=options.json)


def negatives(folder: Path, chart: np.ndarray, home: Affine, visible: Path, count: int) -> int:
    """Return how many maps that do not belong were accepted: mirrored ones, and ones of ground the image lacks."""
    accepted = 0
    generator = np.random.default_rng(7)
    for index in range(count):
        if index % 3 == 0:
            foreign = np.ascontiguousarray(chart[:, ::-1] if index % 2 else chart[::-1])
        else:  # the map's southern part, which the image does not show, laid over the image
            top, left = int(generator.integers(2400, 2600)), int(generator.integers(0, 2400))
            foreign = np.zeros_like(chart)
            part = chart[top : top + 1496, left : left + 3300]
            foreign[: part.shape[0], 2048 : 2048 + part.shape[1]] = part
        evidence, seconds = align(folder, foreign, home, visible)
        accepted += evidence.alignment.verdict == "accepted"
        print(f"negative {index}: {evidence.alignment.verdict} {seconds:.1f} s", file=sys.stderr, flush=True)
    return accepted


if __name__ == "__main__":
    main()
