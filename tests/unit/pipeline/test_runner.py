"""Running a recipe in this process: order, resume by key, failures, retries, `only`."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic_recipe import QUICK, RECIPE, contents

from pipeline import planning
from pipeline import run as pipeline_run
from pipeline.attempt import Attempt, Failure, Kind, attempt
from pipeline.config import load_config
from pipeline.errors import DiskFullError, PipelineError
from pipeline.forecast import forecast
from pipeline.ledger import Ledger, State
from pipeline.leftovers import find_leftovers, remove_leftovers
from pipeline.report import failure_json
from pipeline.run import Request, Summary, run
from pipeline.stage import Stage, Unit
from pipeline.verification import verify_outputs
from pipeline.workspace import Workspace

pytestmark = pytest.mark.unit


class Runs:
    """Runs the synthetic recipe in one workspace, with whatever parameters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = Workspace(folder / "workspace", create=True)

    def stages(self, stages: dict[str, Any], seed: int = 0) -> list[Any]:
        path = self.folder / "run.yaml"
        path.write_text(yaml.safe_dump({"name": "test", "seed": seed, "stages": stages}))
        return list(load_config(path, RECIPE).stages)

    def __call__(self, seed: int = 0, only: tuple[str, ...] = (), **stages: Any) -> Summary:
        request = Request({"stages": stages}, seed, only, policy=QUICK)
        return run(self.stages(stages, seed), self.place, request)

    def ended(self) -> dict[tuple[str, str], str]:
        """Return key and number of attempts of each planned unit: one or the other changes when it is done again."""
        with Ledger(self.place.ledger, read_only=True) as ledger:
            return {
                (stage, name): f"{record.key} {record.attempts}"
                for stage in ledger.stages()
                for name, record in ledger.records(stage).items()
                if record.planned
            }


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_a_run_makes_everything_and_records_what_it_ran_with(runs: Runs, tmp_path: Path) -> None:
    summary = runs(list={"count": 6})
    assert summary.counts == {
        "list": {State.DONE: 1},
        "draw": {State.DONE: 6},
        "pack": {State.DONE: 2},
        "publish": {State.DONE: 1},
    }
    assert len(contents(runs.place.root)) == 1 + 12 + 2 + 1
    (record,) = runs.place.runs.glob("*.json")
    saved = json.loads(record.read_text())
    assert saved["outcome"] == "ended"
    assert saved["config"] == {"stages": {"list": {"count": 6}}}
    assert saved["packages"]["pydantic"]


def test_a_second_run_does_nothing(runs: Runs) -> None:
    runs(list={"count": 6})
    files, ended = contents(runs.place.root), runs.ended()
    runs(list={"count": 6})
    assert (contents(runs.place.root), runs.ended()) == (files, ended)


def test_records_sort_in_the_order_of_the_runs(runs: Runs) -> None:
    ran = [runs(list={"count": 1}).run_id for _ in range(8)]
    assert [path.stem for path in sorted(runs.place.runs.iterdir())] == ran


def test_records_sort_in_the_order_of_the_runs_also_when_the_clock_is_set(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page for reviewing takes the settings of the latest run. What a clock does changes no state of units."""
    ran, ended = [], []
    for days in (0, -1, 365, -1, 0):

        class Clock(datetime):
            shift = timedelta(days=days)

            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + cls.shift

        for module in ("run", "workspace"):
            monkeypatch.setattr(f"pipeline.{module}.datetime", Clock)
        ran.append(runs(list={"count": 2}).run_id)
        ended.append(runs.ended())
        assert not verify_outputs(runs.place.root, Ledger(runs.place.ledger, read_only=True))[1]
    assert [path.stem for path in sorted(runs.place.runs.iterdir())] == ran
    assert ended == [ended[0]] * 5


def test_a_change_runs_again_only_what_depends_on_it(runs: Runs) -> None:
    runs(list={"count": 6})
    before = runs.ended()
    runs(list={"count": 6}, pack={"batch": 3})
    after = runs.ended()
    assert {unit for unit, ended in before.items() if after.get(unit) == ended} == {("list", "all")} | {
        ("draw", f"{index:03d}") for index in range(6)
    }


def test_units_that_are_no_longer_planned_do_no_harm_and_come_back(runs: Runs, tmp_path: Path) -> None:
    runs(list={"count": 8}, seed=1)
    full = contents(runs.place.root)
    runs(list={"count": 4}, seed=1)
    assert json.loads((runs.place.root / "published/packs.json").read_text()).keys() == {"packs/pack-000.bin"}
    # The list of all drawings is part of every drawing's key, so this draws anew, to the same bytes.
    runs(list={"count": 8}, seed=1)
    assert contents(runs.place.root) == full


def test_a_missing_output_is_made_again(runs: Runs) -> None:
    runs(list={"count": 3})
    files = contents(runs.place.root)
    (runs.place.root / "drawings/001-left.bin").unlink()
    (runs.place.root / "drawings/002-right.bin").write_bytes(b"short")
    with Ledger(runs.place.ledger) as ledger:
        assert [fault.what.partition(" (")[0] for fault in verify_outputs(runs.place.root, ledger)[1]] == [
            "missing",
            "wrong size",
        ]
    runs(list={"count": 3})
    assert contents(runs.place.root) == files


def test_an_output_damaged_in_place_is_told_and_made_again(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    runs(list={"count": 3})
    files, ended = contents(runs.place.root), runs.ended()
    path = runs.place.root / "drawings/001-left.bin"
    path.write_bytes(bytes(path.stat().st_size))
    capsys.readouterr()
    runs(list={"count": 3})
    assert contents(runs.place.root) == files
    told = capsys.readouterr().err
    assert "draw: 1 files are not as they were made, such as drawings/001-left.bin: wrong digest" in told
    changed = {unit for unit, record in runs.ended().items() if record != ended[unit]}
    assert changed <= {("draw", "001"), ("pack", "pack-000"), ("publish", "all")}


def test_files_that_were_touched_or_copied_are_read_once_and_stand(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(list={"count": 3})
    ended = runs.ended()
    for path in runs.place.root.rglob("*.bin"):
        os.utime(path, ns=(1, 1))
    read: list[Path] = []
    digest = planning.digest_file

    def counted(path: Path) -> str:
        read.append(path)
        return digest(path)

    monkeypatch.setattr(planning, "digest_file", counted)
    runs(list={"count": 3})
    assert len(read) == 3 * 2 + 1
    runs(list={"count": 3})
    assert len(read) == 3 * 2 + 1, "now known by its new time"
    assert runs.ended() == ended


def test_damage_that_keeps_size_and_time_is_found_by_verify(runs: Runs) -> None:
    runs(list={"count": 3})
    path = runs.place.root / "drawings/001-left.bin"
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ended = runs.ended()
    runs(list={"count": 3})
    assert runs.ended() == ended
    with Ledger(runs.place.ledger, read_only=True) as ledger:
        assert [fault.path for fault in verify_outputs(runs.place.root, ledger)[1]] == ["drawings/001-left.bin"]


def test_what_left_the_configuration_is_found_and_removed(runs: Runs) -> None:
    runs(list={"count": 8}, pack={"batch": 2})
    mine = runs.place.root / "drawings" / "mine.txt"
    mine.write_text("a person's")
    runs(list={"count": 4}, pack={"batch": 4})
    with Ledger(runs.place.ledger) as ledger:
        found = [leftover.path for leftover in find_leftovers(runs.place, ledger)]
        assert found == [f"drawings/{n:03d}-{side}.bin" for n in range(4, 8) for side in ("left", "right")] + [
            f"packs/pack-{n:03d}.bin" for n in range(1, 4)
        ]
        assert len(remove_leftovers(runs.place, ledger)) == len(found)
        assert find_leftovers(runs.place, ledger) == []
    assert not any((runs.place.root / path).exists() for path in found)
    assert mine.exists()
    expected = Runs(make(runs.folder / "other"))
    expected(list={"count": 4}, pack={"batch": 4})
    mine.unlink()
    assert contents(runs.place.root) == contents(expected.place.root)
    runs(list={"count": 8}, pack={"batch": 2})
    expected(list={"count": 8}, pack={"batch": 2})
    assert contents(runs.place.root) == contents(expected.place.root)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_unit_out_of_the_plan_is_trusted_by_digest_only(runs: Runs) -> None:
    runs(list={"count": 3}, pack={"batch": 1})
    files = contents(runs.place.root)
    runs(list={"count": 3}, pack={"batch": 3})
    # Same size, other bytes: what another unit may have written while pack-002 was not planned.
    (runs.place.root / "packs/pack-002.bin").write_bytes(bytes(len(files["packs/pack-002.bin"])))
    runs(list={"count": 3}, pack={"batch": 1})
    assert contents(runs.place.root) == files


def test_failures_are_gathered_and_the_rest_is_done(runs: Runs) -> None:
    faults = [
        {"drawing": "000", "kind": "permanent"},
        {"drawing": "001", "kind": "unexpected"},
        {"drawing": "002", "kind": "transient"},
        {"drawing": "003", "kind": "transient", "times": 2},
        {"drawing": "004", "kind": "no-data"},
        {"drawing": "005", "kind": "rejected"},
    ]
    summary = runs(list={"count": 7}, draw={"faults": faults, "scratch": "counted"})
    assert summary.counts["draw"] == {
        State.DONE: 2,
        State.NO_DATA: 1,
        State.REJECTED: 1,
        State.FAILED_TRANSIENT: 1,
        State.FAILED_PERMANENT: 2,
    }
    assert summary.counts["publish"] == {State.DONE: 1}
    failures = {failure.name: failure for failure in summary.failures}
    assert failures["002"].attempts == QUICK.attempts
    assert "CRS" in failures["000"].reason
    assert failures["000"].traceback == ""
    assert "ZeroDivisionError" in failures["001"].traceback
    assert "s3cr3t" not in failures["001"].traceback + failures["001"].reason
    remedies = [failure_json(failures[name], "mapdata")["remedy"] for name in ("000", "001", "002")]
    assert ["fix" in remedy for remedy in remedies] == [True, True, False]


def test_transient_failures_are_tried_again_by_the_next_run_permanent_ones_after_retry(runs: Runs) -> None:
    faults = [
        {"drawing": "000", "kind": "permanent", "times": 1},
        {"drawing": "001", "kind": "transient", "times": QUICK.attempts},
    ]
    stages = {"list": {"count": 3}, "draw": {"faults": faults, "scratch": "counted"}}
    assert len(runs(**stages).failures) == 2
    assert [failure.name for failure in runs(**stages).failures] == ["000"]
    with Ledger(runs.place.ledger) as ledger:
        assert ledger.reset([State.FAILED_PERMANENT], None, "*") == [("draw", "000")]
    assert runs(**stages).failures == []


def test_a_full_disk_stops_the_run_and_it_goes_on(runs: Runs) -> None:
    stages = {"list": {"count": 5}, "draw": {"faults": [{"drawing": "002", "kind": "disk-full", "times": 1}]}}
    stages["draw"]["scratch"] = "counted"
    with pytest.raises(DiskFullError, match=r"drawings: no space left \(.* free\).*run again: it goes on"):
        runs(**stages)
    assert "DiskFullError" in next(runs.place.runs.glob("*.json")).read_text()
    with Ledger(runs.place.ledger) as ledger:
        assert ledger.counts()["draw"] == {State.DONE: 2, State.PENDING: 3}
    assert runs(**stages).failures == []


def test_only_runs_the_stage_asked_for(runs: Runs) -> None:
    with pytest.raises(PipelineError, match=r"1 of 1 units of stage list are not done yet.*--only list"):
        runs(only=("draw",), list={"count": 2})
    runs(only=("list",), list={"count": 2})
    summary = runs(only=("draw", "pack"), list={"count": 2})
    assert summary.counts["draw"] == {State.DONE: 2}
    assert summary.counts["pack"] == {State.DONE: 1}
    assert summary.counts["publish"] == {}


def test_two_units_of_one_name_are_refused(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = runs.stages({"list": {"count": 2}})
    planned = stages[0].plan
    monkeypatch.setattr(stages[0], "plan", lambda view: [*planned(view), *planned(view)])
    with pytest.raises(PipelineError, match="several units named 'all'"):
        run(stages, runs.place, Request({}))


def test_the_forecast_is_an_estimate_before_and_exact_after(runs: Runs) -> None:
    stages = runs.stages({"list": {"count": 6}})
    before = forecast(stages, 0, runs.place.root.parent / "not there")
    assert [(row["stage"], row["units"], row["planned"]) for row in before] == [
        ("list", 1, False),
        ("draw", None, False),
        ("pack", None, False),
        ("publish", None, False),
    ]
    assert before[0]["written"] == 120
    assert not (runs.place.root.parent / "not there").exists()
    runs(list={"count": 6}, only=("list",))
    row = forecast(stages, 0, runs.place.root)[1]
    assert (row["units"], row["planned"], row["finished"]) == (6, True, 0)
    runs(list={"count": 6})
    assert [(row["units"], row["finished"]) for row in forecast(stages, 0, runs.place.root)] == [
        (1, 1),
        (6, 6),
        (2, 2),
        (1, 1),
    ]


def test_litter_of_an_interrupted_run_is_swept(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    litter = runs.place.root / "drawings" / ".tmp-123-000-left.bin"
    litter.parent.mkdir()
    litter.write_bytes(b"half")
    runs(list={"count": 1})
    assert not litter.exists()
    assert "removed 1 unfinished" in capsys.readouterr().err


def test_progress_counts_units_on_plain_lines(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    runs(list={"count": 2})
    runs(list={"count": 2}, draw={"faults": [{"drawing": "001", "kind": "permanent"}], "scratch": "counted"})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "list: 1 units"
    assert any(line.startswith("draw: 2/2 units, ") and line.endswith(", 1 failed") for line in lines)
    assert "list: 1 units, 1 done before" in lines


class OneFragileWorker:
    """Has all units in flight on one worker, which dies as soon as one of the deadly ones is among them."""

    deadly = ("draw 002", "draw 005", "draw 006")

    def __init__(self, workspace: Path, run_id: str) -> None:
        self.workspace, self.run_id = workspace, run_id
        self.flight: list[tuple[Stage[Any], Unit]] = []

    def capacity(self) -> int:
        return 4

    def submit(self, stage: Stage[Any], unit: Unit) -> None:
        self.flight.append((stage, unit))

    def ended(self, timeout: float) -> list[tuple[Unit, Attempt]]:
        flight, self.flight = self.flight, []
        if any(f"{unit.stage} {unit.name}" in self.deadly for _, unit in flight):
            return [(unit, Attempt(Failure(Kind.LOST_WORKER, "the worker died"), "the one")) for _, unit in flight]
        return [(unit, attempt(stage, unit, self.workspace, self.run_id)) for stage, unit in flight]


def test_units_that_kill_their_worker_do_not_take_the_others_with_them(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pipeline_run, "_executor", lambda place, run_id, request: nullcontext(OneFragileWorker(place.root, run_id))
    )
    summary = runs(list={"count": 12})
    assert [(failure.name, failure.attempts) for failure in summary.failures] == [
        (name, QUICK.attempts_after_lost_worker) for name in ("002", "005", "006")
    ]
    assert summary.counts["draw"][State.DONE] == 9
