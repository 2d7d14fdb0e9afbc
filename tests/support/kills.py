"""Kills a run again and again at random moments: its driver or one of its workers, with SIGKILL."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from pipeline.errors import WorkspaceError
from pipeline.ledger import Ledger, State
from pipeline.workspace import Workspace

LONGEST_SECONDS = 900
Driver = subprocess.Popen[bytes]


def run_under_kills(
    start: Callable[[], Driver], workspace: Path, driver_kills: int, worker_kills: int, longest: float
) -> int:
    """Run to the end under so many kills of the driver and of a worker, in random order; print the random seed.

    A killed driver is started again. A kill comes up to `longest` seconds after units were seen in flight. Returns how
    many kills there were: fewer than asked for if the run ended before.
    """
    seed = random.randrange(10_000)
    print(f"random seed {seed}")
    moments = random.Random(seed)
    victims = ["driver"] * driver_kills + ["worker"] * worker_kills
    moments.shuffle(victims)
    driver = start()
    killed = 0
    deadline = time.monotonic() + LONGEST_SECONDS
    for victim in victims:
        if time.monotonic() > deadline:
            driver.kill()
            raise AssertionError(f"the run does not get on: {killed} kills in {LONGEST_SECONDS} s")
        if not _wait_for_work(driver, workspace, deadline):
            break
        time.sleep(moments.uniform(0, longest))
        if victim == "driver":
            driver.kill()
            driver.wait()
            driver = start()
            killed += 1
        elif _kill_a_worker(driver, deadline):
            killed += 1
    if driver.wait(LONGEST_SECONDS) != 0:
        raise AssertionError(f"the run under kills ended with status {driver.returncode}")
    print(f"{killed} kills")
    return killed


def _wait_for_work(driver: Driver, workspace: Path, deadline: float) -> bool:
    """Wait until units are in flight; False if the run ended."""
    while driver.poll() is None and time.monotonic() < deadline:
        if _in_flight(workspace):
            return True
        time.sleep(0.02)
    return False


def _in_flight(workspace: Path) -> int:
    try:
        with Ledger(Workspace(workspace).ledger, read_only=True) as ledger:
            return sum(counts.get(State.RUNNING, 0) for counts in ledger.counts().values())
    except WorkspaceError:
        # Not begun yet.
        return 0


def _kill_a_worker(driver: Driver, deadline: float) -> bool:
    """Kill one of the driver's Dask workers, waiting for one to be there; False if the run ended."""
    while driver.poll() is None and time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(driver.pid).children():
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return True
        time.sleep(0.02)
    return False
