"""Negative pairs of maps and images of known synthetic scenes: every accepted region is a failure.

    python benchmarks/aligning_negatives.py --json [--sizes 1024 2304 5120] [--scenes 6 6 3] [--log FILE]

Of each size so many scenes are drawn, cities, towns and villages in turn, their maps all in one style. Every image is
laid on the maps of all other scenes (`foreign`), on its own map mirrored along either axis (`mirrored`) and on a map of
the same scene three kilometres away (`away`), under one georeference: n^2 + 2n pairs of n scenes, 111 by default. Each
case is appended to the log as it ends; those that the log holds are not run again. Seconds are processor seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _machine import report
from affine import Affine

from cartography import styles
from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import random_conditions
from cartography.mapnik_renderer import MapnikRenderer
from cartography.procedural import SyntheticScene
from cartography.procedural.landscape import LandscapeName
from raster.grid import Grid
from stages.align.pair import align_pair
from stages.align.threads import one_thread
from stages.rasters import open_pair, write_raster

GSD, ROWS, AWAY_M, FIRST_SEED = 0.5, 1024, 3000.0, 1000
LANDSCAPES: tuple[LandscapeName, ...] = ("city", "town", "village")


class Case(NamedTuple):
    """An image (number) under a map: that of scene `of`, mirrored along `axis`, or of ground `away`."""

    size: int
    image: int
    of: int
    axis: int | None = None
    away: bool = False

    @property
    def kind(self) -> str:
        """What is wrong with it."""
        return "away" if self.away else "foreign" if self.axis is None else "mirrored"

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"{self.size} px: image {self.image}, {self.kind} map {self.of}" + (
            "" if self.axis is None else f" along axis {self.axis}"
        )


def cases(size: int, scenes: int) -> Iterator[Case]:
    """Yield the pairs of a size."""
    for image in range(scenes):
        yield from (Case(size, image, of) for of in range(scenes) if of != image)
        yield from (Case(size, image, image, axis) for axis in (0, 1))
        yield Case(size, image, image, away=True)


def rasters(case: Case, style: str, folder: Path) -> tuple[Path, Path]:
    """Draw what is not drawn yet and return the map and the image of a case."""
    side = case.size
    frame = Frame(500_000.0, 5_200_000.0, GSD, side, side)
    grid = Grid("EPSG:32632", Affine(GSD, 0, frame.left, 0, -GSD, frame.top), side, side)
    shown = Frame(frame.left + AWAY_M * case.away, frame.top, GSD, side, side)
    chart = folder / f"map-{side}-{case.of}-{case.away}.tif"
    mirrored = folder / f"map-{side}-{case.of}-mirrored-{case.axis}.tif"
    visible = folder / f"visible-{side}-{case.image}.tif"

    def written(path: Path, number: int, is_map: bool) -> None:
        if path.exists():
            return
        scene = SyntheticScene(FIRST_SEED + number, LANDSCAPES[number % len(LANDSCAPES)])
        renderer = MapnikRenderer(scene, shown, styles.named(style))
        conditions = random_conditions(FIRST_SEED + number)
        textures = Textures.procedural(GSD, number)

        def strips() -> Iterator[np.ndarray]:
            for row in range(0, side, ROWS):
                block = (0, row, side, min(ROWS, side - row))
                drawn = renderer.render(block) if is_map else render_image(scene, frame, conditions, textures, block)
                yield np.dstack([drawn, np.full(drawn.shape[:2], 255, np.uint8)])

        write_raster(path, grid, strips(), {})

    written(visible, case.image, False)
    written(chart, case.of, True)
    if case.axis is None:
        return chart, visible
    if not mirrored.exists():
        with open_pair(chart, visible) as pair:
            image = np.flip(pair.map.read(0, 0, side, side)[0], case.axis)
        opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        write_raster(mirrored, grid, [np.ascontiguousarray(opaque)], {})
    return mirrored, visible


def run(case: Case, style: str, folder: Path) -> dict[str, Any]:
    """Align a case."""
    chart, visible = rasters(case, style, folder)
    begin = time.process_time()
    with open_pair(chart, visible) as pair, one_thread():
        alignment = align_pair(pair).alignment
    accepted = sum(region.accepted for region in alignment.regions)
    return {
        "name": case.name,
        "size": case.size,
        "kind": case.kind,
        "verdict": alignment.verdict,
        "reason": alignment.reason,
        "accepted_regions": accepted,
        "cpu_s": round(time.process_time() - begin, 1),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2304, 5120], help="side of the rasters, px")
    parser.add_argument("--scenes", type=int, nargs="+", default=[6, 6, 3], help="of each size")
    parser.add_argument("--style", default=styles.NAMES[0], choices=styles.NAMES)
    parser.add_argument("--log", type=Path, help="JSON lines of finished cases: to go on where a run stopped")
    options = parser.parse_args()
    if len(options.sizes) != len(options.scenes):
        parser.error("give as many --scenes as --sizes")
    known: dict[str, dict[str, Any]] = {}
    if options.log is not None and options.log.exists():
        known = {row["name"]: row for row in map(json.loads, options.log.read_text().splitlines())}
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for size, scenes in zip(options.sizes, options.scenes, strict=True):
            for case in cases(size, scenes):
                row = known.get(case.name) or run(case, options.style, Path(temporary))
                if options.log is not None and case.name not in known:
                    with options.log.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                rows.append(row)
                print(f"{row['name']}: {row['verdict']} {row['cpu_s']} s {row['reason']}", file=sys.stderr, flush=True)
    figures: dict[str, Any] = {
        "pairs": len(rows),
        "accepted_pairs": sum(row["verdict"] == "accepted" for row in rows),
        "accepted_regions": sum(row["accepted_regions"] for row in rows),
    }
    for size in options.sizes:
        figures[f"median_cpu_s_{size}_px"] = float(np.median([row["cpu_s"] for row in rows if row["size"] == size]))
    for kind in ("foreign", "mirrored", "away"):
        figures[f"pairs_{kind}"] = sum(row["kind"] == kind for row in rows)
    figures["peak_memory_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    workload = {"sizes_px": options.sizes, "scenes": options.scenes, "style": options.style}
    report("aligning_negatives", workload, figures, as_json=options.json)


if __name__ == "__main__":
    main()
