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
    """A checkout's `configs/` and a finished small demo in `work/demo`, whose pairs are half train and half test."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(PROJECT / "configs", folder / "configs")
    shutil.copytree(small_demo / "work", folder / "work" / "demo")
    config = yaml.safe_load((small_demo / "demo.yaml").read_text())
    config["stages"]["split"] = {"shares": {"train": 0.5, "test": 0.5}}
    (folder / "configs" / "demo.yaml").write_text(yaml.safe_dump(config))
    shell("mapdata run configs/demo.yaml --workspace work/demo --workers 0", folder)
    return folder


@pytest.fixture
def place(demo: Path, tmp_path: Path) -> Path:
    """A copy of `demo` that a test may change."""
    folder = tmp_path / "checkout"
    shutil.copytree(demo, folder)
    return folder
