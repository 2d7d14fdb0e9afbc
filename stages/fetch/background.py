"""Using an asynchronous generator from ordinary code, which works on what came while the next is on its way."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()


def iterate(make: Callable[[], AsyncIterator[T]], ahead: int = 2) -> Iterator[T]:
    """Yield what the generator of `make` yields, run in a thread of its own, at most `ahead` items ahead.

    An error of the generator is raised here; if the reader stops early, the generator is cancelled and waited for.
    """
    items: queue.Queue[object] = queue.Queue(ahead)
    loop = asyncio.new_event_loop()
    failure: list[BaseException] = []

    async def pump() -> None:
        async for item in make():
            while True:
                try:
                    items.put_nowait(item)
                    break
                except queue.Full:
                    await asyncio.sleep(0.002)

    task = loop.create_task(pump())

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            failure.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            finished.set()

    finished = threading.Event()
    thread = threading.Thread(target=run, name="fetch", daemon=True)
    thread.start()
    try:
        while True:
            try:
                yield items.get(timeout=0.05)  # type: ignore[misc]
            except queue.Empty:
                if finished.is_set() and items.empty():
                    break
        if failure:
            raise failure[0]
    finally:
        if not finished.is_set():
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
