"""The review page at full size: rasters of 20,000 x 15,000 px, and a gallery of 121,781 pairs.

    python benchmarks/reviewing_size.py --json [--part pyramid --part server --part gallery]

`pyramid`: the smaller versions of one raster, made in a process of its own, killed half way, made on; raw reads (calls
of read and pread, by the kernel's count) a tile of the pyramid and one of full resolution. `server`: `mapdata review`
itself on such a raster pair, asked for tiles as by a browser, killed while it makes the smaller versions, and how much
memory it takes at most (the kernel's VmHWM). `gallery` drives a headless Chromium; with the time of every filter the
machine's load at that moment is noted.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from stages.rasters import SIDES, open_raster, write_raster
from stages.tables import CLEAN, PAIRS, SPLIT, write_table

WIDTH, HEIGHT = 20_000, 15_000
PAIRS_COUNT, SITES = 121_781, 60
TILES, CUTS, ROUNDS = 400, 12, 3
SPAWN = multiprocessing.get_context("spawn")


def _raster(path: Path, seed: int = 0) -> Side:
    """Write a raster of the full size: noise of several scales, so that it compresses as imagery does."""
    grid = Grid("EPSG:32632", Affine(0.5, 0, 500_000, 0, -0.5, 5_200_000), WIDTH, HEIGHT)
    rng = np.random.default_rng(seed)
    strip = np.full((512, WIDTH, 4), 255, np.uint8)

    def strips() -> Any:
        for start in range(0, HEIGHT, 512):
            coarse = rng.integers(0, 200, (4, WIDTH // 128 + 1, 3), dtype=np.uint8)
            strip[..., :3] = np.repeat(np.repeat(coarse, 128, axis=0), 128, axis=1)[:, :WIDTH]
            strip[..., :3] += rng.integers(0, 40, (512, WIDTH, 1), dtype=np.uint8)
            yield strip[: min(512, HEIGHT - start)]

    write_raster(path, grid, strips(), {})
    return Side(path, digest_file(path), grid)


def _peak(pid: int) -> float:
    """Return the most memory that a process has held, GiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return round(int(lines["VmHWM"].split()[0]) / 2**20, 2)


def _build(path: Path, side: Side, queue: Any) -> None:
    begin = time.process_time()
    with open_raster(side.path) as reader:
        Pyramid(path, WIDTH, HEIGHT).build(reader)
    queue.put(time.process_time() - begin)


def _reads() -> int:
    """Return how many reads this process has asked the kernel for."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["syscr"])


async def _count(views: Views, side: Side, tiles: list[tuple[int, int, int]]) -> float:
    before = _reads()
    for tile in tiles:
        await views.tile(side, *tile)
    return (_reads() - before - 1) / len(tiles)


def pyramid(folder: Path) -> dict[str, Any]:
    """Make the smaller versions, killed half way and whole, and count what a tile then costs."""
    side = _raster(folder / "raster.tif")
    listing = {path: digest_file(path) for path in folder.iterdir()}
    whole, killed = folder / "views" / f"{side.digest}.tiles", folder / "killed.tiles"
    queue = SPAWN.Queue()
    process = SPAWN.Process(target=_build, args=(whole, side, queue))
    process.start()
    cpu = queue.get()
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
    again = queue.get()
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
        "pyramid_mb": round(whole.stat().st_size / 1e6, 1),
        "made_before_the_kill": left,
        "cpu_s_after_the_kill": round(again, 1),
        "same_bytes_after_the_kill": whole.read_bytes() == killed.read_bytes(),
        "whole_view_without_cpu_s": round(without, 3),
        "whole_view_with_cpu_s": round(with_pyramid, 4),
        "times_as_fast": round(without / with_pyramid, 1),
        "raw_reads_a_tile": reads,
        "raster_unchanged": {path: digest_file(path) for path in listing} == listing,
    }


def _pair_workspace(folder: Path) -> Path:
    """Make a workspace whose ledger lists one raster pair of the full size, not aligned."""
    workspace = Workspace(folder / "pair", create=True)
    units = []
    for seed, side in enumerate(SIDES):
        path = workspace.root / f"rasters/001/1/{side}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        made = _raster(path, seed)
        data = made.grid.to_json() | {"path": path.relative_to(workspace.root).as_posix(), "digest": made.digest}
        units.append((Unit("acquire", f"001/1/{side}", side, {}), Result((output(workspace.root, path),), data)))
    with Ledger(workspace.ledger) as ledger:
        ledger.set_stages(["acquire"])
        ledger.replan("acquire", [unit for unit, _ in units], [unit for unit, _ in units])
        for unit, result in units:
            ledger.finish(unit, result, "here")
    return workspace.root


def server(folder: Path) -> dict[str, Any]:
    """Ask the server for what a browser asks for."""
    from review_server import Client, serving, tie_point

    root = _pair_workspace(folder)
    files = sorted(path for path in (root / "rasters").rglob("*") if path.is_file())
    listing = {path: (digest_file(path), path.stat().st_mtime_ns) for path in files}
    peaks = {}
    rng = np.random.default_rng(2)
    with ThreadPoolExecutor(6) as browser:  # as many connections as a browser has
        with serving(root) as begun:
            client = Client(begun.address)
            for side in SIDES:
                browser.submit(client.ask, "GET", f"/thumbnail/001/1/{side}").add_done_callback(
                    lambda done: done.exception()
                )
            while (before := client.get("/api/sites/001/1")["prepared"]) < 0.4:
                time.sleep(0.2)
            begun.kill()
        with serving(root) as begun:
            client = Client(begun.address)
            left = client.get("/api/sites/001/1")["prepared"]
            peaks["at the start"] = _peak(begun.process.pid)
            list(browser.map(client.get, [f"/thumbnail/001/1/{side}" for side in SIDES]))
            site = client.get("/api/sites/001/1")
            peaks["smaller versions of both made"] = _peak(begun.process.pid)
            asked = []
            for number in range(TILES):
                level = int(rng.integers(levels_of(WIDTH, HEIGHT) + 1)) if number % 2 else 0
                side, (columns, rows) = SIDES[number // 2 % 2], tiles_of(WIDTH, HEIGHT, level)
                place = f"{level}/{rng.integers(columns)}/{rng.integers(rows)}"
                look = "?look=edges" if number % 8 == 0 else ""
                asked.append(f"/tiles/001/1/{side}/{site['sides'][side]['digest']}/{place}{look}")
            list(browser.map(client.get, asked))
            peaks[f"{TILES} tiles"] = _peak(begun.process.pid)
            steps = [(x * WIDTH / 4, y * HEIGHT / 4) for x in (0.2, 2, 3.8) for y in (0.2, 2, 3.8)]
            points = [tie_point(f"p{n}", x, y, x, y) for n, (x, y) in enumerate(steps)]
            client.ask("PUT", "/api/sites/001/1/points", {"points": points}, site["tag"])
            list(browser.map(client.get, [f"/cut/001/1/map/{n}/{n}" for n in range(CUTS)]))
            peaks[f"{CUTS} pairs as they will be cut"] = _peak(begun.process.pid)
            for point in points[:3]:
                client.ask("POST", "/api/sites/001/1/propose", {"point": point, "points": points})
            peaks["3 proposals"] = _peak(begun.process.pid)
            begun.stop()
    return {
        "share_made_before_the_kill": round(before, 2),
        "share_there_after_the_kill": round(left, 2),
        "share_made_in_the_end": site["prepared"],
        "server_peak_gib": peaks,
        "rasters_unchanged": {path: (digest_file(path), path.stat().st_mtime_ns) for path in files} == listing,
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


_FILTERS = [
    ("site", [["site", "007/1"]]),
    ("split", [["split", "test"]]),
    ("verdict", [["verdict", "rejected"]]),
    ("rule", [["rule", "blank map"]]),
    ("judged by nobody", [["person", "none"]]),
    ("statistic from", [["statistic", "map_edges"], ["low", "0.5"]]),
    ("by statistic", [["statistic", "map_edges"], ["order", "descending"]]),
    ("id", [["text", "_0017_"]]),
]
"""What is chosen, in steps of filter and value; the last one is timed."""

_CHOOSE = """async ([[name, value]]) => {
    for (const card of document.querySelectorAll('.tile')) card.dataset.before = '1';
    const begin = performance.now();
    if (name) {
        const filter = document.querySelector(`[data-filter=${name}]`);
        filter.value = value;
        filter.dispatchEvent(new Event('change'));
    } else document.querySelector('.filters button').click();
    const count = (kind) => document.querySelectorAll(`.tile[${kind}]`).length;
    const made = () => count('data-pair') > 8 && count('data-before') === 0;
    do await new Promise(requestAnimationFrame); while (!made());
    return performance.now() - begin;
}"""
"""Chooses a filter (none: clears all) and returns after how many milliseconds its cards are on the screen."""

_MEASURED = [name for name in PAIRS.names if str(PAIRS.field(name).type) == "float"]


def gallery(folder: Path) -> dict[str, Any]:
    """Filter and scroll all pairs in a browser."""
    from review_browser import browser, enter, wait
    from review_server import serving

    with serving(_gallery_workspace(folder)) as server, browser() as started:
        watched = enter(started, server.address, shown="#room .tools")
        page = watched.page
        page.wait_for_timeout(2000)
        begin = time.perf_counter()
        page.evaluate("location.hash = '#/gallery'")
        wait(page, "document.querySelectorAll('.tile[data-pair]').length > 8", seconds=120)
        first, most = time.perf_counter() - begin, 0
        load = [round(os.getloadavg()[0], 1)]
        seconds = {words: [] for words, _ in _FILTERS}
        for _ in range(ROUNDS):
            for words, steps in _FILTERS:
                page.evaluate(_CHOOSE, [["", ""]])
                taken = [page.evaluate(_CHOOSE, [step]) for step in steps]
                seconds[words].append(round(taken[-1] / 1000, 3))
        load.append(round(os.getloadavg()[0], 1))
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
        "slowest_filter_s": max(value for values in seconds.values() for value in values),
        "load": load,
        "most_cards": most,
        "console_errors": complaints,
        "requests_elsewhere": elsewhere,
    }


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {part.__name__: part for part in (pyramid, server, gallery)}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this; several times")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: PARTS[name](Path(folder)) for name in given.part or PARTS}
    workload = {"raster": [WIDTH, HEIGHT], "pairs": PAIRS_COUNT}
    report("reviewing_size", workload, figures, as_json=given.json)


if __name__ == "__main__":
    main()
