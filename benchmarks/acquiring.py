"""Assemble a raster from a tile service on loopback, beside a plain downloader and beside decoding the same files.

Run: `python benchmarks/acquiring.py [--tiles DIR] [--json]`. Without a folder of real tiles (`{zoom}/{x}/{y}.jpg`) the
tiles are made up, of about the same size. All ways write the same GeoTIFF. The figures are kept in benchmarks/results.

`ratio_to_limit_bound` is for a service with a limit: the seconds that the stage takes for some hundred tiles at 100
requests a second, of a server that spoils a tenth of its answers, over the least that the limit allows: the requests
that the server got, repeated ones included, over the rate.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import TypeAlias

import numpy as np
from _machine import PROJECT, report
from aiohttp import web
from PIL import Image
from shapely import Polygon

from stages.acquire.service import TileServiceSource
from stages.acquire.source import Site
from stages.acquire.tiles import TileMatrix, TileWindow
from stages.fetch.responses import TileDecoder
from stages.rasters import write_raster

SPAWN = multiprocessing.get_context("spawn")
CHECK = TileDecoder(256)
RATE, SPOILT_EACH = 100, 10
RECORD = PROJECT / "benchmarks" / "results" / "acquiring.json"

Counter: TypeAlias = "Synchronized[int]"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def site_of(x: int, y: int, columns: int, rows: int, zoom: int) -> Site:
    corners = np.array([[x, y], [x + columns, y], [x + columns, y + rows], [x, y + rows]]) * 256 - 0.5
    return Site("001", "1", Polygon(TileMatrix(zoom, 256).grid.to_lonlat(corners)), 0.2, "")


def serve(folder: Path, port: int, asked: Counter | None = None) -> None:
    """Serve a folder; with a counter, count the requests and spoil every tenth, each time in another way."""

    @web.middleware
    async def spoil(request: web.Request, handler: Handler) -> web.StreamResponse:
        assert asked is not None
        asked.value += 1
        if asked.value % SPOILT_EACH:
            return await handler(request)
        match asked.value // SPOILT_EACH % 4:
            case 0:
                return web.Response(status=503)
            case 1:
                return web.Response(status=429)
            case 2:
                return web.Response(text="<html>Sorry</html>", content_type="text/html")
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def tile(request: web.Request) -> web.StreamResponse:
        # A third of the processor time that aiohttp's own static files take, which hop through a thread each.
        try:
            return web.Response(body=(folder / request.match_info["path"]).read_bytes(), content_type="image/jpeg")
        except FileNotFoundError:
            return web.Response(status=404)

    app = web.Application(middlewares=[] if asked is None else [spoil])
    app.router.add_get("/{path:.*}", tile)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


def by_the_stage(folder: Path, port: int, window: TileWindow, site: Site, out: Path, rate: float | None = None) -> None:
    source = TileServiceSource.model_validate(
        {
            "kind": "tiles",
            "url": f"http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.jpg",
            "zoom": window.matrix.zoom,
            "source": "benchmark",
            "licence": "none",
            "attribution": "none",
            "rate_limits": {"requests_per_second": rate, "concurrent": 16},
        }
    )
    with source.open(site, out.parent) as strips:
        write_raster(out, strips.grid, strips.pixels, {})


def one_after_another(folder: Path, port: int, window: TileWindow, site: Site, out: Path) -> None:
    """The script that everyone writes first: urlopen, Pillow, a large array, and the raster written at the end."""
    picture = np.zeros((len(window.rows) * 256, len(window.columns) * 256, 4), np.uint8)
    for row, y in enumerate(window.rows):
        for column, x in enumerate(window.columns):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{window.matrix.zoom}/{x}/{y}.jpg") as answer:
                    tile = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA"))
            except urllib.error.HTTPError:
                continue
            picture[row * 256 : (row + 1) * 256, column * 256 : (column + 1) * 256] = tile
    write_raster(out, window.grid, iter([picture]), {})


def from_disk(folder: Path, port: int, window: TileWindow, site: Site, out: Path) -> None:
    def read(x: int, y: int) -> bytes | None:
        file = folder / f"{window.matrix.zoom}/{x}/{y}.jpg"
        return file.read_bytes() if file.exists() else None

    write_raster(out, window.grid, window.strips(_rows(window, read)), {})


def _rows(window: TileWindow, get: Callable[[int, int], bytes | None]) -> Iterator[list[np.ndarray | None]]:
    for y in window.rows:
        bodies = [get(x, y) for x in window.columns]
        yield [None if body is None else CHECK.decode(body) for body in bodies]


def timed(way: Callable[..., None], queue: multiprocessing.Queue[tuple[float, float]], *arguments: object) -> None:
    started = time.perf_counter()
    way(*arguments)
    queue.put((time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))


def in_a_process(way: Callable[..., None], *arguments: object) -> tuple[float, float]:
    """Return the seconds that a way takes in a process of its own, and the process's peak memory in GiB."""
    queue = SPAWN.Queue()
    process = SPAWN.Process(target=timed, args=(way, queue, *arguments))
    process.start()
    took = queue.get(timeout=600)
    process.join()
    return took


@contextmanager
def server(folder: Path, asked: Counter | None = None) -> Iterator[int]:
    """Serve a folder in a process of its own; yield the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = SPAWN.Process(target=serve, args=(folder, port, asked), daemon=True)
    process.start()
    time.sleep(3)
    yield port
    process.terminate()


def under_a_limit(folder: Path, window: TileWindow, out: Path) -> dict[str, float]:
    """Return the figures of a service that allows `RATE` requests a second, for some tiles of the window's corner."""
    columns, rows = min(70, len(window.columns)), min(20, len(window.rows))
    site = site_of(window.columns.start, window.rows.start, columns, rows, window.matrix.zoom)
    part = TileWindow.of_site(site, window.matrix, "benchmark")
    asked = SPAWN.Value("i", 0)
    with server(folder, asked) as port:
        seconds, _ = in_a_process(by_the_stage, folder, port, part, site, out, RATE)
    bound = asked.value / RATE
    return {"tiles": columns * rows, "requests": asked.value, "seconds": seconds, "bound": bound}


def make_tiles(folder: Path, columns: int, rows: int) -> None:
    rng = np.random.default_rng(0)
    for x in range(columns):
        (folder / f"19/{1000 + x}").mkdir(parents=True, exist_ok=True)
        for y in range(rows):
            rough = Image.fromarray(rng.integers(60, 200, (64, 64, 3), np.uint8)).resize((256, 256))
            buffer = io.BytesIO()
            rough.save(buffer, "JPEG", quality=85)
            (folder / f"19/{1000 + x}/{1000 + y}.jpg").write_bytes(buffer.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiles", type=Path, help="folder of real tiles, with --window")
    parser.add_argument("--window", type=int, nargs=5, metavar=("ZOOM", "X", "Y", "COLUMNS", "ROWS"))
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all three ways; medians are reported")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.tiles or Path(temporary) / "tiles"
        zoom, x, y, columns, rows = arguments.window or (19, 1000, 1000, 70, 61)
        if arguments.tiles is None:
            make_tiles(folder, columns, rows)
        site = site_of(x, y, columns, rows, zoom)
        window = TileWindow.of_site(site, TileMatrix(zoom, 256), "benchmark")
        ways = {"stage": by_the_stage, "sequential": one_after_another, "disk": from_disk}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        memory = dict.fromkeys(ways, 0.0)
        with server(folder) as port:
            for number in range(arguments.rounds):
                for name, way in ways.items():
                    out = Path(temporary) / f"{name}{number}" / "raster.tif"
                    took, peak = in_a_process(way, folder, port, window, site, out)
                    seconds[name].append(took)
                    memory[name] = max(memory[name], peak)
                    out.unlink()
        limited = under_a_limit(folder, window, Path(temporary) / "limited" / "raster.tif")
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    entry = report(
        "acquiring",
        {
            "raster": [window.grid.width, window.grid.height],
            "tiles": columns * rows,
            "data": "real tiles" if arguments.tiles else "made-up tiles",
            "rounds": arguments.rounds,
            "limit": {"requests_per_second": RATE, "spoilt": f"1 answer in {SPOILT_EACH}"},
        },
        {
            "seconds": {name: round(value, 2) for name, value in median.items()},
            "speedup_over_sequential": round(median["sequential"] / median["stage"], 2),
            "ratio_to_disk": round(median["stage"] / median["disk"], 2),
            "peak_gib_of_the_stage": round(memory["stage"], 2),
            "under_a_limit": {name: round(value, 2) for name, value in limited.items()},
            "ratio_to_limit_bound": round(limited["seconds"] / limited["bound"], 3),
        },
        as_json=arguments.json,
    )
    RECORD.write_text(json.dumps(entry, indent=1) + "\n")


if __name__ == "__main__":
    main()
