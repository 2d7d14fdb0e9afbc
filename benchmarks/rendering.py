"""How fast maps and simulated images are drawn, on one core, and how much memory the largest map takes.

    python benchmarks/rendering.py --json > benchmarks/results/rendering.json

Rates are per second of processor time, so that other work on the machine does not count: megapixels of a town at 0.5 m,
whose scene is made beforehand, and training scenes (512 x 512 map, image and labels) with all that belongs to them. The
largest map, 20,000 x 15,000 px, is drawn in blocks by a process of its own, its ground made on the way.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
from _machine import report

from cartography import light
from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions
from cartography.mapnik_renderer import MapnikRenderer
from cartography.procedural import World
from cartography.styles import NAMES, named
from cartography.training_scene import draw_pair

SIDE = 2048
GSD = 0.5
LARGEST = (20_000, 15_000)


def rate(work: Callable[[], Any], amount: float) -> float:
    """Return `amount` over the processor seconds of the faster of two calls."""
    times = []
    for _ in range(2):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return amount / min(times)


def renderers() -> dict[str, float]:
    """Measure megapixels a second of each renderer on a town that is already in memory."""
    frame = Frame(0.0, SIDE * GSD, GSD, SIDE, SIDE)
    town = World(1, "town").window(frame.grown(400).bounds)
    megapixels = SIDE * SIDE / 1e6
    figures = {}
    for name in NAMES:
        style = named(name)
        figures[f"mapnik_{name}_mpix_per_s"] = rate(lambda s=style: MapnikRenderer(town, frame, s).render(), megapixels)  # type: ignore[misc]
    figures["light_web-light_mpix_per_s"] = rate(lambda: light.render_map(town, frame, named("web-light")), megapixels)
    textures = Textures.procedural(GSD)
    figures["image_mpix_per_s"] = rate(lambda: render_image(town, frame, Conditions(), textures), megapixels)
    return figures


def training(count: int = 24) -> dict[str, float]:
    """Measure training scenes a second, consecutive seeds as training takes them."""
    draw_pair(0)
    return {"training_scenes_per_s": rate(lambda: [draw_pair(seed) for seed in range(count)], count)}


def largest() -> dict[str, float]:
    """Draw the largest map in this process and return its processor seconds and peak memory."""
    width, height = LARGEST
    renderer = MapnikRenderer(World(1), Frame(0.0, height * GSD, GSD, width, height), named("osm-carto"))
    begin = time.process_time()
    pixels = sum(image.shape[0] * image.shape[1] for _, image in renderer.blocks())
    seconds = time.process_time() - begin
    return {
        "largest_map_s": seconds,
        "largest_map_mpix_per_s": pixels / 1e6 / seconds,
        "largest_map_labels": len(renderer.labels),
        "largest_map_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--largest-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.largest_only:
        print(json.dumps(largest()))
        return
    figures = renderers() | training()
    child = subprocess.run([sys.executable, __file__, "--largest-only"], capture_output=True, text=True, check=True)
    figures |= json.loads(child.stdout)
    workload = {"side_px": SIDE, "gsd_m": GSD, "largest_px": LARGEST, "cores": 1}
    report("rendering", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
