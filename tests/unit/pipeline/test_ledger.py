"""The ledger: states, keys, plans."""

from __future__ import annotations

import gc
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

from pipeline import filesystem
from pipeline.errors import WorkspaceError
from pipeline.ledger import Ledger, State
from pipeline.stage import Outcome, Output, Result, Unit

pytestmark = pytest.mark.unit

TraceFunction = Callable[[FrameType, str, Any], Any]

A, B, C = (Unit("draw", name, f"key-{name}", {}) for name in "abc")
RESULT = Result((Output("a/b.bin", 3, "00"),), {"x": [1, {"y": None}]})


@pytest.fixture(params=["ext4", "nfs4"])
def ledger(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Return a ledger on the disk of this machine, and one that takes its disk for one over a network."""
    monkeypatch.setattr(filesystem, "filesystem_type", lambda path: request.param)
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        opened.set_stages(["list", "draw"])
        opened.replan("draw", [A, B, C], [A, B, C])
        yield opened


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        ((mode,),) = database.execute("PRAGMA journal_mode").fetchall()
    return str(mode)


def test_its_journal_fits_the_file_system(ledger: Ledger, tmp_path: Path) -> None:
    shared = filesystem.filesystem_type(tmp_path) == "nfs4"
    assert journal_mode(tmp_path / "ledger.sqlite") == ("delete" if shared else "wal")
    assert (tmp_path / "ledger.sqlite-shm").exists() is not shared, "what processes would have to share"


def test_a_ledger_that_moves_to_a_network_file_system_and_back_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, mode in (("ext4", "wal"), ("nfs4", "delete"), ("", "delete"), ("xfs", "wal")):
        monkeypatch.setattr(filesystem, "filesystem_type", lambda path, kind=kind: kind)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            if kind == "ext4":
                ledger.set_stages(["draw"])
                ledger.replan("draw", [A], [A])
                ledger.finish(A, RESULT, "w")
            assert ledger.results("draw") == {"a": RESULT}
            with Ledger(tmp_path / "ledger.sqlite", read_only=True) as reader:
                assert reader.results("draw") == {"a": RESULT}
        assert journal_mode(tmp_path / "ledger.sqlite") == mode


def test_the_type_of_a_file_system_comes_from_the_deepest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    deep = tmp_path / "a b"
    escaped = str(deep).replace(" ", "\\040")
    mounts.write_text(
        f"/dev/vda / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\ntmpfs {tmp_path}/old tmpfs rw 0 0\n"
        f"//s/y {tmp_path}/old cifs rw 0 0\n"
    )
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    assert filesystem.filesystem_type(deep / "c") == "nfs4"
    assert filesystem.filesystem_type(tmp_path / "a") == "ext4"
    assert filesystem.filesystem_type(tmp_path / "old") == "cifs"
    assert not filesystem.is_local(deep)
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "none")
    assert not filesystem.is_local(tmp_path)


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
    with pytest.raises(WorkspaceError, match=r"ledger\.sqlite cannot be used: .*remove ledger\.sqlite and"):
        Ledger(path)


def _flipped(data: bytearray, random: Random) -> None:
    for _ in range(random.choice([1, 5, 50])):
        data[random.randrange(len(data))] = random.randrange(256)


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(1, len(data)) :]


def _zeroed(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) - 512)
    data[start : start + random.choice([512, 4096])] = bytes(512)


@pytest.mark.parametrize("damage", [_flipped, _cut, _zeroed])
def test_whatever_the_damage_it_is_named_or_harmless(
    tmp_path: Path, damage: Callable[[bytearray, Random], None]
) -> None:
    units = [Unit("draw", f"{index:03d}", f"key {index}", {}) for index in range(120)]
    whole = tmp_path / "whole.sqlite"
    with Ledger(whole) as ledger:
        ledger.set_stages(["draw"])
        ledger.replan("draw", units, units)
        for unit in units[:100]:
            ledger.finish(unit, RESULT, "w")
        ledger.fail(units[100], State.FAILED_PERMANENT, "no CRS", "trace", "w")
    seed = random.randrange(10_000)
    print(f"random seed {seed}")
    messages: list[str] = []
    for number in range(40):
        data = bytearray(whole.read_bytes())
        damage(data, Random(seed + number))
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(data)
        for read_only in (True, False):
            try:
                with Ledger(path, read_only=read_only) as ledger:
                    for stage in ledger.stages():
                        ledger.records(stage), ledger.results(stage), ledger.counts(), ledger.failures()
                    if not read_only:
                        ledger.set_stages(["draw"])
                        ledger.replan("draw", units, units[:3])
                        ledger.finish(units[0], RESULT, "w")
            except WorkspaceError as error:
                messages.append(str(error))
    assert len(messages) > 10
    assert all(".sqlite cannot be used: " in message or "just beginning" in message for message in messages)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE units SET state = 'finished'",
        "UPDATE units SET result = '{'",
        "UPDATE units SET result = '{}'",
        "UPDATE units SET result = '[]'",
        "UPDATE units SET result = x'ff'",
        "ALTER TABLE units DROP COLUMN reason",
        "DROP TABLE stages",
    ],
)
def test_rows_that_make_no_sense_are_named(ledger: Ledger, tmp_path: Path, statement: str) -> None:
    ledger.finish(A, RESULT, "w")
    other = sqlite3.connect(tmp_path / "ledger.sqlite")
    other.execute(statement)
    other.commit()
    other.close()
    with (
        Ledger(tmp_path / "ledger.sqlite", read_only=True) as damaged,
        pytest.raises(WorkspaceError, match=r"cannot be used: .*remove ledger\.sqlite"),
    ):
        damaged.counts(), damaged.results("draw"), damaged.records("draw")


def test_a_ledger_that_is_not_there_yet_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no run has begun"):
        Ledger(tmp_path / "ledger.sqlite", read_only=True)
    sqlite3.connect(tmp_path / "ledger.sqlite").execute("PRAGMA journal_mode = WAL")
    with pytest.raises(WorkspaceError, match="just beginning"):
        Ledger(tmp_path / "ledger.sqlite", read_only=True)


def test_a_ledger_of_an_earlier_version_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.set_stages(["draw"])
        ledger.replan("draw", [A], [A])
        ledger.finish(A, RESULT, "w")
    with closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE facts; DROP TABLE digests; DROP TABLE replaced;")
    with Ledger(path, read_only=True) as ledger:
        assert ledger.results("draw") == {"a": RESULT}
        assert ledger.known_digests() == {}
        assert ledger.leftovers() == []
    changed = Unit("draw", "a", "another key", {}, facts={"licence": "CC0-1.0"})
    with Ledger(path) as ledger:
        ledger.replan("draw", [changed], [changed])
        assert ledger.leftovers() == [("draw", "a", "a/b.bin")]
        ledger.finish(changed, RESULT, "w")
        assert ledger.results("draw")["a"].data == {**RESULT.data, "licence": "CC0-1.0"}
        assert ledger.leftovers() == []


def test_facts_are_those_of_the_latest_plan(ledger: Ledger) -> None:
    for facts in ({"licence": "CC0-1.0"}, {"licence": "MIT"}, {}):
        unit = Unit("draw", "a", "key-a", {}, facts=facts)
        ledger.replan("draw", [unit, B, C], [])
        ledger.finish(A, RESULT, "w")
        assert ledger.results("draw")["a"].data == {**RESULT.data, **facts}


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    noise: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", noise.append)
    # A collection during the write would run callbacks of other libraries, whose instructions are not the ledger's.
    gc.disable()
    request.addfinalizer(gc.enable)
    # What other tests have left is not looked through by every collection below.
    gc.freeze()
    request.addfinalizer(gc.unfreeze)
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
