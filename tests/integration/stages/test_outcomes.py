"""What a run tells of itself: refused sites with the next step, no release of nothing, the units that are going on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from aiohttp import web
from rasterio.transform import from_origin
from tile_server import TileServer, jpeg
from typer.testing import CliRunner

from mapdata.cli import build_app

pytestmark = pytest.mark.integration


def command(*arguments: str | Path, status: int = 0) -> str:
    done = CliRunner().invoke(build_app(), list(map(str, arguments)))
    assert done.exit_code == status, done.output + repr(done.exception)
    return " ".join(done.output.split())


def write_noise(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 75, 75), np.uint8).repeat(8, 1).repeat(8, 2)
    shape = {"width": 600, "height": 600, "count": 3, "dtype": "uint8"}
    place = from_origin(500_000, 5_200_000, 1, 1)
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32632", transform=place, **shape) as file:
        file.write(pixels)


CONFIG = """
name: t
stages:
  sample: {sites: [{point: '001', raster: visible.tif}]}
  acquire:
    map: {kind: geotiff, path: map.tif, source: m, licence: x, attribution: x}
    visible: {kind: geotiff, path: visible.tif, source: v, licence: x, attribution: x}
"""


def test_a_map_of_another_place_is_a_loud_failure_and_publishes_nothing(tmp_path: Path) -> None:
    write_noise(tmp_path / "map.tif", 1)
    write_noise(tmp_path / "visible.tif", 2)
    (tmp_path / "run.yaml").write_text(CONFIG)
    place = tmp_path / "w"
    said = command("run", tmp_path / "run.yaml", "--workspace", place, "--workers", 0, status=1)
    assert "align 001/1: rejected" in said
    assert f"see {place}/alignment/001/1/alignment.jpg" in said
    assert f"-> mapdata review --workspace {place}, or mapdata tiepoints import 001/1 POINTS " in said
    assert "not one pair to publish: 1 sites were refused, such as 001/1: " in said
    assert "failed in" in said
    assert not (place / "release").exists()
    status = json.loads(command("status", "--workspace", place, "--json"))
    refused = next(each for each in status["refused"] if each["stage"] == "align")
    assert (refused["stage"], refused["name"], refused["state"]) == ("align", "001/1", "rejected")
    assert all(Path(path).is_file() for path in refused["pictures"])
    assert "align: 1 rejected" in status["outcome"]


def test_trusted_pairs_are_told_by_split_in_one_line_and_sites_left_out_on_the_card(tmp_path: Path) -> None:
    write_noise(tmp_path / "map.tif", 1)
    write_noise(tmp_path / "visible.tif", 2)
    text = CONFIG.replace("[{point: '001', raster: visible.tif}]", "[{point: '001', raster: visible.tif}, "
                          "{point: '002', bounds: [10.0, 40.0, 10.01, 40.01], gsd: 1.0}]")  # fmt: skip
    (tmp_path / "run.yaml").write_text(f"{text}  align: {{method: georeference}}\n  clean: {{}}\n")
    place = tmp_path / "w"
    said = command("run", tmp_path / "run.yaml", "--workspace", place, "--workers", 0, status=1)
    assert "acquire 002/1/map: failed-permanent" in said  # a footprint outside of the file
    assert "1 pairs (train 0, val 0, test 1)" in said or "1 pairs (train 1, val 0, test 0)" in said
    assert "in release/" in said


def test_a_unit_that_waits_for_a_server_says_so_beside_the_run(tmp_path: Path) -> None:
    def fault(request: web.Request, path: str, asked: int) -> web.StreamResponse | None:
        return web.Response(status=503) if int(path.rsplit("/", 1)[-1].partition(".")[0]) % 2 else None

    with TileServer(lambda path: jpeg(1)) as server:
        server.fault = fault
        limits = "{requests_per_second: null, attempts: 50, wait_s: 0.2}"
        tiles = f"{{kind: tiles, url: '{server.url}/a/{{z}}/{{x}}/{{y}}.jpg', zoom: 17, rate_limits: {limits}, "
        tiles += "source: a, licence: x, attribution: x}"
        (tmp_path / "run.yaml").write_text(
            "name: t\nstages:\n  sample: {sites: [{point: '001', bounds: [9.5, 46.9, 9.52, 46.91], gsd: 0.8}]}\n"
            f"  acquire:\n    map: {tiles}\n    visible: {tiles}\n"
        )
        arguments = [sys.executable, "-m", "mapdata", "run", tmp_path / "run.yaml", "--workspace", tmp_path / "w"]
        running = subprocess.Popen([*map(str, arguments), "--workers", "0"], stderr=subprocess.PIPE, text=True)
        try:
            found = _standing(tmp_path / "w")
        finally:
            running.terminate()
            errors = running.communicate()[1]
    assert found["unit"] == "001/1/map"
    assert found["noun"] == "tiles"
    assert 0 < found["done"] < found["total"]
    host = server.url.partition("//")[2]
    assert f"waits for {host}: status 503, attempt " in found["waiting"] or f"waits for {host}: " in found["waiting"]
    assert "Traceback" not in errors


def _standing(workspace: Path) -> dict[str, object]:
    """Ask `status` until a unit tells that it waits."""
    for _ in range(600):
        time.sleep(0.2)
        if not (workspace / "engine/ledger.sqlite").exists():
            continue
        done = CliRunner().invoke(build_app(), ["status", "--workspace", str(workspace), "--json"])
        units = json.loads(done.stdout)["running"] if done.exit_code == 0 else []
        if units and units[0]["waiting"] and units[0]["done"]:
            return dict(units[0])
    raise AssertionError("no unit ever said what it waits for")
