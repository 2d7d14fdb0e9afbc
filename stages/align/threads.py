"""How many threads the arithmetic of an alignment takes, and work spread over them without changing its result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2
import torch

from pipeline.cores import cores

Task = TypeVar("Task")
Found = TypeVar("Found")


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch and OpenCV to one thread a call: sums do not depend on their number."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def in_threads(work: Callable[[Task], Found], tasks: Iterable[Task]) -> Iterator[Found]:
    """Do work on tasks in as many threads as this process has cores for (see `pipeline.cores`).

    Tasks are made by the caller's thread, one more than there are threads ahead at most, so that files are read by one
    thread and memory is bounded. Each task is done by one thread, and what it finds does not depend on the others.

    Args:
        work: Called with each task, in any thread.
        tasks: What to work on.

    Yields:
        What was found, in the order of the tasks.
    """
    threads = cores()
    if threads == 1:
        yield from map(work, tasks)
        return
    waiting: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
