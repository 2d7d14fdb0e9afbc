"""Tiling: pairs a second and peak memory of the stage `tile`, beside other tilers and the bare cost of the codecs.

    python benchmarks/tiling.py --json
    python benchmarks/tiling.py --size 20000x15000 --only ours --json     # memory at the size of the largest sites

Everything runs on the same two rasters, made up for the purpose, with the same number of processes. Ours is the whole
stage: warp of the map side, statistics, digests, tables, flushing to disk. Beside it, where installed:
`gdal_retile.py` (Debian: gdal-bin and python3-gdal) and `vips dzsave` (libvips-tools) on both sides, which neither warp
nor check; `gdal raster tile` (GDAL 3.11 or later). The bare cost is reading the windows that a tile needs and encoding
its pixels with the same codec, nothing else: nothing is warped, measured, digested or written.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _machine import PROJECT, report
from affine import Affine

from pipeline.stage import Outcome, Result, RunView, Unit, output
from stages.align import AlignStage
from stages.grid import Grid
from stages.rasters import Image, open_raster, write_raster
from stages.tile import TileParams, TileStage
from stages.tile.encode import TileFormat, encode

PIXEL_M = 0.5
TILE = 512
RECORD = PROJECT / "benchmarks" / "results" / "tiling.json"


def scene(seed: int, width: int, flat: bool) -> Iterator[Image]:
    """Yield strips (256, width, 4) without end: noise of many scales like imagery, or flat areas and lines."""
    rng = np.random.default_rng(seed)
    while True:
        strip = np.full((256, width, 3), 110, np.float32)
        for cell, strength in ((2, 6), (8, 14), (32, 18), (128, 22)):
            noise = rng.normal(0, strength, (-(-256 // cell), -(-width // cell), 3)).astype(np.float32)
            strip += cv2.resize(noise, (width, 256), interpolation=cv2.INTER_LINEAR)
        image = np.clip(strip, 0, 255).astype(np.uint8)
        if flat:
            image = image // 48 * 24 + 150
            for x, y, dx, dy in rng.integers(-200, 200, (width // 16, 4)).tolist():
                x = (x * 7919 + dx * 104729) % width
                cv2.line(image, (x, y), (x + dx, y + dy), (90, 90, 110), 2, cv2.LINE_AA)
        yield np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def rows_of(strips: Iterator[Image], height: int) -> Iterator[Image]:
    """Cut endless strips to a height."""
    while height > 0:
        strip = next(strips)[:height]
        height -= len(strip)
        yield strip


def make_rasters(workspace: Path, width: int, height: int) -> dict[str, Result]:
    """Write a visible raster and a map of the same ground at half its resolution; return the results of `acquire`."""
    results = {}
    for side, factor in (("map", 2), ("visible", 1)):
        size = math.ceil(width / factor) + 64, math.ceil(height / factor) + 64
        transform = Affine(PIXEL_M * factor, 0, 500000 - 13.1, 0, -PIXEL_M * factor, 5200000 + 17.3)
        if side == "visible":
            size, transform = (width, height), Affine(PIXEL_M, 0, 500000, 0, -PIXEL_M, 5200000)
        grid = Grid("EPSG:32632", transform, *size)
        path = workspace / "rasters" / "001" / "1" / f"{side}.tif"
        write_raster(path, grid, rows_of(scene(factor, size[0], side == "map"), size[1]), {"SOURCE": "made up"})
        made = output(workspace, path)
        data = {"path": made.path, "digest": made.digest, "nodata_share": 0.0, **grid.to_json()}
        results[f"001/1/{side}"] = Result((made,), data)
    return results


def plan_tiles(workspace: Path, acquired: Mapping[str, Result]) -> tuple[TileStage, list[Unit]]:
    """Align by georeference and plan the stage."""
    align = AlignStage(AlignStage.Params.model_validate({"method": "georeference"}))
    results: dict[str, Mapping[str, Result]] = {"acquire": acquired}
    results["align"] = {unit.name: align.run(unit, workspace) for unit in align.plan(RunView(workspace, 0, results))}
    assert all(result.outcome is Outcome.DONE for result in results["align"].values())
    stage = TileStage(TileParams())
    return stage, list(stage.plan(RunView(workspace, 0, results)))


def _tile(stage: TileStage, unit: Unit, workspace: Path) -> tuple[int, int]:
    pairs = stage.run(unit, workspace).data["pairs"]
    return int(pairs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _bare(stage: TileStage, unit: Unit, workspace: Path) -> tuple[int, int]:
    asked = unit.payload
    pairs = 0
    cv2.setNumThreads(1)
    with open_raster(workspace / asked["map"]) as map_raster, open_raster(workspace / asked["visible"]) as visible:
        for row in range(asked["first"], asked["first"] + asked["rows"]):
            for col in range(asked["columns"]):
                tile, _ = visible.read(col * TILE, row * TILE, TILE, TILE)
                encode(tile, TileFormat.PNG, 90)
                half, _ = map_raster.read(col * TILE // 2, row * TILE // 2, TILE // 2 + 4, TILE // 2 + 4)
                # The map's own pixels, four times: as many bytes to encode as a tile has, and as compressible.
                encode(cv2.resize(half[:-4, :-4], (TILE, TILE)), TileFormat.PNG, 90)
                pairs += 1
    return pairs, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_processes(
    work: Callable[[TileStage, Unit, Path], tuple[int, int]], stage: TileStage, units: Sequence[Unit], workspace: Path
) -> tuple[float, float, int]:
    """Run units in two processes; return pairs a second, seconds, and the greatest memory of a process in bytes."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(_warm, [()] * 4, chunksize=1)
        start = time.perf_counter()
        done = pool.starmap(work, [(stage, unit, workspace) for unit in units], chunksize=1)
        seconds = time.perf_counter() - start
    return sum(pairs for pairs, _ in done) / seconds, seconds, max(peak for _, peak in done)


def _warm() -> None:
    time.sleep(0.5)


def tool(commands: Sequence[Sequence[str]], pairs: int) -> float:
    """Run one command a side at the same time, as two processes; return pairs a second."""
    start = time.perf_counter()
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for command in commands]
    for process in running:
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{process.args!r} failed: {errors.decode()[-500:]}")
    return pairs / (time.perf_counter() - start)


def peers(workspace: Path, pairs: int) -> dict[str, Any]:
    """Return pairs a second of other tilers, or a word on why there is no figure.

    They have two rasters of the visible grid to cut, for they cannot warp: the visible one twice.
    """
    visible = str(workspace / "rasters" / "001" / "1" / "visible.tif")
    folders = [workspace / "peer" / side for side in ("map", "visible")]
    size = str(TILE)
    commands: dict[str, Callable[[Path], list[str]]] = {
        "gdal_retile": lambda out: [
            "gdal_retile.py", "-q", "-ps", size, size, "-of", "PNG", "-targetDir", str(out), visible,
        ],
        "vips_dzsave": lambda out: [
            "vips", "dzsave", visible, str(out / "x"), "--layout", "google", "--depth", "one",
            "--tile-size", size, "--suffix", ".png[compression=1]",
        ],
        "gdal_raster_tile": lambda out: [
            "gdal", "raster", "tile", "--tiling-scheme", "raster", "--tile-size", size, "--num-threads", "1",
            visible, str(out),
        ],
    }  # fmt: skip
    figures: dict[str, Any] = {}
    for name, command in commands.items():
        if shutil.which(command(folders[0])[0]) is None:
            figures[name] = f"not measured: no {command(folders[0])[0]} here (see the head of this script)"
            continue
        shutil.rmtree(workspace / "peer", ignore_errors=True)
        for folder in folders:
            folder.mkdir(parents=True)
        try:
            figures[name] = tool([command(folder) for folder in folders], pairs)
        except RuntimeError as error:
            figures[name] = f"not measured: {error}"
    return figures


def measure(width: int, height: int, only: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Return the figures; the best of `repeats` for ours and the bare cost, one after the other in turn."""
    acquired = make_rasters(folder, width, height)
    stage, units = plan_tiles(folder, acquired)
    pairs = sum(unit.payload["rows"] * unit.payload["columns"] for unit in units)
    ours, bare, peak = 0.0, 0.0, 0
    for _ in range(repeats):
        shutil.rmtree(folder / "tiles", ignore_errors=True)
        speed, _, memory = in_processes(_tile, stage, units, folder)
        ours, peak = max(ours, speed), max(peak, memory)
        if only == "all":
            bare = max(bare, in_processes(_bare, stage, units, folder)[0])
    figures: dict[str, Any] = {"pairs_per_s": ours, "pairs": pairs, "peak_memory_gib": peak / 2**30}
    if only == "all":
        others = peers(folder, pairs)
        figures |= {"bare_pairs_per_s": bare, "share_of_bare_cost": ours / bare}
        figures |= {f"{name}_pairs_per_s": value for name, value in others.items()}
        figures |= {f"ratio_to_{name}": ours / value for name, value in others.items() if isinstance(value, float)}
    return figures


def main() -> None:
    """Measure, print, and keep the figures in benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="10240x8192", help="of the visible raster, px (default: %(default)s)")
    parser.add_argument("--only", choices=("all", "ours"), default="all", help="skip the other tilers")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of which the best counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = measure(width, height, arguments.only, Path(folder), arguments.repeats)
    workload = {"visible": [width, height], "tile": TILE, "format": "png", "processes": 2, "rounds": arguments.repeats}
    entry = report("tiling", workload, figures, as_json=arguments.json)
    records = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(records | {f"{arguments.size} {arguments.only}": entry}, indent=1) + "\n")


if __name__ == "__main__":
    main()
