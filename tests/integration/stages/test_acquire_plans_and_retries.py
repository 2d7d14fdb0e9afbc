"""What a plan counts is what the sources then request, and a retried unit really asks its service again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import yaml
from aiohttp import web
from pyproj import Transformer
from rasterio.transform import from_origin
from shapely import Point
from tile_server import TileServer, jpeg

from pipeline.errors import PermanentError
from pipeline.stage import RunView
from stages.acquire import AcquireStage, acquire_params
from stages.acquire.source import Site
from stages.sample import SampleParams, SampleStage

pytestmark = pytest.mark.integration

WORDS = {"source": "s", "licence": "l", "attribution": "a"}
LIMITS = {"requests_per_second": None, "concurrent": 8, "wait_s": 0.01, "timeout_s": 5}


@pytest.fixture
def server() -> Iterator[TileServer]:
    tile = jpeg(1)
    with TileServer(lambda path: tile) as server:
        yield server


def acquisition(server: TileServer) -> dict[str, Any]:
    tiles = {"kind": "tiles", "url": server.url + "/{z}/{x}/{y}.jpg", "rate_limits": LIMITS} | WORDS
    return {"map": tiles | {"zoom": 15}, "visible": tiles}


def mapdata(*arguments: object) -> None:
    done = subprocess.run([sys.executable, "-m", "mapdata", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def by_bounds(folder: Path) -> dict[str, Any]:
    return {"sites": [{"point": "1", "bounds": [9.0, 47.0, 9.01, 47.005], "gsd": 1.0}]}


def across_the_antimeridian(folder: Path) -> dict[str, Any]:
    return {"sites": [{"point": "1", "bounds": [179.998, -17.0, -179.998, -16.997], "gsd": 1.0}]}


def by_a_raster_across_the_antimeridian(folder: Path) -> dict[str, Any]:
    x, y = Transformer.from_crs(4326, 3832, always_xy=True).transform(180, -16.8)
    profile = {"driver": "GTiff", "width": 400, "height": 400, "count": 3, "dtype": "uint8", "crs": "EPSG:3832"}
    with rasterio.open(folder / "v.tif", "w", transform=from_origin(x - 200, y + 200, 1, 1), **profile) as dataset:
        dataset.write(np.full((3, 400, 400), 90, np.uint8))
    return {"sites": [{"point": "1", "raster": str(folder / "v.tif")}]}


def by_points_of_longitudes_to_360(folder: Path) -> dict[str, Any]:
    frame = geopandas.GeoDataFrame(geometry=[Point(190.5, -14.3), Point(9.0, 47.0)], crs="EPSG:4326")
    frame.to_file(folder / "points.gpkg", engine="pyogrio")
    size = {"width": [512, 600], "height": [512, 600]}
    return {"points": {"path": str(folder / "points.gpkg"), "sites_per_point": 1, "gsd": 1.0} | size}


def at_a_pole(folder: Path) -> dict[str, Any]:
    return {"sites": [{"point": "1", "bounds": [-180, 89.999, 180, 90], "gsd": 1.0}]}


SAMPLES = (
    by_bounds, across_the_antimeridian, by_a_raster_across_the_antimeridian, by_points_of_longitudes_to_360, at_a_pole,
)  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_plan_counts_the_requests_that_are_then_sent(
    server: TileServer, tmp_path: Path, sample: Callable[[Path], dict[str, Any]]
) -> None:
    run = RunView(tmp_path, 1, {})
    params = acquire_params(("map", "visible")).model_validate(acquisition(server))
    before = {"sample": SampleStage(SampleParams.model_validate(sample(tmp_path))).estimate(run, {})}
    planned = AcquireStage(params).estimate(run, before)
    assert planned is not None
    refused = sample is at_a_pole
    outcome = pytest.raises(PermanentError, match="85 degrees") if refused else nullcontext()
    for row in before["sample"].rows:
        for source in params.sources().values():
            with outcome, source.open(Site.from_row(row), tmp_path) as strips:
                assert sum(len(strip) for strip in strips.pixels) == strips.grid.height
    assert planned.requests == len(server.times)
    assert (planned.requests == 0) is refused
    assert planned.requests < 60


def test_retrying_no_data_asks_the_service_again(server: TileServer, tmp_path: Path) -> None:
    config, workspace = tmp_path / "c.yaml", tmp_path / "w"
    stages = {"sample": by_bounds(tmp_path), "acquire": acquisition(server)}
    config.write_text(yaml.safe_dump({"name": "c", "seed": 1, "stages": stages}))
    only = ("--workspace", workspace, "--workers", 1, "--only", "sample", "--only", "acquire")
    server.fault = lambda request, path, k: web.Response(status=404)
    mapdata("run", config, *only)
    before = len(server.times)
    assert before > 0
    assert not list(workspace.rglob("*.tif"))
    server.fault = None
    mapdata("retry", "--workspace", workspace, "--stage", "acquire", "--state", "no-data")
    mapdata("run", config, *only)
    assert len(server.times) > before
    assert len(list(workspace.rglob("*.tif"))) == 2
