"""The folder in which the documentation's commands run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from documents import shell

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def demo(small_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout's `configs/`, a finished small demo in `work/demo`, and files such as a reader has.

    Half of the demo's pairs are train and half test. `map.tif` and `image.tif` are a raster pair, `a.png` and `b.png` a
    pair of tiles.
    """
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(PROJECT / "configs", folder / "configs")
    shutil.copytree(small_demo / "work", folder / "work" / "demo")
    config = yaml.safe_load((small_demo / "demo.yaml").read_text())
    config["stages"]["split"] = {"shares": {"train": 0.5, "test": 0.5}}
    (folder / "configs" / "demo.yaml").write_text(yaml.safe_dump(config))
    shell("mapdata run configs/demo.yaml --workspace work/demo --workers 0", folder)
    rasters, tiles = folder / "work/demo/rasters/002/1", folder / "work/demo/release/MapData/002/1"
    for name, file in {
        "map.tif": rasters / "map.tif",
        "image.tif": rasters / "visible.tif",
        "a.png": tiles / "L" / "002_1_0000_0000.png",
        "b.png": tiles / "R" / "002_1_0000_0000.png",
    }.items():
        shutil.copy(file, folder / name)
    (folder / "map.mbtiles").touch()  # a configuration that is checked, but not run, names it
    return folder


@pytest.fixture
def place(demo: Path, tmp_path: Path) -> Path:
    """A copy of `demo` that a test may change."""
    folder = tmp_path / "checkout"
    shutil.copytree(demo, folder)
    return folder
