"""Running a matcher over pairs in a separate process: time limits, crashes and restarts."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from matcher.benchmark import guard
from matcher.benchmark.leakage import refuse_trained
from matcher.benchmark.readers import PairSpec, open_pairs
from matcher.benchmark.rows import FAILED, Outcome, make_row
from matcher.errors import InputError, MatcherUnavailable
from raster.levels import Level, Levels
from raster.strict_json import JsonError, parse_json

START_LIMIT_S = 600.0
"""Loading a matcher may mean reading gigabytes of weights."""

_POLL_S = 0.5
"""The end of a process is seen so often: children that it forked may hold its pipe open."""

_GRACE_S = 10.0
"""A process whose pipe has closed ends within this time."""

_MAX_ANSWER_BYTES = 1 << 20
"""A row has some kilobytes: more than this was not written by the worker, but by the matcher in it."""

_MAX_LOG_BYTES = 64 << 20
"""What a matcher prints is kept up to this size; then it begins anew."""


@dataclass(frozen=True)
class Trial:
    """A matcher on a set of pairs. Equal trials share a process, one after the other.

    Attributes:
        matcher: Name of the matcher.
        pairs: The pairs.
        levels: The levels by name, in their order.
        device: As for `load_matcher`.
        threads: CPU threads. It is fixed, as the last digit of sums depends on it.
        timeout_s: A pair that takes longer is a failure.
        memory_mib: MiB of memory that each process of the matcher may allocate; None for as much as there is.
        identity: Any digest of pairs and weights.
    """

    matcher: str
    pairs: PairSpec
    levels: Mapping[str, Level]
    device: str = "auto"
    threads: int = 1
    timeout_s: float = 120.0
    memory_mib: int | None = None
    identity: str = ""


def run_trial(trial: Trial, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
    """Run a matcher over pairs in a separate process, level by level within each pair.

    The process is kept for the next part of an equal trial, so that small parts take no longer than large ones; it ends
    with this process. Whatever the matcher does beyond loading is a row.

    Args:
        trial: What to run.
        start: Index of the first pair.
        stop: Index behind the last pair; default: all.

    Yields:
        Rows (`matcher.benchmark.rows`).

    Raises:
        MatcherUnavailable: The matcher cannot be loaded.
        InputError: A pair cannot be read or was used to train the matcher.
    """
    pairs = open_pairs(trial.pairs)
    chosen = range(start, len(pairs) if stop is None else min(stop, len(pairs)))
    refuse_trained(trial.matcher, [pairs[index] for index in chosen])
    process = _process_of(trial)
    try:
        for index in chosen:
            for level in trial.levels:
                yield process.ask(index, pairs[index].name, level)
    except BaseException:  # an answer may be under way: the next trial must not take it for its own
        process.stop()
        raise


def _process_of(trial: Trial) -> _Process:
    """Return the process that is there if it is of this trial, else put one in its place."""
    if not _kept or _kept[0].trial != trial:
        for process in _kept:
            process.stop()
        _kept[:] = [_Process(trial)]
    _kept[0].start()
    return _kept[0]


class _Process:
    """A worker, under its guard, that is started anew after a crash or a time-out."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process may write to it)
        self.process: subprocess.Popen[bytes] | None = None
        self.buffer = b""
        self.strange = False  # has something come that is no answer?

    def start(self) -> None:
        """Start the process and wait until the matcher is loaded; nothing where it runs already."""
        if self.process is not None and self.process.poll() is None:
            return
        settings = {
            "pairs": self.trial.pairs.to_json(),
            "matcher": self.trial.matcher,
            "device": self.trial.device,
            "threads": self.trial.threads,
            "levels": Levels(levels=dict(self.trial.levels)).model_dump(),
            "memory_mib": self.trial.memory_mib,
        }
        threads = {name: str(self.trial.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        worker = [sys.executable, "-m", "matcher.benchmark.worker", json.dumps(settings)]
        self.buffer, self.strange = b"", False
        self.process = subprocess.Popen(
            [sys.executable, "-P", guard.__file__, *worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=os.environ | threads,
            start_new_session=True,  # the signals of a terminal are not for it
        )
        answer = self.read(START_LIMIT_S)
        if answer is None or "unavailable" in answer:
            reason = answer["unavailable"] if answer else f"{self.ending(START_LIMIT_S)}: {self.last_line()}"
            self.stop()
            raise MatcherUnavailable(f"{self.trial.matcher} cannot be loaded: {reason}")

    def stop(self) -> None:
        """End the process and all that it started, which may hold its pipes open: nothing more is read from them."""
        process, self.process = self.process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        try:
            process.wait(_GRACE_S)  # the guard sees that its input has closed
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ending(self, limit_s: float) -> str:
        """Return how the process ended that gave no answer within `limit_s`."""
        assert self.process is not None
        if self.strange:
            return "the matcher wrote into the pipe of the answers"
        try:
            status = self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return f"no answer within {limit_s:g} s"
        if status >= 0:
            return f"the process ended with status {status}"
        known = {value.value: value.name for value in signal.Signals}
        return f"the process ended with status {status}, by signal {known.get(-status, 'unknown')}"

    def ask(self, index: int, name: str, level: str) -> dict[str, Any]:
        """Return the row of one pair at one level."""
        self.start()
        process = self.process
        assert process is not None
        assert process.stdin is not None
        identity = {"matcher": self.trial.matcher, "level": level, "pair": name}
        started = time.perf_counter()
        try:
            process.stdin.write(json.dumps({"index": index, "level": level}).encode() + b"\n")
            process.stdin.flush()
            answer = self.read(self.trial.timeout_s)
        except BrokenPipeError:
            answer = None
        wall = time.perf_counter() - started
        if answer is None:
            return self.failure(identity, wall)
        if "broken" in answer:
            raise InputError(answer["broken"])
        return {**identity, **answer, "wall_s": wall}

    def failure(self, identity: dict[str, str], wall: float) -> dict[str, Any]:
        """Return the row of a pair whose process gave no answer; the next one starts a new process."""
        assert self.process is not None
        outcome: Outcome = "timeout"
        reason = f"no answer within {self.trial.timeout_s:g} s"
        if wall < self.trial.timeout_s:
            outcome = "crash"
            reason = f"{self.ending(self.trial.timeout_s)}: {self.last_line()}"[:500]
        self.stop()
        return make_row(identity, outcome, reason, FAILED, wall_s=wall)

    def read(self, limit_s: float) -> dict[str, Any] | None:
        """Return the next answer; None if there is none within the limit, it is none, or the process has ended."""
        assert self.process is not None
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        deadline = time.monotonic() + limit_s
        while b"\n" not in self.buffer:
            self.trim_log()
            ended = self.process.poll() is not None  # before looking: what it wrote last is there by now
            left = deadline - time.monotonic()
            ready, _, _ = select.select([descriptor], [], [], 0.0 if ended else max(0.0, min(left, _POLL_S)))
            piece = os.read(descriptor, 1 << 16) if ready else b""
            self.buffer += piece
            self.strange = len(self.buffer) > _MAX_ANSWER_BYTES
            if self.strange or left <= 0 or (not piece and (ready or ended)):
                return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        try:
            answer = parse_json(line)
        except JsonError:
            answer = None
        self.strange = not isinstance(answer, dict)
        return None if self.strange else answer

    def trim_log(self) -> None:
        """Throw away what the process has written to standard error, where that would fill the disk."""
        if os.fstat(self.log.fileno()).st_blocks * 512 > _MAX_LOG_BYTES:
            self.log.truncate(0)

    def last_line(self) -> str:
        """Return the last line that the process wrote to standard error."""
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - 2000))
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing to standard error"


_kept: list[_Process] = []
"""The one process of this process that is kept, if any."""


def split_pairs(count: int, batch: int) -> Sequence[range]:
    """Return the batches into which pairs are split, each of them a unit of the benchmark.

    Args:
        count: Pairs in all; 0 gives no batch.
        batch: Pairs of a batch, 1 or more; the last may be smaller.

    Returns:
        Ranges of the pairs' positions, in order; none for no pairs.
    """
    return [range(start, min(start + batch, count)) for start in range(0, count, batch)]
