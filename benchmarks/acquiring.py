"""Assemble a raster from a tile service on loopback, beside a plain downloader and beside decoding the same files.

Run: `python benchmarks/acquiring.py [--tiles DIR] [--json]`. Without a folder of real tiles (`{zoom}/{x}/{y}.jpg`) the
tiles are made up, of about the same size. All ways write the same GeoTIFF.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import resource
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from _machine import report
from aiohttp import web
from PIL import Image
from shapely import Polygon

from stages.acquire.service import TileServiceSource
from stages.acquire.source import Site
from stages.acquire.tiles import TileMatrix, TileWindow
from stages.fetch.answers import TileCheck
from stages.rasters import write_raster

SPAWN = multiprocessing.get_context("spawn")
CHECK = TileCheck(256)


def site_of(x: int, y: int, columns: int, rows: int, zoom: int) -> Site:
    corners = np.array([[x, y], [x + columns, y], [x + columns, y + rows], [x, y + rows]]) * 256 - 0.5
    return Site("001", "1", Polygon(TileMatrix(zoom, 256).grid.to_lonlat(corners)), 0.2, "")


def serve(folder: Path, port: int) -> None:
    app = web.Application()
    app.router.add_static("/", folder)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


def by_the_stage(folder: Path, port: int, window: TileWindow, site: Site, out: Path) -> None:
    source = TileServiceSource.model_validate(
        {
            "kind": "tiles",
            "url": f"http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.jpg",
            "zoom": window.matrix.zoom,
            "source": "benchmark",
            "licence": "none",
            "attribution": "none",
            "politeness": {"requests_per_second": None, "concurrent": 16},
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
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = SPAWN.Process(target=serve, args=(folder, port), daemon=True)
        server.start()
        time.sleep(3)
        ways = {"stage": by_the_stage, "sequential": one_after_another, "disk": from_disk}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        memory = dict.fromkeys(ways, 0.0)
        for number in range(arguments.rounds):
            for name, way in ways.items():
                out = Path(temporary) / f"{name}{number}" / "raster.tif"
                queue = SPAWN.Queue()
                process = SPAWN.Process(target=timed, args=(way, queue, folder, port, window, site, out))
                process.start()
                took, peak = queue.get(timeout=600)
                process.join()
                seconds[name].append(took)
                memory[name] = max(memory[name], peak)
                out.unlink()
        server.terminate()
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    report(
        "acquiring",
        {
            "raster": [window.grid.width, window.grid.height],
            "tiles": columns * rows,
            "data": "real tiles" if arguments.tiles else "made-up tiles",
            "rounds": arguments.rounds,
        },
        {
            "seconds": {name: round(value, 2) for name, value in median.items()},
            "speedup_over_sequential": round(median["sequential"] / median["stage"], 2),
            "ratio_to_disk": round(median["stage"] / median["disk"], 2),
            "peak_gib_of_the_stage": round(memory["stage"], 2),
        },
        as_json=arguments.json,
    )


if __name__ == "__main__":
    main()
