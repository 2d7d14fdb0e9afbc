"""One site of full size through the whole command: time and peak memory of every stage, and the same bytes under kills.

    python benchmarks/full_size.py --json [--source tiles] [--source synthetic] > benchmarks/results/full_size.json

`tiles` takes SWISSIMAGE of Ftan at zoom 19 (17,920 x 15,616 px) from a server on loopback. There is no map of that
place, so the server draws one from the imagery: its colours, smoothed and reduced to a few. Such a map is easy to
align, so the figures tell what a run costs, not how exact it is. `synthetic` is a site of the demo's configuration of
20,000 x 15,000 px, whose truth is known.

Every stage runs in a process of its own, without workers. Then the stages after `acquire` run again on a copy of the
workspace, with two workers, while the driver and workers are killed at random moments, most of them inside `align`. The
files of both releases are compared byte by byte.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from _machine import PROJECT, report
from aligning_regions import configured

from stages.accuracy import summary, true_errors

sys.path.insert(0, str(PROJECT / "tests" / "support"))

STAGES = ("sample", "acquire", "align", "review", "tile", "clean", "split", "release")
DRIVER_KILLS, WORKER_KILLS, LONGEST_WAIT_S = 4, 2, 30.0
"""A unit that costs three workers their lives is given up, as it may be what kills them; `align` is one unit here."""

SEED, SIZE = 3, (20_000, 15_000)
ZOOM, TILES = 19, (277030, 277099, 184812, 184872)
"""First and last tile of Ftan, x then y, inclusive."""


def drawn(folder: Path) -> Callable[[str], bytes | None]:
    """Return a server's content: the tiles of a folder, and under `map/` the maps drawn from them."""

    def content(path: str) -> bytes | None:
        layer, _, rest = path.partition("/")
        file = folder / "swissimage" / Path(rest).with_suffix(".jpg")
        if not file.is_file():
            return None
        if layer != "map":
            return file.read_bytes()
        smooth = cv2.medianBlur(np.asarray(cv2.imread(str(file))), 15)
        return cv2.imencode(".png", (smooth // 64) * 64 + 32)[1].tobytes()

    return content


def tiles_config(url: str, path: Path) -> Path:
    """Write the configuration of Ftan and return its path."""
    x0, x1, y0, y1 = TILES
    lon = [x / 2**ZOOM * 360 - 180 for x in (x0, x1 + 1)]
    north, south = (float(np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * y / 2**ZOOM))))) for y in (y0, y1 + 1))
    gsd = 2 * np.pi * 6378137 / 256 / 2**ZOOM * np.cos(np.radians((north + south) / 2))
    layer = {
        "kind": "tiles", "zoom": ZOOM, "source": "swisstopo SWISSIMAGE", "licence": "swisstopo OGD",
        "attribution": "© swisstopo", "rate_limits": {"requests_per_second": None, "concurrent": 16},
    }  # fmt: skip
    site = {"point": "001", "site": "1", "bounds": [lon[0], south, lon[1], north], "gsd": round(float(gsd), 5)}
    stages = {
        "sample": {"sites": [site]},
        "acquire": {
            "visible": {**layer, "url": f"{url}/swissimage/{{z}}/{{x}}/{{y}}.jpg"},
            "map": {**layer, "url": f"{url}/map/{{z}}/{{x}}/{{y}}.png"},
        },
        "release": {"title": "Ftan at 0.2 m", "licence": "other"},
    }
    path.write_text(yaml.safe_dump({"name": "ftan", "stages": stages}))
    return path


def measured(config: Path, workspace: Path, stage: str) -> dict[str, float]:
    """Run a stage in a process of its own and return its wall-clock and processor seconds and its peak memory."""
    command = [sys.executable, "-m", "mapdata", "run", str(config), "--workspace", str(workspace), "--only", stage]
    begin = time.perf_counter()
    process = subprocess.Popen([*command, "--workers", "0"], stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the stage {stage} failed")
    seconds, cpu = time.perf_counter() - begin, usage.ru_utime + usage.ru_stime
    return {"wall_s": round(seconds, 1), "cpu_s": round(cpu, 1), "peak_gib": round(usage.ru_maxrss / 2**20, 2)}


def through_all_stages(config: Path, folder: Path) -> dict[str, Any]:
    """Run all stages, then those after `acquire` under kills, and return what both cost and made."""
    from kills import run_under_kills
    from runs import published, start_run

    workspace, killed = folder / "work", folder / "killed"
    stages = {}
    for stage in STAGES:
        stages[stage] = measured(config, workspace, stage)
        if stage == "acquire":
            shutil.copytree(workspace, killed)
    kills = run_under_kills(lambda: start_run(config, killed, 2), killed, DRIVER_KILLS, WORKER_KILLS, LONGEST_WAIT_S)
    release, again = published(workspace), published(killed)
    return {
        "stages": stages,
        "files": len(release),
        "mb": round(sum(map(len, release.values())) / 1e6),
        "kills": kills,
        "same_bytes_under_kills": release == again,
    }


def tiles(folder: Path, data: Path) -> dict[str, Any]:
    """Measure the site from tiles on loopback."""
    from tile_server import TileServer

    with TileServer(drawn(data / "tiles")) as server:
        return through_all_stages(tiles_config(server.url, folder / "ftan.yaml"), folder)


def synthetic(folder: Path, data: Path) -> dict[str, Any]:
    """Measure the synthetic site."""
    figures = through_all_stages(configured(SEED, SIZE, folder / "synthetic.yaml"), folder)
    return figures | {key: value for key, value in summary(true_errors(folder / "work")).items() if key != "sites"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sources = {part.__name__: part for part in (tiles, synthetic)}
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--source", action="append", choices=list(sources), help="only this")
    parser.add_argument("--keep", type=Path, help="folder that keeps the workspaces")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    figures = {}
    for name in given.source or sources:
        kept: AbstractContextManager[Any] = nullcontext(given.keep) if given.keep else tempfile.TemporaryDirectory()
        with kept as folder, redirect_stdout(sys.stderr):
            (Path(folder) / name).mkdir(parents=True)
            figures[name] = sources[name](Path(folder) / name, given.data)
    report("full_size", {"tiles_px": [17_920, 15_616], "synthetic_px": SIZE}, figures, as_json=given.json)


if __name__ == "__main__":
    main()
