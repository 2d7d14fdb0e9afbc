"""An asynchronous generator read from synchronous code, which works on an item while the next ones arrive."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def iterate_in_thread(make: Callable[[], AsyncIterator[T]], prefetch: int = 2) -> Iterator[T]:
    """Run an asynchronous generator in a thread of its own and yield its items.

    If the reader stops early, the generator is cancelled and waited for.

    Args:
        make: Returns the generator; called in the thread.
        prefetch: Greatest number of items that wait for the reader.

    Yields:
        The generator's items, in order.

    Raises:
        BaseException: Whatever the generator raises, after the items before it.
    """
    items: queue.Queue[T] = queue.Queue(prefetch)
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
                yield items.get(timeout=0.05)
            except queue.Empty:
                if finished.is_set() and items.empty():
                    break
        if failure:
            raise failure[0]
    finally:
        if not finished.is_set():
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
