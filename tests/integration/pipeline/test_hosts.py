"""Two hosts, which are network namespaces of this machine: one is cut off in the middle of a run, one joins late."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest
from dask_processes import run_recipe, scheduler, worker
from synthetic_recipe import contents

from pipeline.errors import WorkspaceError
from pipeline.ledger import Ledger, State

pytestmark = pytest.mark.integration

# A scheduler waits five minutes for a silent worker by itself.
IMPATIENT = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s"}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def host(number: int) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Make a host of its own network; yield its link, how commands are run on it, and its name for this machine."""
    link, here = f"md{os.getpid() % 100_000}x{number}", f"10.213.{number}.1"
    try:
        ip("netns", "add", link)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to make network namespaces, and the command `ip`")
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", link)
        ip("address", "add", f"{here}/30", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", link, "address", "add", f"10.213.{number}.2/30", "dev", "eth0")
        ip("-n", link, "link", "set", "eth0", "up")
        yield link, ("ip", "netns", "exec", link), here
    finally:
        ip("netns", "delete", link)


def ended(ledger: Path) -> list[str]:
    """Return which worker did each unit that has ended."""
    with suppress(WorkspaceError), Ledger(ledger, read_only=True) as opened:
        return [unit.worker for unit in opened.records("draw").values() if unit.state is State.DONE]
    return []


def test_a_host_that_is_cut_off_and_one_that_joins_late_give_the_same_bytes(tmp_path: Path) -> None:
    stages = {"list": {"count": 30}, "draw": {"seconds": 0.2}}
    run_recipe(tmp_path, "inline", stages)
    ledger, over = tmp_path / "run/engine/ledger.sqlite", Event()
    with (
        host(1) as (link, on_first, first_gateway),
        host(2) as (_, on_second, second_gateway),
        scheduler("0.0.0.0", IMPATIENT) as address,
        ThreadPoolExecutor(1) as pool,
    ):
        port = address.rpartition(":")[2]

        def cut_off_and_join() -> int:
            while len(ended(ledger)) < 5 and not over.is_set():
                time.sleep(0.1)
            ip("link", "set", link, "down")
            assert not over.is_set(), "the host was cut off before the run had ended"
            with worker(f"tcp://{second_gateway}:{port}", prefix=on_second) as second:
                over.wait(300)
                return second.pid

        with worker(f"tcp://{first_gateway}:{port}", prefix=on_first) as first:
            others = pool.submit(cut_off_and_join)
            try:
                summary = run_recipe(tmp_path, "run", stages, scheduler=f"tcp://127.0.0.1:{port}")
            finally:
                over.set()
            second_pid = others.result()
            assert first.poll() is None, "it lives on, and writes what it had in hand"
    assert summary.failures == []
    assert summary.counts["draw"] == {State.DONE: 30}
    assert {name.rpartition(":")[2] for name in ended(ledger)} == {str(first.pid), str(second_pid)}
    assert contents(tmp_path / "run") == contents(tmp_path / "inline")
