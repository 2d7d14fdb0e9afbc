"""One limit a host for a whole run, however many processes take part: request rate, concurrency, and pauses.

The state lives in small files that the processes share under `flock` (a folder on a local disk, or on a shared file
system that honours locks). A process that dies gives its place back, since the kernel drops its locks.
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
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0


@dataclass(frozen=True)
class _State:
    """Earliest start of the next request, end of the present pause (s since the epoch), failures in a row."""

    next_turn: float = 0.0
    closed_until: float = 0.0
    failures: float = 0.0

    LAYOUT = struct.Struct("<3d")

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.next_turn, self.closed_until, self.failures)

    @classmethod
    def unpack(cls, data: bytes) -> _State:
        return cls(*cls.LAYOUT.unpack(data)) if len(data) == cls.LAYOUT.size else cls()


class HostGate:
    """The gate to one host. `async with gate.turn():` around each request; then `succeeded`, `failed` or `pause`.

    `rate` is in requests per second (None: unlimited), spaced evenly, never in bursts; `concurrent` bounds the requests
    under way at once; `patience` is how many consecutive failures close the gate for a while, growing from 1 s to 300 s
    (the circuit breaker). The files lie in `folder`; whoever uses the same folder shares the limits.
    """

    def __init__(self, folder: Path, host: str, rate: float | None, concurrent: int, patience: int = 5) -> None:
        name = re.sub(r"[^A-Za-z0-9.-]", "_", host)
        folder.mkdir(parents=True, exist_ok=True)
        self.host = host
        self._state_path = folder / f"{name}.state"
        self._slots = [folder / f"{name}.slot{index}" for index in range(concurrent)]
        # Places of this process: those who wait for one are woken, not left to look again and again.
        self._places = asyncio.Semaphore(concurrent)
        self._held: set[Path] = set()
        self._interval = 1 / rate if rate else 0.0
        self._patience = patience

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free place and for the next moment that the rate and the pauses allow."""
        async with self._places:
            slot, descriptor = await self._take_slot()
            try:
                await self._wait_for_turn()
                yield
            finally:
                os.close(descriptor)
                self._held.discard(slot)

    def succeeded(self) -> None:
        """Note a sound answer: the host is well."""
        if self._read().failures:
            with self._locked() as states:
                states.append(replace(states[0], failures=0.0))

    def failed(self) -> None:
        """Note a failure of the host (5xx, reset, time-out); the gate closes once there are too many in a row."""
        with self._locked() as states:
            if states[0].closed_until > time.time():
                return  # asked before the gate closed: the same trouble, not another
            failures = states[0].failures + 1
            closed_until = 0.0
            if failures >= self._patience:
                pause = min(_FIRST_PAUSE_S * 2 ** (failures - self._patience), _LONGEST_PAUSE_S)
                closed_until = time.time() + pause
            states.append(replace(states[0], failures=failures, closed_until=closed_until))

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while, as the host asked (`Retry-After`)."""
        with self._locked() as states:
            states.append(replace(states[0], closed_until=max(states[0].closed_until, time.time() + seconds)))

    async def _take_slot(self) -> tuple[Path, int]:
        while True:
            for slot in self._slots:
                if slot in self._held:
                    continue
                descriptor = os.open(slot, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    continue
                self._held.add(slot)
                return slot, descriptor
            await asyncio.sleep(_POLL_S)

    async def _wait_for_turn(self) -> None:
        while True:
            now = time.time()
            with self._locked() as states:
                state = states[0]
                # Each place reserves one interval at most: a later time means that the clock was set back.
                if state.next_turn > now + self._interval * (len(self._slots) + 1) + _LONGEST_PAUSE_S:
                    state = replace(state, next_turn=0.0)
                if state.closed_until > now + 24 * 3600:
                    state = replace(state, closed_until=0.0)
                mine = max(now, state.next_turn, state.closed_until)
                states.append(replace(state, next_turn=mine + self._interval))
            wait = mine - time.time()
            if wait <= 0:
                return
            await asyncio.sleep(wait)
            # A pause that came while this one waited counts too.
            if self._read().closed_until <= time.time():
                return

    def _read(self) -> _State:
        try:
            return _State.unpack(self._state_path.read_bytes())
        except FileNotFoundError:
            return _State()

    @contextmanager
    def _locked(self) -> Iterator[list[_State]]:
        """Yield a list with the state; what is appended to it is written back before the lock goes."""
        descriptor = os.open(self._state_path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            states = [_State.unpack(os.pread(descriptor, _State.LAYOUT.size, 0))]
            yield states
            if len(states) > 1:
                os.pwrite(descriptor, states[-1].pack(), 0)
        finally:
            os.close(descriptor)
