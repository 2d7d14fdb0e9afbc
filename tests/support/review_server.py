"""A workspace to review, the server of its page as a process of its own, and a real browser to drive the page with."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine

from mapdata.recipes import load_recipe
from pipeline.ledger import Ledger
from pipeline.run import Request, run
from pipeline.workspace import Workspace

SIDE = 900
"""Pixels of each raster: nine tiles of 256 px, with a rest."""

CONFIG = """
name: review-test
seed: 3
stages:
  sample:
    sites:
{sites}
  acquire:
    map: {{kind: geotiff, path: "{{point_id}}_map.tif", source: drawn map, licence: CC0-1.0, attribution: the test}}
    visible: {{kind: geotiff, path: "{{point_id}}_visible.tif", source: noise, licence: CC0-1.0, attribution: the test}}
  align: {{method: {method}}}
  tile: {{size: 256, format: {tiles}}}
  split: {{shares: {{train: 0.34, val: 0.33, test: 0.33}}, distance_km: 5}}
  release: {{title: Review test, formats: {formats}}}
"""


def write_rasters(folder: Path, points: int = 3, side: int = SIDE, alike: bool = True) -> None:
    """Write a map and an image a point; without `alike` nothing on the one shows on the other."""
    for point in range(points):
        rng = np.random.default_rng(point)
        visible = cv2.resize(rng.integers(0, 256, (side // 10, side // 10, 3), dtype=np.uint8), (side, side))
        seen = visible if alike else cv2.resize(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8), (side, side))
        edges = cv2.Canny(seen, 80, 160)[..., None]
        drawn = np.where(edges > 0, np.uint8(90), np.uint8(245)) + rng.integers(0, 9, (side, side, 3), dtype=np.uint8)
        transform = Affine(0.5, 0, 500_000 + 60_000 * point, 0, -0.5, 5_200_000)
        profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
        for name, image in (("map", drawn), ("visible", visible)):
            with rasterio.open(folder / f"{point + 1:03d}_{name}.tif", "w", transform=transform, **profile) as file:
                file.write(image.transpose(2, 0, 1))


def write_config(folder: Path, points: int = 3, **given: str) -> Path:
    """Write the configuration of a run over such rasters; `method`, `tiles` and `formats` can be given."""
    sites = "\n".join(
        f'      - {{point: "{n + 1:03d}", site: "1", raster: "{n + 1:03d}_visible.tif"}}' for n in range(points)
    )
    values = {"method": "georeference", "tiles": "png", "formats": "[folders]"} | given
    path = folder / "run.yaml"
    path.write_text(CONFIG.format(sites=sites, **values))
    return path


def run_config(config: Path, workspace: Path, failing: tuple[str, ...] = ()) -> set[str]:
    """Run a configuration; return the units done, as "stage unit". Only units of the stages `failing` may fail."""
    before = done_units(workspace)
    loaded = load_recipe(config)
    summary = run(loaded.stages, Workspace(workspace, create=True), Request(loaded.resolved, loaded.seed))
    assert {record.stage for record in summary.failures} <= {*failing}, summary.failures
    after = done_units(workspace)
    return {unit for unit, mark in after.items() if before.get(unit) != mark}


def done_units(workspace: Path) -> dict[str, tuple[Any, ...]]:
    """Return of every planned unit its key, how often it was tried and when it ended."""
    if not (workspace / "engine" / "ledger.sqlite").exists():
        return {}
    with Ledger(workspace / "engine" / "ledger.sqlite", read_only=True) as ledger:
        records = [record for stage in ledger.stages() for record in ledger.records(stage).values() if record.planned]
    return {f"{r.stage} {r.name}": (r.key, r.attempts, r.started, r.ended) for r in records}


class Server:
    """The command `mapdata review` as a process; `address` lets one browser in, `origin` is where it listens."""

    def __init__(self, workspace: Path, *options: str, port: int = 0, operator: str = "Ada") -> None:
        self.workspace = workspace
        command = [sys.executable, "-m", "mapdata", "review", "--workspace", str(workspace), "--port", str(port)]
        self.process = subprocess.Popen(
            [*command, "--operator", operator, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(r"open (http://\S+)", line)
        if found is None:
            raise AssertionError(line + self.process.communicate()[1])
        self.address = found[1]
        self.origin = self.address.partition("/enter")[0]
        self.port = int(self.origin.rpartition(":")[2])

    def kill(self) -> None:
        """End it as nothing can prepare for."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode


@contextmanager
def serving(workspace: Path, *options: str, port: int = 0, operator: str = "Ada") -> Iterator[Server]:
    """Serve a workspace for a while."""
    server = Server(workspace, *options, port=port, operator=operator)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


class Client:
    """A client without a browser: the cookie, and requests with the headers that the page sends."""

    def __init__(self, address: str) -> None:
        self.origin = address.partition("/enter")[0]
        opener = urllib.request.build_opener(_NoRedirect)
        with pytest.raises(urllib.error.HTTPError) as answer:
            opener.open(address)
        assert answer.value.code == 303, answer.value.read()
        self.cookie = str(answer.value.headers["Set-Cookie"]).partition(";")[0]

    def ask(self, method: str, path: str, body: Any = None, tag: str = "") -> tuple[int, Any]:
        """Send a request; return status and JSON, or bytes of what is no JSON."""
        headers = {"Cookie": self.cookie}
        if method != "GET":
            headers |= {"Origin": self.origin, "Content-Type": "application/json"}
        if tag:
            headers["If-Match"] = f'"{tag}"'
        data = None if method == "GET" else json.dumps(body if body is not None else {}).encode()
        request = urllib.request.Request(self.origin + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, _content(response)
        except urllib.error.HTTPError as error:
            return error.code, _content(error)

    def get(self, path: str) -> Any:
        """Return what a path gives; it must be there."""
        status, value = self.ask("GET", path)
        assert status == 200, value
        return value


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _content(response: Any) -> Any:
    data = response.read()
    return json.loads(data) if "json" in response.headers.get("Content-Type", "") else data


def tie_point(name: str, map_x: float, map_y: float, visible_x: float, visible_y: float, operator: str = "Ada") -> Any:
    """Return a tie point as JSON."""
    places = {"map_x": map_x, "map_y": map_y, "visible_x": visible_x, "visible_y": visible_y}
    return {"name": name, "operator": operator, "date": "2026-11-29T08:00:00Z", **places}


def chromium() -> str:
    """Return the path of a browser, or skip the test with a word."""
    pytest.importorskip("playwright", reason="no playwright: the page is not tested in a browser")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no browser: install chromium, or name one in CHROMIUM")
    return found
