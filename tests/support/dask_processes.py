"""Dask schedulers and workers as processes of their own, and runs of the synthetic recipe on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic_recipe import QUICK, RECIPE

from pipeline.config import load_config
from pipeline.run import Request, Summary, run
from pipeline.workspace import Workspace

SUPPORT = Path(__file__).resolve().parent
PROJECT = SUPPORT.parents[1]


def run_recipe(
    folder: Path, name: str, stages: dict[str, Any], workers: int = 0, scheduler: str | None = None
) -> Summary:
    """Run the synthetic recipe in the workspace `folder`/`name`."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "seed": 5, "stages": stages}))
    loaded = load_config(path, RECIPE)
    request = Request(loaded.resolved, loaded.seed, workers=workers, scheduler=scheduler, policy=QUICK)
    return run(loaded.stages, Workspace(folder / name, create=True), request)


@contextmanager
def process(
    *arguments: str,
    prefix: tuple[str, ...] = (),
    path: tuple[Path, ...] = (SUPPORT, PROJECT),
    settings: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run a `dask` command in a process of its own, which finds modules in `path` first."""
    started = subprocess.Popen(
        [*prefix, sys.executable, "-m", "dask", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), **(settings or {})},
        cwd=path[0],  # which `-m` puts before everything else
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@contextmanager
def scheduler(host: str = "127.0.0.1", settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a Dask scheduler; yield its address."""
    with process("scheduler", "--host", host, "--port", "0", "--no-dashboard", settings=settings) as started:
        assert started.stderr is not None
        for line in started.stderr:
            if "Scheduler at:" in line:
                yield line.split("Scheduler at:")[1].strip()
                return
        pytest.fail("the scheduler did not start")


def worker(address: str, **more: Any) -> Any:
    """Run a Dask worker process."""
    return process("worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", **more)
