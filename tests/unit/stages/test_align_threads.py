"""Work in threads: the same results in the same order for any number of them, and bounded reading ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.cores import VARIABLE, cores, shared_out
from stages.align.threads import in_threads

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_and_tasks_are_made_by_one_thread(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(threads))
    made, done = list[int](), list[int]()
    ahead, makers = 0, set[int]()

    def tasks() -> Iterator[int]:
        nonlocal ahead
        for number in range(30):
            makers.add(threading.get_ident())
            made.append(number)
            ahead = max(ahead, len(made) - len(done))
            yield number

    def work(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number * number

    for result in in_threads(work, tasks()):
        done.append(result)
    assert done == [number * number for number in range(30)]
    assert makers == {threading.get_ident()}
    assert ahead <= threads + 2


def test_an_error_of_a_task_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 // (number - 5), range(10)))


def test_workers_share_the_cores_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    here = cores()
    assert here >= 1
    for workers in (0, 1, 2, 10_000):
        monkeypatch.setenv(VARIABLE, shared_out(workers)[VARIABLE])
        assert 1 <= cores() <= here
        assert max(workers, 1) * cores() <= max(here, workers)
    monkeypatch.setenv(VARIABLE, "nonsense")
    assert cores() == here
