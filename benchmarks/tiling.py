"""Tiling: pairs a second and peak memory of the stage `tile`, beside other tilers and the bare cost of the codecs.

    python benchmarks/tiling.py --json
    python benchmarks/tiling.py --size 20000x15000 --only ours --json     # memory at the size of the largest sites

Everything runs on the same two rasters, made up for the purpose, with the same number of processes. Ours is the whole
stage: warp of the map side, statistics, digests, tables, flushing to disk. Beside it, where installed:
`gdal_retile.py` (Debian: gdal-bin and python3-gdal) and `vips dzsave` (libvips-tools) on both sides, which neither warp
nor check; `gdal raster tile` (GDAL 3.11 or later).

The bare cost is that of decoding and encoding the same bytes with the same codecs, in as many processes: each process
reads the very windows that the stage reads of the same two files, by the same reader, and encodes the very tiles that
the stage encodes: the visible one as read, the map's warped before the clock starts. Nothing is warped, measured,
digested, tabled or written while it runs. Both are timed in processes that have done a unit before, so that imports and
the libraries' own start-up count for neither; ours by the time until all units are back, the bare cost by its loops.

On ext4 creating a file takes ten times as long for five minutes after many files were deleted, for example by another
run of this script or by a test suite, because the file system skips inodes that were just freed. The script waits until
that is over, and reports how long creating a file takes.
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
from typing import Any, NamedTuple
from uuid import uuid4

import cv2
import numpy as np
from _machine import PROJECT, report
from affine import Affine

from pipeline.stage import Outcome, Result, RunView, Unit, output
from raster.grid import Grid
from raster.image import Image, Mask
from raster.pair import RasterPair
from raster.reader import RasterReader
from stages.align import AlignStage
from stages.align.result import Alignment
from stages.memory import keep_freed_memory
from stages.rasters import open_pair, write_raster
from stages.tile import TileParams, TileStage
from stages.tile.cut import Cutter
from stages.tile.encode import TileFormat, encode

PIXEL_M = 0.5
TILE = 512
PROCESSES = 2
PROBES = 300
CALM_S = 1e-4
"""A file takes no more processor time to create where none was deleted lately."""
MAX_WAIT_S = 400
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


class Done(NamedTuple):
    """What was done of a unit: pairs, the seconds that count, and the process's peak memory so far in bytes."""

    pairs: int
    seconds: float
    memory: int


Work = Callable[[TileStage, Unit, Path], Done]


def _tile(stage: TileStage, unit: Unit, workspace: Path) -> Done:
    start = time.perf_counter()
    pairs = stage.run(unit, workspace).data["pairs"]
    return Done(pairs, time.perf_counter() - start, _peak())


class _Noted:
    """A raster that notes which windows are read."""

    def __init__(self, raster: RasterReader) -> None:
        self._raster = raster
        self.grid = raster.grid
        self.windows: list[tuple[int, ...]] = []

    def read(self, *window: int) -> tuple[Image, Mask]:
        self.windows.append(window)
        return self._raster.read(*window)


def _bare(stage: TileStage, unit: Unit, workspace: Path) -> Done:
    asked = unit.payload
    cv2.setNumThreads(1)
    keep_freed_memory()
    rows = range(asked["first"], asked["first"] + asked["rows"])
    alignment = Alignment.from_json(json.loads((workspace / asked["alignment"]).read_bytes()))
    with open_pair(workspace / asked["map"], workspace / asked["visible"]) as opened:
        sides: Any = _Noted(opened.map), _Noted(opened.visible)
        cutter = Cutter(RasterPair(*sides), alignment, Grid.from_json(asked["grid"]), TILE)
        pairs = [cutter.cut(col * TILE, row * TILE) for row in rows for col in range(asked["columns"])]
    work = [
        (pair.map, *windows) for pair, *windows in zip(pairs, *(side.windows for side in sides), strict=True) if pair
    ]
    del pairs
    start = time.perf_counter()
    with open_pair(workspace / asked["map"], workspace / asked["visible"]) as opened:
        for map_tile, of_map, of_visible in work:
            opened.map.read(*of_map)
            encode(map_tile, TileFormat.PNG, 90)
            visible_tile, _ = opened.visible.read(*of_visible)
            encode(visible_tile, TileFormat.PNG, 90)
    return Done(len(work), time.perf_counter() - start, _peak())


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_processes(work: Work, stage: TileStage, units: Sequence[Unit], workspace: Path) -> tuple[list[Done], float]:
    """Run units in two processes that have run one before; return what was done and how many seconds it all took."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.starmap(_warm, [(work, stage, unit, workspace) for unit in units[:PROCESSES]], chunksize=1)
        _set_aside(workspace / "tiles")
        start = time.perf_counter()
        done = pool.starmap(work, [(stage, unit, workspace) for unit in units], chunksize=1)
        seconds = time.perf_counter() - start
        _set_aside(workspace / "tiles")
        return done, seconds


def _set_aside(folder: Path) -> None:
    """Make room without deleting: file systems create files slowly for a while where others were just deleted."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}-{uuid4().hex}"))


def calm(folder: Path) -> float:
    """Wait until files are created cheaply in `folder`, for a while; return the processor seconds that one takes."""
    give_up = time.monotonic() + MAX_WAIT_S
    while True:
        probes = folder / f"probes-{uuid4().hex}"
        probes.mkdir()
        start = time.process_time()
        for number in range(PROBES):
            (probes / f"{number}").touch()
        seconds = (time.process_time() - start) / PROBES
        if seconds < CALM_S or time.monotonic() > give_up:
            return seconds
        time.sleep(10)


def _warm(work: Work, stage: TileStage, unit: Unit, workspace: Path) -> None:
    work(stage, unit, workspace)
    time.sleep(0.5)  # so that no process takes two and leaves the other none


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
        folders = [workspace / name / side for side in ("map", "visible")]
        if shutil.which(command(folders[0])[0]) is None:
            figures[name] = f"not measured: no {command(folders[0])[0]} here (see the head of this script)"
            continue
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
    ours, bare, peak, creating = 0.0, 0.0, 0, 0.0
    for _ in range(repeats):
        creating = max(creating, calm(folder))
        done, seconds = in_processes(_tile, stage, units, folder)
        ours, peak = max(ours, pairs / seconds), max(peak, *(part.memory for part in done))
        if only == "all":
            done, _ = in_processes(_bare, stage, units, folder)
            bare = max(bare, pairs / (sum(part.seconds for part in done) / PROCESSES))
    figures: dict[str, Any] = {"pairs_per_s": ours, "pairs": pairs, "peak_memory_gib": peak / 2**30}
    figures["file_creation_ms"] = creating * 1e3
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
    workload = {
        "visible": [width, height],
        "tile": TILE,
        "format": "png",
        "processes": PROCESSES,
        "rounds": arguments.repeats,
    }
    entry = report("tiling", workload, figures, as_json=arguments.json)
    records = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(records | {f"{arguments.size} {arguments.only}": entry}, indent=1) + "\n")


if __name__ == "__main__":
    main()
