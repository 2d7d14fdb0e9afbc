"""The ledger: states, keys, plans."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pipeline.errors import WorkspaceError
from pipeline.ledger import Ledger, State
from pipeline.stage import Outcome, Output, Result, Unit

pytestmark = pytest.mark.unit

TraceFunction = Callable[[FrameType, str, Any], Any]

A, B, C = (Unit("draw", name, f"key-{name}", {}) for name in "abc")
RESULT = Result((Output("a/b.bin", 3, "00"),), {"x": [1, {"y": None}]})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        opened.set_stages(["list", "draw"])
        opened.replan("draw", [A, B, C], [A, B, C])
        yield opened


def test_it_is_in_wal_mode(ledger: Ledger, tmp_path: Path) -> None:
    assert sqlite3.connect(tmp_path / "ledger.sqlite").execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_result_comes_back_as_it_was(ledger: Ledger) -> None:
    ledger.start([A])
    ledger.finish(A, RESULT, "host:1")
    record = ledger.records("draw")["a"]
    assert (record.state, record.attempts, record.worker, record.result) == (State.DONE, 1, "host:1", RESULT)
    assert record.started is not None
    assert record.ended is not None


def test_results_follow_the_plan_and_leave_out_what_failed(ledger: Ledger) -> None:
    for unit, outcome in ((C, Outcome.DONE), (A, Outcome.REJECTED)):
        ledger.finish(unit, Result(outcome=outcome, reason="r"), "w")
    ledger.fail(B, State.FAILED_PERMANENT, "no CRS", "", "w")
    assert list(ledger.results("draw")) == ["a", "c"]
    assert [(failure.name, failure.reason) for failure in ledger.failures()] == [("b", "no CRS")]
    assert ledger.counts() == {
        "list": {},
        "draw": {State.DONE: 1, State.REJECTED: 1, State.FAILED_PERMANENT: 1},
    }


def test_a_stale_unit_starts_anew_and_others_keep_what_they_had(ledger: Ledger) -> None:
    for unit in (A, B):
        ledger.start([unit])
        ledger.finish(unit, RESULT, "w")
    changed = Unit("draw", "a", "another key", {})
    ledger.replan("draw", [changed, B], [changed])
    records = ledger.records("draw")
    assert (records["a"].state, records["a"].key, records["a"].attempts) == (State.PENDING, "another key", 0)
    assert records["b"].state is State.DONE
    assert records["c"].planned is False
    assert ledger.counts()["draw"] == {State.PENDING: 1, State.DONE: 1}


def test_interrupted_units_are_released(ledger: Ledger) -> None:
    ledger.start([A, B])
    assert ledger.release() == 2
    assert ledger.counts()["draw"] == {State.PENDING: 3}
    assert ledger.records("draw")["a"].attempts == 1, "the attempt happened"


def test_reset_chooses_by_state_stage_and_pattern(ledger: Ledger) -> None:
    for unit in (A, B):
        ledger.fail(unit, State.FAILED_PERMANENT, "broken", "", "w")
    ledger.finish(C, RESULT, "w")
    assert ledger.reset([State.FAILED_PERMANENT], "list", "*") == []
    assert ledger.reset([State.FAILED_PERMANENT], None, "[a-z]") == [("draw", "a"), ("draw", "b")]
    assert ledger.reset([State.DONE], "draw", "c*") == [("draw", "c")]
    assert ledger.counts()["draw"] == {State.PENDING: 3}


def test_stages_that_left_the_recipe_count_no_more(ledger: Ledger) -> None:
    ledger.set_stages(["list"])
    assert ledger.counts() == {"list": {}}


def test_it_can_be_read_while_it_is_written(ledger: Ledger, tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as reader:
        assert reader.counts()["draw"] == {State.PENDING: 3}
        ledger.start([A])
        assert reader.counts()["draw"] == {State.PENDING: 2, State.RUNNING: 1}
        with pytest.raises(WorkspaceError, match="readonly"):
            reader.release()


def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(WorkspaceError, match=r"ledger\.sqlite cannot be used: .*remove it"):
        Ledger(path)


def test_a_ledger_that_is_not_there_yet_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no run has begun"):
        Ledger(tmp_path / "ledger.sqlite", read_only=True)
    sqlite3.connect(tmp_path / "ledger.sqlite").execute("PRAGMA journal_mode = WAL")
    with pytest.raises(WorkspaceError, match="just beginning"):
        Ledger(tmp_path / "ledger.sqlite", read_only=True)


class Stop(BaseException):
    """As a signal raises it, between any two instructions."""


@contextmanager
def stopping_after(instructions: int) -> Iterator[None]:
    """Raise Stop at the given instruction of the Python code that is called inside."""
    left = instructions

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal left
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if left < 0:
            sys.settrace(None)
            raise Stop
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


def test_a_stop_at_any_moment_of_a_write_leaves_the_ledger_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", noise.append)
    stopped = 0
    while True:
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            ledger.replan("draw", [A], [A])
            try:
                with stopping_after(stopped):
                    ledger.start([A])
                break
            except Stop as stop:
                kept = stop  # as it is kept until the command ends: what it holds is finalised when the file is closed
            ledger.release()
            assert ledger.records("draw")["a"].state is State.PENDING
        del kept
        gc.collect()
        assert noise == []
        stopped += 1
    assert stopped > 20
