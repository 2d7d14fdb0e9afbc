"""Alignment on real tiles: random perturbations of the map's georeference, and negative pairs.

    python benchmarks/alignment.py --json [--perturbations 40] [--negatives 20] [--zoom 16] [--log FILE]

Needs ../shared/data beside the checkout. Of the perturbations every fourth is turned by any angle, the others by up to
5 degrees; shifts reach 200 m, scales 5%. The error is the largest move of the visible raster's corners against the
unperturbed solution, in pixels of zoom 16. The negatives are, in equal parts, images of other places laid on the map,
mirrored maps, and maps of ground kilometres away that the image does not show, laid on the image; half of them are
perturbed besides. Every one accepted is a failure. Each case is appended to the log as it ends; those that the log
holds are not run again.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from _machine import PROJECT, report
from affine import Affine

from raster.grid import Grid
from raster.homography import apply_homography
from stages.align.pair import align_pair
from stages.rasters import open_pair, write_raster

HALF = 20037508.342789244
PIXEL = 2 * HALF / (256 * 2**16)
MAP = (34504, 34526, 23054, 23069)
IMAGE = {16: (34512, 34524, 23054, 23062), 17: (69024, 69048, 46109, 46124), 18: (138048, 138096, 92218, 92249)}
FOREIGN = {"Ftan": (17, (69257, 69274, 46203, 46218)), "La Punt": (18, (138284, 138303, 92637, 92652))}
FOREIGN["Susch"] = (18, (138394, 138407, 92448, 92460))
SHARED = PROJECT.parent / "shared" / "data" / "tiles"


class Case(NamedTuple):
    """A map under a georeference against an image; `belong`: whether they show the same ground."""

    name: str
    belong: bool
    chart: np.ndarray
    transform: Affine
    visible: Path


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


def saved(path: Path, image: np.ndarray, transform: Affine) -> Path:
    """Write a raster and return its path."""
    write_raster(path, Grid("EPSG:3857", transform, image.shape[1], image.shape[0]), iter([image]), {})
    return path


def middle_of(shape: tuple[int, ...], transform: Affine) -> np.ndarray:
    """Return the ground position of an image's centre."""
    return np.array(transform @ (shape[1] / 2, shape[0] / 2))


def positives(folder: Path, zoom: int, count: int) -> Iterator[Case]:
    """Yield the unperturbed pair, then the perturbed ones."""
    tiles = IMAGE[zoom]
    image, home = assemble("swissimage", zoom, tiles), placed(16, MAP[0], MAP[2])
    there = placed(zoom, tiles[0], tiles[2])
    visible = saved(folder / "visible.tif", image, there)
    chart, generator = assemble("lk25", 16, MAP), np.random.default_rng(2026)
    yield Case("reference", True, chart, home, visible)
    for index in range(count):
        change = perturbation(generator, index % 4 == 3, middle_of(image.shape, there))
        yield Case(f"perturbation {index}", True, chart, change @ home, visible)


def negatives(folder: Path, count: int) -> Iterator[Case]:
    """Yield negative pairs, map and image of different ground, of each kind in turn."""
    chart, home = assemble("lk25", 16, MAP), placed(16, MAP[0], MAP[2])
    landquart = saved(folder / "landquart.tif", assemble("swissimage", 16, IMAGE[16]), placed(16, 34512, 23054))
    middle = middle_of((2304, 3328), placed(16, 34512, 23054))
    generator = np.random.default_rng(7)
    for index in range(count):
        change = perturbation(generator, False, middle) if index // 3 % 2 else Affine.identity()
        if index % 3 == 0:
            name, (zoom, tiles) = list(FOREIGN.items())[index // 3 % 3]
            image = assemble("swissimage", zoom, tiles)
            centre = home @ tuple(generator.uniform((1500, 1000), (4400, 3000)))
            here = placed(zoom, 0, 0)
            corner = here @ Affine.translation(image.shape[1] / 2, image.shape[0] / 2)
            here = Affine.translation(centre[0] - corner.c, centre[1] - corner.f) @ here
            visible = saved(folder / f"{name}.tif", image, here)
            yield Case(f"negative {index}: {name} on another map", False, chart, change @ home, visible)
        elif index % 3 == 1:
            axis = index // 3 % 2
            mirrored = np.ascontiguousarray(np.flip(chart[:2304, 2048:5376], axis))
            yield Case(f"negative {index}: mirrored", False, mirrored, change @ placed(16, 34512, 23054), landquart)
        else:  # rows that begin where the image ends, laid on it
            left = int(generator.integers(0, 2500))
            away = np.ascontiguousarray(chart[2304:4096, left : left + 3328])
            there = change @ placed(16, 34512, 23055)
            yield Case(f"negative {index}: a map of ground to the south", False, away, there, landquart)


def run(folder: Path, case: Case) -> dict[str, Any]:
    """Align a case: verdict, reason, homography, and what it took."""
    path = saved(folder / "map.tif", case.chart, case.transform)
    cpu, wall = time.process_time(), time.perf_counter()
    with open_pair(path, case.visible, siblings=True) as pair:
        alignment = align_pair(pair).alignment
    spent = {"cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.perf_counter() - wall, 1)}
    matrix = alignment.transform.homography.tolist()
    said = {"verdict": alignment.verdict, "reason": alignment.reason, "homography": matrix}
    return {"name": case.name, "belong": case.belong} | spent | said


def recorded(log: Path | None, cases: Iterator[Case], work: Callable[[Case], dict[str, Any]]) -> list[dict[str, Any]]:
    """Run the cases that the log does not hold, appending them to it; return all."""
    lines = log.read_text().splitlines() if log is not None and log.exists() else []
    known = {row["name"]: row for row in map(json.loads, lines)}
    rows = []
    for case in cases:
        row = known.get(case.name) or work(case)
        if log is not None and case.name not in known:
            with log.open("a") as file:
                file.write(json.dumps(row) + "\n")
        rows.append(row)
        print(f"{row['name']}: {row['verdict']} {row['cpu_s']} s {row['reason']}", file=sys.stderr, flush=True)
    return rows


def errors_of(rows: list[dict[str, Any]], zoom: int) -> np.ndarray:
    """Return how far each row moves the visible raster's corners from where the first does, in pixels of zoom 16."""
    width, height = (256 * (last - first + 1) for first, last in (IMAGE[zoom][:2], IMAGE[zoom][2:]))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    source = apply_homography(np.linalg.inv(rows[0]["homography"]), corners)
    there = [apply_homography(np.array(row["homography"]), source) for row in rows]
    return np.linalg.norm(np.array(there) - corners, axis=2).max(axis=1) / 2 ** (zoom - 16)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--zoom", type=int, default=16, choices=sorted(IMAGE), help="of the image")
    parser.add_argument("--perturbations", type=int, default=40)
    parser.add_argument("--negatives", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log", type=Path, help="JSON lines of finished cases: to go on where a run stopped")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.error("real data is absent: no ../shared/data beside the project")
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def work(case: Case) -> dict[str, Any]:
            return run(folder, case)

        found = recorded(options.log, positives(folder, options.zoom, options.perturbations), work)
        others = recorded(options.log, negatives(folder, options.negatives), work)
    errors, accepted = errors_of(found, options.zoom)[1:], [row["verdict"] == "accepted" for row in found[1:]]
    figures: dict[str, Any] = {"reference": found[0]["verdict"], "reference_cpu_s": found[0]["cpu_s"]}
    figures["reference_wall_s"] = found[0]["wall_s"]
    if len(errors):
        figures |= {
            "accepted_within_2px": float(np.mean((errors <= 2) & accepted)),
            "median_px": float(np.median(errors)),
            "largest_accepted_px": float(errors[accepted].max()) if any(accepted) else None,
            "flagged": len(errors) - sum(accepted),
            "accepted_wrong_by_5px": int(np.sum((errors > 5) & accepted)),
            "median_cpu_s": float(np.median([row["cpu_s"] for row in found[1:]])),
        }
    if others:
        figures["negatives_accepted"] = sum(row["verdict"] == "accepted" for row in others)
        figures["negatives_median_cpu_s"] = float(np.median([row["cpu_s"] for row in others]))
    figures["peak_memory_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    workload = {"zoom": options.zoom, "perturbations": len(errors), "negatives": len(others)}
    report("alignment", workload | {"threads": options.threads}, figures, as_json=options.json)


if __name__ == "__main__":
    main()
