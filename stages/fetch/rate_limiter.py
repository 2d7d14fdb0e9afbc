"""One rate limiter a host for a whole run, however many processes take part: requests, bytes, concurrency and pauses.

The state lies in small files that the processes share under `flock`, in a folder on a local disk or on a shared file
system that honours locks. The kernel drops the locks of a process that dies, so its slots become free by themselves.
Ours, because libraries limit one process, or want a server such as Redis beside a run.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

_POLL_S = 0.01
_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 300.0


@dataclass(frozen=True)
class _State:
    """What the processes share. Times are seconds since the epoch; `failures` counts failures in a row.

    `received_until` is when all bytes received so far would have arrived at the rate that is allowed.
    """

    next_start: float = 0.0
    paused_until: float = 0.0
    failures: float = 0.0
    written_at: float = 0.0
    received_until: float = 0.0

    LAYOUT = struct.Struct("<5d")

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.next_start, self.paused_until, self.failures, self.written_at, self.received_until)

    @classmethod
    def unpack(cls, data: bytes) -> _State:
        return cls(*cls.LAYOUT.unpack(data)) if len(data) == cls.LAYOUT.size else cls()

    def at(self, now: float) -> _State:
        """Return the state on a clock that reads `now`.

        A state from the future means that the clock was set back since: its times move back by as much. Otherwise a
        pause of a second would last until the clock reaches the old time again.
        """
        behind = max(0.0, self.written_at - now)
        times = {name: getattr(self, name) - behind for name in ("next_start", "paused_until", "received_until")}
        return replace(self, **times)


class RateLimiter:
    """The rate limiter of one host: `async with limiter.slot():` around each request.

    After each request the caller reports its outcome with `succeeded`, `failed` or `pause`. Consecutive failures open
    a circuit breaker: nobody may send a request for a while, which grows from 1 s to 300 s.

    Args:
        folder: Where the shared files lie. Whoever uses the same folder shares the limits.
        host: Host and port; names the files.
        rate: Requests per second, evenly spaced and never in bursts; None for no limit.
        concurrent: Greatest number of requests in progress at once, over all processes.
        breaker_threshold: Consecutive failures that open the circuit breaker.
        bytes_rate: Bytes a second, over all processes; None for no limit.
    """

    def __init__(
        self,
        folder: Path,
        host: str,
        rate: float | None,
        concurrent: int,
        breaker_threshold: int = 5,
        bytes_rate: float | None = None,
    ) -> None:
        name = re.sub(r"[^A-Za-z0-9.-]", "_", host)
        folder.mkdir(parents=True, exist_ok=True)
        self.host = host
        self._state_path = folder / f"{name}.state"
        self._slot_paths = [folder / f"{name}.slot{index}" for index in range(concurrent)]
        # Requests of this process wait on the semaphore, so that only as many as there are slots poll the lock files.
        self._local_slots = asyncio.Semaphore(concurrent)
        self._held: set[Path] = set()
        self._interval = 1 / rate if rate else 0.0
        self._breaker_threshold = breaker_threshold
        self._bytes_rate = bytes_rate

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a free slot and for the next start that the rate and the pauses allow; free the slot on exit."""
        async with self._local_slots:
            path, descriptor = await self._lock_slot()
            try:
                await self._wait_for_start()
                yield
            finally:
                os.close(descriptor)
                self._held.discard(path)

    async def received(self, count: int) -> None:
        """Report bytes of a response, and wait until the next may be read. The host feels it by TCP's own windows."""
        if not self._bytes_rate:
            return
        with self._locked() as states:
            until = max(time.time(), states[0].received_until) + count / self._bytes_rate
            states.append(replace(states[0], received_until=until))
        await asyncio.sleep(max(0.0, until - time.time()))

    def succeeded(self) -> None:
        """Report a valid response: the count of failures starts anew."""
        if self._read().failures:
            with self._locked() as states:
                states.append(replace(states[0], failures=0.0))

    def failed(self) -> None:
        """Report a failure of the host (5xx, reset, time-out); too many in a row open the circuit breaker."""
        with self._locked() as states:
            if states[0].paused_until > time.time():
                return  # The request was sent before the breaker opened: it is part of the same incident.
            failures = states[0].failures + 1
            paused_until = 0.0
            if failures >= self._breaker_threshold:
                pause = min(_FIRST_PAUSE_S * 2 ** (failures - self._breaker_threshold), _MAX_PAUSE_S)
                paused_until = time.time() + pause
            states.append(replace(states[0], failures=failures, paused_until=paused_until))

    def pause(self, seconds: float) -> None:
        """Send nothing for some seconds, as the host asked with `Retry-After`."""
        with self._locked() as states:
            states.append(replace(states[0], paused_until=max(states[0].paused_until, time.time() + seconds)))

    def paused_seconds(self) -> float:
        """Return for how long nobody may send a request to the host."""
        return max(0.0, self._read().paused_until - time.time())

    async def _lock_slot(self) -> tuple[Path, int]:
        while True:
            for path in self._slot_paths:
                if path in self._held:
                    continue
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    continue
                self._held.add(path)
                return path, descriptor
            await asyncio.sleep(_POLL_S)

    async def _wait_for_start(self) -> None:
        while True:
            with self._locked() as states:
                start = max(time.time(), states[0].next_start, states[0].paused_until, states[0].received_until)
                states.append(replace(states[0], next_start=start + self._interval))
            wait = start - time.time()
            if wait <= 0:
                return
            await asyncio.sleep(wait)
            # A pause that another process reported while this one slept counts too.
            if self._read().paused_until <= time.time():
                return

    def _read(self) -> _State:
        try:
            return _State.unpack(self._state_path.read_bytes()).at(time.time())
        except FileNotFoundError:
            return _State()

    @contextmanager
    def _locked(self) -> Iterator[list[_State]]:
        """Yield a list with the state; a state appended to it is written before the lock is released."""
        descriptor = os.open(self._state_path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            now = time.time()
            states = [_State.unpack(os.pread(descriptor, _State.LAYOUT.size, 0)).at(now)]
            yield states
            if len(states) > 1:
                os.pwrite(descriptor, replace(states[-1], written_at=now).pack(), 0)
        finally:
            os.close(descriptor)
