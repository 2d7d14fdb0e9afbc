"""Workspaces to review, made once; whoever changes one takes a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from generated_run import run_config, write_config, write_rasters


@pytest.fixture(scope="session")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `run.yaml` and `work`, its finished run: three sites, aligned by georeference."""
    folder = tmp_path_factory.mktemp("review")
    write_rasters(folder)
    run_config(write_config(folder), folder / "work")
    return folder


@pytest.fixture(scope="session")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder like that, of one site whose map shows nothing of its image: its alignment is refused."""
    folder = tmp_path_factory.mktemp("refused")
    write_rasters(folder, points=1, side=520, alike=False)
    run_config(write_config(folder, points=1, method="structure"), folder / "work", ("release",))
    return folder


@pytest.fixture(scope="session")
def resampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the finished workspace of one site that is cut on a grid of 0.8 m over its image of 0.5 m."""
    folder = tmp_path_factory.mktemp("resampled")
    write_rasters(folder, points=1)
    run_config(write_config(folder, points=1, tiles="png, gsd: 0.8, stride: 150"), folder / "work")
    return folder / "work"


@pytest.fixture
def workspace(reviewed: Path, tmp_path: Path) -> Path:
    """Return a copy of that run's workspace."""
    shutil.copytree(reviewed / "work", tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def config(reviewed: Path) -> Path:
    """Return the configuration of that run."""
    return reviewed / "run.yaml"
