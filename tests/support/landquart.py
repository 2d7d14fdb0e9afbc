"""Datasets of the real Swiss tiles, served on loopback, built through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from tile_server import TileServer, of_folder

PROJECT = Path(__file__).resolve().parents[2]


def build(shared_data: Path, config: str, folder: Path, align: dict[str, str]) -> Path:
    """Run a configuration of configs/, aligned as `align` says, twice, the second time for nothing; return its
    workspace."""
    with TileServer(of_folder(shared_data / "tiles")) as server:
        text = (PROJECT / "configs" / config).read_text(encoding="utf-8")
        settings = yaml.safe_load(text.replace("http://127.0.0.1:8017", server.url))
        settings["stages"]["align"] = align
        (folder / config).write_text(yaml.safe_dump(settings), encoding="utf-8")
        mapdata("run", str(folder / config), "--workspace", str(folder / "workspace"), "--workers", "2")
        asked = sum(server.asked.values())
        mapdata("run", str(folder / config), "--workspace", str(folder / "workspace"), "--workers", "2")
        assert sum(server.asked.values()) == asked, "a finished run asks for nothing"
    return folder / "workspace"


def mapdata(*arguments: str) -> dict[str, object]:
    """Run the command with `--json` and return what it printed; its errors fail the test."""
    command = [sys.executable, "-m", "mapdata", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def pixels(path: Path) -> NDArray[np.uint8]:
    """Return an image, blue first."""
    image = cv2.imread(str(path))
    assert image is not None, path
    return np.asarray(image, np.uint8)


def assert_visible_tile_is_the_services(workspace: Path, shared_data: Path, zoom: int, tile: tuple[int, int]) -> None:
    """Compare one tile of 512 px with the four of 256 px that the service gave. `tile` is (row, column)."""
    first_x, first_y = {17: (69024, 46109), 18: (138048, 92218)}[zoom]
    row, col = tile
    made = pixels(workspace / f"tiles/001/1/visible/001_1_{row:04d}_{col:04d}.png")
    for y in range(2):
        for x in range(2):
            name = f"{zoom}/{first_x + 2 * col + x}/{first_y + 2 * row + y}.jpg"
            original = pixels(shared_data / "tiles" / "swissimage" / name)
            part = made[256 * y : 256 * y + 256, 256 * x : 256 * x + 256].astype(int)
            assert np.abs(part - original).max() <= 3, "no more than the decoders differ"
