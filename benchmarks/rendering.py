"""How fast maps and simulated images are drawn, on one core, and how much memory the largest rasters take.

    python benchmarks/rendering.py --json > benchmarks/results/rendering.json

Rates are per second of processor time, so that other work on the machine does not count: megapixels of a town at 0.5 m,
whose scene is made beforehand, and training scenes (512 x 512 map, image and labels) with all that belongs to them. The
largest rasters, 20,000 x 15,000 px, are each made by a process of its own, strip by strip as `acquire` asks for them,
their ground made (or read from a GeoPackage) on the way.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import geopandas
import numpy as np
import shapely
from _machine import report

from cartography import opencv_renderer
from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions
from cartography.mapnik_renderer import MapnikRenderer
from cartography.procedural import SyntheticScene
from cartography.scene import geometries
from cartography.styles import NAMES, named
from cartography.training_scene import PAIRS_PER_SCENE, REGION, sample_pair, scene_of
from raster.image import Image
from stages.acquire.local_grid import local_grid
from stages.acquire.osm_render import OsmRenderSource
from stages.acquire.simulated import SimulatedImageSource, SimulatedMapSource
from stages.acquire.source import Site, Source

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
    town = SyntheticScene(1, "town").window(frame.grown(400).bounds)
    megapixels = SIDE * SIDE / 1e6
    figures = {}
    for name in NAMES:
        style = named(name)
        figures[f"mapnik_{name}_mpix_per_s"] = rate(lambda s=style: MapnikRenderer(town, frame, s).render(), megapixels)  # type: ignore[misc]
    figures["light_web-light_mpix_per_s"] = rate(
        lambda: opencv_renderer.render_map(town, frame, named("web-light")), megapixels
    )
    textures = Textures.procedural(GSD)
    figures["image_mpix_per_s"] = rate(lambda: render_image(town, frame, Conditions(), textures), megapixels)
    return figures


def training(worlds: int = 12, scenes: int = 8) -> dict[str, float]:
    """Measure training scenes a second over worlds of all kinds, as often as training has them.

    A world is made whole, then some of its scenes are drawn; each scene bears its share of the making of its world.
    Textures, which are made once a process, are made before.
    """
    for seed in range(-24, 0):
        sample_pair(seed)
    making = drawing = 0.0
    for number in range(worlds):
        first = number * PAIRS_PER_SCENE
        begin = time.process_time()
        scene_of(first).window((-200.0, -900.0, REGION + 900.0, REGION + 200.0))
        made = time.process_time()
        for seed in range(first, first + scenes):
            sample_pair(seed)
        making, drawing = making + made - begin, drawing + time.process_time() - made
    each = drawing / (worlds * scenes) + making / (worlds * PAIRS_PER_SCENE)
    return {"training_scenes_per_s": 1 / each, "training_scenes_per_s_of_worlds_made": worlds * scenes / drawing}


TOWN = "town.gpkg"
LARGEST_KINDS = ("light-map", "simulated-map", "simulated-image", "osm-render")


def largest(kind: str, folder: Path) -> dict[str, float]:
    """Make the largest raster in this process; return its processor seconds and the process's peak memory."""
    if kind == "osm-render":
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            other.submit(_write_town, folder / TOWN).result()
    begin = time.process_time()
    with _strips(kind, folder) as strips:
        pixels = sum(strip.shape[0] * strip.shape[1] for strip in strips)
    seconds = time.process_time() - begin
    assert pixels >= 0.99 * LARGEST[0] * LARGEST[1]
    name = kind.replace("-", "_")
    return {
        f"largest_{name}_s": seconds,
        f"largest_{name}_mpix_per_s": pixels / 1e6 / seconds,
        f"largest_{name}_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


@contextmanager
def _strips(kind: str, folder: Path) -> Iterator[Iterator[Image]]:
    """Open the largest raster of one kind as strips from top to bottom."""
    if kind == "light-map":
        width, height = LARGEST
        frame, style, world = Frame(0.0, height * GSD, GSD, width, height), named("osm-carto"), SyntheticScene(1)
        blocks = ((0, row, width, min(1024, height - row)) for row in range(0, height, 1024))
        yield (opencv_renderer.render_map(world, frame, style, block) for block in blocks)
        return
    sources: dict[str, Callable[[], Source]] = {
        "simulated-map": lambda: SimulatedMapSource(world=1, styles=("osm-carto",)),
        "simulated-image": lambda: SimulatedImageSource(world=1),
        "osm-render": lambda: OsmRenderSource(path=folder / TOWN, style="osm-carto"),
    }
    with sources[kind]().open(_site(), folder) as strips:
        yield strips.pixels


def _site() -> Site:
    """A site of the largest size at the scale of the benchmark, in the middle of its UTM zone."""
    size = np.array(LARGEST) * GSD
    x, y = np.array([[-0.5, 0.5], [-0.5, 0.5]]) * size[:, None] + [[500_000], [5_250_000]]
    corners = geopandas.GeoSeries([shapely.box(x[0], y[0], x[1], y[1])], crs="EPSG:32632").to_crs("EPSG:4326")
    return Site("001", "1", shapely.box(*corners.total_bounds), GSD, "suburb")


def _write_town(path: Path) -> None:
    """Write the buildings and roads of a town as large as the site to a GeoPackage."""
    grid = local_grid(_site())
    corner = np.array([grid.transform.c, grid.transform.f - grid.height * GSD])
    world = SyntheticScene(1, "town")
    cells = [(x, y) for x in range(0, int(grid.width * GSD), 1000) for y in range(0, int(grid.height * GSD), 1000)]
    scenes = [world.window((x, y, x + 1000, y + 1000)) for x, y in cells]
    for layer, tag in (("buildings", "building"), ("roads", "highway")):
        features = tuple({f.key: f for scene in scenes for f in getattr(scene, layer)}.values())
        shapes = shapely.transform(geometries(features), lambda points: points + corner)
        table = {tag: [f.kind for f in features], "name": [f.name for f in features], "geometry": shapes}
        geopandas.GeoDataFrame(table, crs=grid.crs).to_file(path, layer=layer, driver="GPKG", engine="pyogrio")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--largest", choices=LARGEST_KINDS, help="make one of the largest rasters only")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.largest:
            figures = largest(arguments.largest, Path(folder))
        else:
            figures = renderers() | training()
            for kind in LARGEST_KINDS:
                command = [sys.executable, __file__, "--json", "--largest", kind]
                child = subprocess.run(command, capture_output=True, text=True, check=True)
                figures |= json.loads(child.stdout)["figures"]
    workload = {"side_px": SIDE, "gsd_m": GSD, "largest_px": LARGEST, "cores": 1}
    report("rendering", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
