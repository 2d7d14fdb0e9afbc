"""The review page at full size: rasters of 20,000 x 15,000 px, a gallery of 121,781 pairs, many edits, many runs.

    python benchmarks/reviewing.py --json [--part rasters --part gallery --part edits --part browsers --part runs]

`rasters`: the smaller versions of one raster, made in a process of its own, killed half way, made on; raw reads (calls
of read and pread, by the kernel's count) a tile of the pyramid and a tile of full resolution. `gallery`, `edits` and
`browsers` drive a headless Chromium; `edits`: random edits, undos, reloads and a kill of the server, `browsers`: two
people on one raster pair, `runs`: runs started while points are saved without a pause.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _machine import PROJECT, report
from affine import Affine

sys.path.insert(0, str(PROJECT / "tests" / "support"))

from pipeline.files import digest_file
from pipeline.ledger import Ledger
from pipeline.stage import Result, Unit, output
from pipeline.workspace import Workspace
from raster.grid import Grid
from review.pyramid import Pyramid, levels_of, tiles_of
from review.sites import Side
from review.views import Views
from stages.rasters import open_raster, write_raster
from stages.tables import CLEAN, PAIRS, SPLIT, write_table

WIDTH, HEIGHT = 20_000, 15_000
PAIRS_COUNT, SITES = 121_781, 60
EDITS, INTERLEAVED, RUNS = 200, 100, 50
SPAWN = multiprocessing.get_context("spawn")


def _raster(path: Path) -> Side:
    """Write a raster of the full size: noise of several scales, so that it compresses as imagery does."""
    grid = Grid("EPSG:32632", Affine(0.5, 0, 500_000, 0, -0.5, 5_200_000), WIDTH, HEIGHT)
    rng = np.random.default_rng(0)
    strip = np.full((512, WIDTH, 4), 255, np.uint8)

    def strips() -> Any:
        for start in range(0, HEIGHT, 512):
            coarse = rng.integers(0, 200, (4, WIDTH // 128 + 1, 3), dtype=np.uint8)
            strip[..., :3] = np.repeat(np.repeat(coarse, 128, axis=0), 128, axis=1)[:, :WIDTH]
            strip[..., :3] += rng.integers(0, 40, (512, WIDTH, 1), dtype=np.uint8)
            yield strip[: min(512, HEIGHT - start)]

    write_raster(path, grid, strips(), {})
    return Side(path, digest_file(path), grid)


def _build(path: Path, side: Side, queue: Any) -> None:
    with open_raster(side.path) as reader:
        Pyramid(path, WIDTH, HEIGHT).build(reader)
    used = resource.getrusage(resource.RUSAGE_SELF)
    queue.put((used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 2**30))


def _reads() -> int:
    """Return how many reads this process has asked the kernel for."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["syscr"])


async def _count(views: Views, side: Side, tiles: list[tuple[int, int, int]]) -> float:
    before = _reads()
    for tile in tiles:
        await views.tile(side, *tile)
    return (_reads() - before - 1) / len(tiles)


def rasters(folder: Path) -> dict[str, Any]:
    """Make the smaller versions, killed half way and whole, and count what a tile then costs."""
    side = _raster(folder / "raster.tif")
    listing = {path: digest_file(path) for path in folder.iterdir()}
    whole, killed = folder / "views" / f"{side.digest}.tiles", folder / "killed.tiles"
    queue = SPAWN.Queue()
    process = SPAWN.Process(target=_build, args=(whole, side, queue))
    process.start()
    cpu, memory = queue.get()
    process.join()
    process = SPAWN.Process(target=_build, args=(killed, side, queue))
    process.start()
    while not killed.exists() or killed.stat().st_size < whole.stat().st_size / 2:
        time.sleep(0.05)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    left = Pyramid(killed, WIDTH, HEIGHT).made
    process = SPAWN.Process(target=_build, args=(killed, side, queue))
    process.start()
    again, _ = queue.get()
    process.join()

    begin = time.process_time()
    with open_raster(side.path) as reader:
        reader.read(0, 0, WIDTH, HEIGHT, 32)
    without = time.process_time() - begin
    views = Views(folder / "views")
    top = levels_of(WIDTH, HEIGHT)
    view = [
        (level, x, y)
        for level in (top, top - 1)
        for x in range(tiles_of(WIDTH, HEIGHT, level)[0])
        for y in range(tiles_of(WIDTH, HEIGHT, level)[1])
    ]
    asyncio.run(_count(views, side, view[:1]))
    begin = time.process_time()
    asyncio.run(_count(views, side, view))
    with_pyramid = time.process_time() - begin
    rng = np.random.default_rng(1)
    reads = {}
    for level in range(top + 1):
        columns, rows = tiles_of(WIDTH, HEIGHT, level)
        tiles = [(level, int(rng.integers(columns)), int(rng.integers(rows))) for _ in range(40)]
        asyncio.run(_count(views, side, tiles[:1]))
        reads[f"level {level}"] = round(asyncio.run(_count(views, side, tiles)), 2)
    views.close()
    return {
        "pyramid_cpu_s": round(cpu, 1),
        "pyramid_peak_gib": round(memory, 2),
        "pyramid_mb": round(whole.stat().st_size / 1e6, 1),
        "made_before_the_kill": left,
        "cpu_s_after_the_kill": round(again, 1),
        "same_bytes_after_the_kill": whole.read_bytes() == killed.read_bytes(),
        "whole_view_without_cpu_s": round(without, 3),
        "whole_view_with_cpu_s": round(with_pyramid, 4),
        "times_as_fast": round(without / with_pyramid, 1),
        "raw_reads_a_tile": reads,
        "raster_unchanged": {path: digest_file(path) for path in listing} == listing,
        "process_peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30, 2),
    }


def _gallery_workspace(folder: Path) -> Path:
    """Make a workspace whose ledger lists 121,781 pairs that share one array a side."""
    workspace = Workspace(folder / "gallery", create=True)
    root = workspace.root
    rng = np.random.default_rng(0)
    (root / "tiles").mkdir()
    np.save(root / "tiles/all.npy", rng.integers(0, 255, (1, 64, 64, 3), dtype=np.uint8))
    results = []
    ids = []
    for site in range(SITES):
        count = PAIRS_COUNT // SITES + (site < PAIRS_COUNT % SITES)
        rows = []
        for number in range(count):
            pair_id = f"{site:03d}_1_{number // 64:04d}_{number % 64:04d}"
            row = {name: None for name in PAIRS.names} | {name: float(rng.random()) for name in _MEASURED}
            places = {"pair_id": pair_id, "point_id": f"{site:03d}", "site_id": "1", "row": number // 64}
            paths = {"map_path": "tiles/all.npy", "visible_path": "tiles/all.npy", "index": 0, "format": "npy"}
            digests = {"map_digest": "0" * 64, "visible_digest": "1" * 64}
            rows.append(row | places | paths | digests | {"col": number % 64, "size": 64})
            ids.append((pair_id, f"{site:03d}"))
        path = root / f"tiles/{site:03d}/1/rows-0000.parquet"
        write_table(path, rows, PAIRS)
        results.append((f"{site:03d}/1/rows-0000", output(root, path)))
    refused = rng.random(len(ids)) < 0.1
    words = {True: ("rejected", ["blank map: 99% of the map is one colour, more than 97%"]), False: ("accepted", [])}
    clean = [
        {"pair_id": pair_id, "verdict": words[bool(bad)][0], "reasons": words[bool(bad)][1]}
        for (pair_id, _), bad in zip(ids, refused, strict=True)
    ]
    splits = ("train", "val", "test")
    split = [
        {"pair_id": pair_id, "point_id": point, "cluster": point, "split": splits[int(point) % 3]}
        for pair_id, point in ids
    ]
    write_table(root / "clean/clean.parquet", clean, CLEAN)
    write_table(root / "split/split.parquet", split, SPLIT)
    made = {
        "tile": results,
        "clean": [("pairs", output(root, root / "clean/clean.parquet"))],
        "split": [("pairs", output(root, root / "split/split.parquet"))],
    }
    with Ledger(workspace.ledger) as ledger:
        ledger.set_stages(list(made))
        for stage, outputs in made.items():
            units = [Unit(stage, name, name, {}) for name, _ in outputs]
            ledger.replan(stage, units, units)
            for unit, (_, entry) in zip(units, outputs, strict=True):
                ledger.finish(unit, Result((entry,)), "here")
    return root


_SCROLL = "share => { const grid = document.querySelector('.grid'); grid.scrollTop = share * grid.scrollHeight }"
_MEASURED = [name for name in PAIRS.names if str(PAIRS.field(name).type) == "float"]


def gallery(folder: Path) -> dict[str, Any]:
    """Filter and scroll all pairs in a browser."""
    from review_browser import browser, enter, wait
    from review_server import serving

    with serving(_gallery_workspace(folder)) as server, browser() as started:
        watched = enter(started, server.address, shown="#room .tools")
        page = watched.page
        begin = time.perf_counter()
        page.evaluate("location.hash = '#/gallery'")
        wait(page, "document.querySelectorAll('.tile img').length > 8", seconds=120)
        first = time.perf_counter() - begin
        seconds, most = [], 0
        for name, value in (("site", "007/1"), ("split", "test"), ("verdict", "rejected"), ("statistic", "map_edges")):
            page.evaluate("document.querySelector('.filters button').click()")
            wait(page, f"document.querySelector('.count').dataset.found === '{PAIRS_COUNT}'")
            begin = time.perf_counter()
            page.locator(f"[data-filter={name}]").select_option(value)
            if name == "statistic":
                page.locator("[data-filter=order]").select_option("descending")
            else:
                wait(page, f"document.querySelector('.count').dataset.found !== '{PAIRS_COUNT}'")
            wait(page, "document.querySelectorAll('.tile[data-pair]').length > 8")
            seconds.append(round(time.perf_counter() - begin, 3))
        page.evaluate("document.querySelector('.filters button').click()")
        for share in np.linspace(0, 1, 25):
            page.evaluate(
                "at => { const g = document.querySelector('.grid'); g.scrollTop = at * g.scrollHeight }", share
            )
            page.wait_for_timeout(120)
            most = max(most, page.evaluate("document.querySelectorAll('.tile').length"))
        wait(page, "document.querySelectorAll('.tile[data-pair]').length > 8")
        complaints, elsewhere = list(watched.complaints), list(watched.elsewhere)
    return {
        "first_shown_s": round(first, 2),
        "filter_s": seconds,
        "most_cards": most,
        "console_errors": complaints,
        "requests_elsewhere": elsewhere,
    }


def _small_workspace(folder: Path) -> tuple[Path, Path]:
    from generated_run import run_config, write_config, write_rasters

    if not (folder / "run.yaml").exists():
        write_rasters(folder)
        run_config(write_config(folder), folder / "work")
    return folder / "work", folder / "run.yaml"


def edits(folder: Path) -> dict[str, Any]:
    """Edit at random; screen, disk and journal must agree."""
    from review_browser import browser
    from review_scenarios import random_edits
    from review_server import serving

    workspace, _ = _small_workspace(folder)
    with serving(workspace) as server, browser() as started:
        random_edits(started, server, "001/1", EDITS, seed=3)
    return {"random_edits": EDITS, "screen_disk_journal_agree": True}


def browsers(folder: Path) -> dict[str, Any]:
    """Edit in two browsers."""
    from review_browser import browser
    from review_scenarios import two_browsers
    from review_server import serving

    workspace, _ = _small_workspace(folder)
    with serving(workspace) as server, browser() as started:
        conflicts = two_browsers(started, server, "002/1", INTERLEAVED, seed=4)
    return {"interleaved_edits": INTERLEAVED, "lost_points": 0, "conflicts": conflicts}


def runs(folder: Path) -> dict[str, Any]:
    """Start runs beside saves."""
    from review_scenarios import runs_beside_saves
    from review_server import Client, serving

    workspace, config = _small_workspace(folder)
    with serving(workspace) as server:
        saves = runs_beside_saves(Client(server.address), workspace, config, RUNS)
    return {"runs": RUNS, "failed_runs": 0, "saves": saves, "lost_saves": 0}


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    part.__name__: part for part in (rasters, gallery, edits, browsers, runs)
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this; several times")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: PARTS[name](Path(folder)) for name in given.part or PARTS}
    workload = {"raster": [WIDTH, HEIGHT], "pairs": PAIRS_COUNT}
    report("reviewing", workload, figures, as_json=given.json)


if __name__ == "__main__":
    main()
