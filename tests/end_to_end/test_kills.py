"""The real recipe under `kill -9`, and with 0, 1 and 2 workers: the same release to the last byte."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import yaml
from kills import run_under_kills
from numpy.typing import NDArray
from rasterio.transform import from_origin
from runs import assert_same, assert_verifies, published, start_run

from pipeline.files import TEMPORARY_PREFIX
from pipeline.ledger import Ledger, State
from pipeline.workspace import Workspace

pytestmark = pytest.mark.end_to_end

POINTS = 12
SIZE = 1536
DRIVER_KILLS = 12
WORKER_KILLS = 14


def visible_image(generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return something like a photograph: noise of many scales, with roads on it."""
    image = np.full((SIZE, SIZE, 3), 90.0)
    for cell in (8, 32, 128, 512):
        noise = generator.normal(0, 18, (SIZE // cell, SIZE // cell, 3)).astype(np.float32)
        image += cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)


def map_image(generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return something like a map: blocks and lines on a pale ground."""
    image = np.full((SIZE, SIZE, 3), (242, 239, 233), np.uint8)
    for _ in range(120):
        x, y, width, height = generator.integers(0, SIZE, 2).tolist() + generator.integers(20, 200, 2).tolist()
        colour = generator.integers(150, 230, 3).tolist()
        cv2.rectangle(image, (x, y), (x + width, y + height), colour, -1)
    for _ in range(80):
        start, end = generator.integers(0, SIZE, (2, 2)).tolist()
        cv2.line(image, start, end, (250, 160, 90), int(generator.integers(3, 12)), cv2.LINE_AA)
    return image


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the configuration of a run over generated GeoTIFF pairs, far enough apart to be split."""
    folder = tmp_path_factory.mktemp("imagery")
    generator = np.random.default_rng(11)
    sites = []
    for point in range(POINTS):
        transform = from_origin(1_000_000 + 50_000 * point, 6_000_000, 0.5, 0.5)
        for side, image in (("visible", visible_image(generator)), ("map", map_image(generator))):
            path = folder / f"{point + 1:03d}_{side}.tif"
            with rasterio.open(
                path, "w", "GTiff", SIZE, SIZE, 3, crs="EPSG:3857", transform=transform, dtype="uint8", tiled=True
            ) as dataset:
                dataset.write(image.transpose(2, 0, 1))
        sites.append({"point": f"{point + 1:03d}", "raster": f"{point + 1:03d}_visible.tif"})
    said = {"licence": "CC0-1.0", "attribution": "generated", "date": "2026-01-01"}
    sources = {
        side: {"kind": "geotiff", "path": f"{{point_id}}_{side}.tif", "source": f"generated {side}", **said}
        for side in ("map", "visible")
    }
    stages = {"sample": {"sites": sites}, "acquire": sources, "align": {"method": "georeference"}}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"name": "killed", "seed": 3, "stages": stages}))
    return path


@pytest.fixture(scope="module")
def expected(config: Path) -> Mapping[str, bytes]:
    """Return the release of an uninterrupted run in one process."""
    workspace = config.parent / "uninterrupted"
    assert start_run(config, workspace, 0).wait(300) == 0
    made = published(workspace)
    assert any(path.endswith(".png") for path in made)
    return made


@pytest.mark.parametrize("workers", [1, 2])
def test_the_release_does_not_depend_on_the_number_of_workers(
    config: Path, expected: Mapping[str, bytes], workers: int
) -> None:
    workspace = config.parent / f"workers-{workers}"
    assert start_run(config, workspace, workers).wait(300) == 0
    assert_same(published(workspace), expected)


def test_a_run_killed_at_random_ends_as_if_nothing_had_been(config: Path, expected: Mapping[str, bytes]) -> None:
    workspace = config.parent / "killed"
    killed = run_under_kills(lambda: start_run(config, workspace, 2), workspace, DRIVER_KILLS, WORKER_KILLS, 0.4)
    assert killed >= 20

    assert_same(published(workspace), expected)
    assert not list(workspace.rglob(f"{TEMPORARY_PREFIX}*"))
    counts = []
    for each in (workspace, config.parent / "uninterrupted"):
        with Ledger(Workspace(each).ledger, read_only=True) as ledger:
            counts.append(ledger.counts())
    assert counts[0] == counts[1]
    assert all(
        state in (State.DONE, State.REJECTED, State.NO_DATA) for states in counts[0].values() for state in states
    )
    assert_verifies(workspace)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_that_it_was_stopped(config: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "mapdata", "run", str(config), "--workers", "0", "--workspace"]
    workspace = config.parent / f"stopped-{number}"
    running = subprocess.Popen([*command, str(workspace)], stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("acquire:"):
            running.send_signal(number)
            break
    # Not `communicate`, which does not know what the loop has read ahead.
    rest = running.stderr.read()
    assert running.wait(300) == 128 + number
    assert rest.splitlines()[-1] == "stopped; what has ended is kept, the same command goes on where it was"
    assert "Traceback" not in rest
