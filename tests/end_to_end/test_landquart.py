"""A dataset made from the real Swiss tiles, served on loopback, through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from tile_server import TileServer, of_folder

pytestmark = pytest.mark.end_to_end

PROJECT = Path(__file__).resolve().parents[2]
VISIBLE_ZOOM, FIRST_X, FIRST_Y = 17, 69024, 46109
COLUMNS, ROWS = 12, 8
"""Whole tiles of 512 px in 6,400 x 4,096 px."""


def run(config: Path, workspace: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "mapdata", "run", str(config), "--workspace", str(workspace), "--json"]
    done = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def landquart(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of a finished run of configs/landquart.yaml."""
    folder = tmp_path_factory.mktemp("landquart")
    with TileServer(of_folder(shared_data / "tiles")) as server:
        text = (PROJECT / "configs" / "landquart.yaml").read_text(encoding="utf-8")
        (folder / "landquart.yaml").write_text(text.replace("http://127.0.0.1:8017", server.url), encoding="utf-8")
        run(folder / "landquart.yaml", folder / "workspace")
        asked = sum(server.asked.values())
        run(folder / "landquart.yaml", folder / "workspace")
        assert sum(server.asked.values()) == asked, "a finished run asks for nothing"
    return folder / "workspace"


def pixels(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path))
    assert image is not None, path
    return np.asarray(image, np.uint8)


def test_every_pair_is_in_the_manifest_with_verdict_and_split(landquart: Path) -> None:
    manifest = pq.read_table(landquart / "release" / "manifest.parquet").to_pylist()
    assert len(manifest) == COLUMNS * ROWS
    assert {row["split"] for row in manifest if row["verdict"] == "accepted"} == {"train"}
    verdicts = Counter(row["verdict"] for row in manifest)
    assert verdicts["accepted"] > 60
    reasons = {reason.split(":")[0] for row in manifest for reason in row["reasons"]}
    assert {"visible without data", "filled visible"} <= reasons, "missing tiles and the pale green border"


def test_visible_tiles_are_the_services_pixels(landquart: Path, shared_data: Path) -> None:
    for row, col in ((2, 3), (4, 7)):
        tile = pixels(landquart / f"tiles/001/1/visible/001_1_{row:04d}_{col:04d}.png")
        for y in range(2):
            for x in range(2):
                name = f"{VISIBLE_ZOOM}/{FIRST_X + 2 * col + x}/{FIRST_Y + 2 * row + y}.jpg"
                original = pixels(shared_data / "tiles" / "swissimage" / name)
                part = tile[256 * y : 256 * y + 256, 256 * x : 256 * x + 256].astype(int)
                assert np.abs(part - original).max() <= 3, "no more than the decoders differ"


def test_map_tiles_are_the_services_pixels_at_twice_the_size(landquart: Path, shared_data: Path) -> None:
    # Tile 69026 / 46113 of zoom 17 starts a quarter into tile 34513 / 23056 of zoom 16.
    tile = pixels(landquart / "tiles/001/1/map/001_1_0002_0001.png").astype(int)
    x, y = (FIRST_X + 2) // 2, (FIRST_Y + 4) // 2
    corner = [[pixels(shared_data / f"tiles/lk25/16/{x + i}/{y + j}.png") for i in range(2)] for j in range(2)]
    around = np.vstack([np.hstack(line) for line in corner])
    doubled = cv2.resize(around, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR).astype(int)
    left, top = (FIRST_X + 2) % 2 * 256, (FIRST_Y + 4) % 2 * 256
    inner = slice(4, -4)
    assert np.abs(tile - doubled[top : top + 512, left : left + 512])[inner, inner].max() <= 4


def test_the_release_verifies(landquart: Path) -> None:
    command = [sys.executable, "-m", "mapdata", "verify", "--workspace", str(landquart)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
