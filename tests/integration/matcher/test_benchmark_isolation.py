"""Matchers of every character in processes of their own: perfect, random, crashing, hanging, lying."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matcher.benchmark.isolation import Trial, run_trial
from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import corner_error
from matcher.benchmark.readers import PairSpec, open_pairs
from matcher.benchmark.rows import ROWS
from matcher.errors import InputError, MatcherUnavailable
from raster.fit import Fit
from raster.levels import LEVELS

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PairSpec:
    """Three pairs of one textured image each with itself, and the matchers on the path of workers."""
    lines = ["name,image0,image1,homography"]
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 256, (25, 30, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), cv2.resize(noise, (240, 200), interpolation=cv2.INTER_CUBIC))
        lines.append(f"p{index},{index}.png,{index}.png,")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    (tmp_path / "marker").write_text("")
    monkeypatch.setenv("PYTHONPATH", f"{SUPPORT}{os.pathsep}{SUPPORT.parents[1]}")
    monkeypatch.setenv("BENCHMARK_TEST_PAIRS", str(tmp_path / "pairs.csv"))
    monkeypatch.setenv("BENCHMARK_TEST_MARKER", str(tmp_path / "marker"))
    return PairSpec(str(tmp_path / "pairs.csv"), "csv")


def _rows(pairs: PairSpec, name: str, levels: Collection[str] = ("aligned",), **more: Any) -> list[dict[str, Any]]:
    return list(
        run_trial(
            Trial(f"strange_matchers:{name}", pairs, {each: LEVELS[each] for each in levels}, device="cpu", **more)
        )
    )


def test_a_perfect_matcher_is_right_everywhere(pairs: PairSpec) -> None:
    rows = _rows(pairs, "Oracle", LEVELS)
    assert [(row["pair"], row["level"]) for row in rows] == [(f"p{n}", level) for n in range(3) for level in LEVELS]
    assert max(row["corner_error_px"] for row in rows) < 0.01
    assert max(row["corner_error_ransac_px"] for row in rows) < 0.01
    assert min(row["accuracy_1px"] for row in rows) == 1.0


def test_an_identity_matcher_errs_exactly_by_what_the_levels_imply(pairs: PairSpec) -> None:
    found = {(row["pair"], row["level"]): row["corner_error_px"] for row in _rows(pairs, "Identity", LEVELS)}
    for source in open_pairs(pairs):
        for level in LEVELS:
            seen = at_level(source.load(), level)
            expected = corner_error(Fit(np.eye(3), np.ones(1, bool)), seen.homography, 240, 200)
            assert found[source.name, level] == pytest.approx(expected, abs=1e-3)


def test_a_random_matcher_never_succeeds_and_is_the_same_twice(pairs: PairSpec) -> None:
    first, second = (_rows(pairs, "Random", ("easy", "hard")) for _ in range(2))
    assert all(row["corner_error_px"] > 10 for row in first)
    timeless = [[{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows] for rows in (first, second)]
    assert timeless[0] == timeless[1]


def test_no_points_at_all_is_a_failure_with_a_reason(pairs: PairSpec) -> None:
    for row in _rows(pairs, "Empty"):
        assert (row["outcome"], row["corner_error_px"], row["rmse_px"]) == ("no model", float("inf"), 20.0)
        assert "0 matches" in row["reason"]


@pytest.mark.parametrize(
    ("name", "outcome", "reason"),
    [
        ("Raising", "error", "RuntimeError: out of ideas"),
        ("NaN", "error", "not finite"),
        ("Lying", "error", "int"),
        ("Exiting", "crash", "status 3: I am leaving"),
        ("Segfault", "crash", "status -11, by signal SIGSEGV"),
        ("Hanging", "timeout", "no answer within 2 s"),
        ("Forking", "timeout", "no answer within 2 s"),
        ("ForkingAndDying", "crash", "status 3"),
        ("Daemon", "timeout", "no answer within 2 s"),
        ("DaemonOfTheDead", "crash", "status -11, by signal SIGSEGV"),
        ("KillingItsGroup", "crash", "status -15, by signal SIGTERM"),
        ("Surrogate", "error", r"half a character: \ud83d"),
        ("Leaving", "crash", "status 0"),
        ("Interrupted", "crash", "KeyboardInterrupt"),
        ("Chatting", "crash", "wrote into the pipe of the answers"),
        ("ChattingInJson", "crash", "wrote into the pipe of the answers"),
        ("ChattingForEver", "crash", "wrote into the pipe of the answers"),
    ],
)
def test_a_failing_pair_is_counted_and_the_others_go_on(pairs: PairSpec, name: str, outcome: str, reason: str) -> None:
    rows = _rows(pairs, name, timeout_s=2.0)
    assert [row["outcome"] for row in rows] == ["matched", outcome, "matched"]
    assert reason in rows[1]["reason"]
    assert rows[1]["corner_error_px"] == float("inf")
    assert rows[2]["corner_error_px"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["Moving", "Scribbling"])
def test_what_a_matcher_does_to_its_folder_and_images_spoils_no_later_pair(
    pairs: PairSpec, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(pairs.path).parent
    monkeypatch.chdir(folder)
    rows = _rows(PairSpec("pairs.csv", "csv"), name, ("aligned", "easy"))
    assert [row["outcome"] for row in rows] == ["matched"] * 6
    assert rows[0]["corner_error_px"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["Forking", "ForkingAndDying", "Daemon", "DaemonOfTheDead", "KillingItsGroup"])
def test_what_a_matcher_started_ends_with_it(pairs: PairSpec, name: str) -> None:
    _rows(pairs, name, timeout_s=2.0)
    assert _marked() == {guard.pid for guard in _guards()} | {_worker().pid}


def test_what_a_matcher_started_ends_with_the_trial(pairs: PairSpec) -> None:
    _rows(pairs, "Session")
    assert len(_marked()) == 3
    _rows(pairs, "Identity")
    assert _marked() == {guard.pid for guard in _guards()} | {_worker().pid}


def test_rows_with_any_message_can_be_written(pairs: PairSpec, tmp_path: Path) -> None:
    table = pa.Table.from_pylist(_rows(pairs, "Surrogate"), ROWS)
    pq.write_table(table, tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 3


def test_memory_beyond_the_limit_is_the_matchers_failure(pairs: PairSpec) -> None:
    rows = _rows(pairs, "Hungry", memory_mib=1500)
    assert [row["outcome"] for row in rows] == ["matched", "error", "matched"]
    assert "MemoryError" in rows[1]["reason"]


def test_a_hanging_matcher_does_not_outlive_a_killed_benchmark(pairs: PairSpec) -> None:
    code = (
        "from matcher.benchmark.isolation import Trial, run_trial\n"
        "from matcher.benchmark.readers import PairSpec\n"
        f"pairs = PairSpec({pairs.path!r}, 'csv')\n"
        "for row in run_trial(Trial('strange_matchers:Hanging', pairs, {'aligned': None}, device='cpu')):\n"
        "    print(row['outcome'], flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as benchmark:
        assert benchmark.stdout is not None
        assert benchmark.stdout.readline() == b"matched\n"
        workers = psutil.Process(benchmark.pid).children(recursive=True)
        assert len(workers) == 2
        benchmark.kill()
    gone, alive = psutil.wait_procs(workers, timeout=300)
    assert not alive, gone


def test_a_matcher_that_cannot_be_loaded_says_why(pairs: PairSpec) -> None:
    with pytest.raises(MatcherUnavailable, match="by signal SIGSEGV"):
        _rows(pairs, "DyingInWarmUp")
    with pytest.raises(MatcherUnavailable, match="OSError: no such weights"):
        _rows(pairs, "Unloadable")
    with pytest.raises(MatcherUnavailable, match="no matcher is called 'roostift'"):
        list(run_trial(Trial("roostift", pairs, {"aligned": None}, device="cpu")))


def test_an_unreadable_pair_stops_the_trial_for_every_matcher_alike(pairs: PairSpec, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"1\.png: not an image"):
        _rows(pairs, "Identity")


def _guards() -> list[psutil.Process]:
    """Return the processes that guard matchers; tests that ran before may have left others that do not."""
    return [child for child in psutil.Process().children() if "guard.py" in " ".join(child.cmdline())]


def _worker() -> psutil.Process:
    """Return the one process that matches."""
    (guard,) = _guards()
    (worker,) = (child for child in guard.children() if "matcher.benchmark.worker" in " ".join(child.cmdline()))
    return worker


def _marked() -> set[int]:
    """Return the processes, whosever children they are, with this test's environment, but this one."""
    mark = os.environ["BENCHMARK_TEST_MARKER"]
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("BENCHMARK_TEST_MARKER") == mark:
                found.add(process.pid)
    return found - {os.getpid()}


def test_parts_of_one_trial_share_a_process_and_another_trial_does_not(pairs: PairSpec) -> None:
    def worker(**more: Any) -> int:
        trial = Trial("strange_matchers:Identity", pairs, {"aligned": None}, device="cpu", **more)
        assert len(list(run_trial(trial, 0, 1))) == 1
        return _worker().pid

    first = worker()
    assert worker() == first
    assert worker(identity="other weights") != first
    assert not psutil.pid_exists(first)


def test_a_trial_given_up_half_way_leaves_no_answer_behind(pairs: PairSpec) -> None:
    trial = Trial("strange_matchers:Identity", pairs, {"aligned": None}, device="cpu")
    given_up = run_trial(trial)
    assert next(given_up)["pair"] == "p0"
    del given_up
    assert [row["pair"] for row in run_trial(trial)] == ["p0", "p1", "p2"]


def test_a_process_that_died_between_two_parts_is_started_again(pairs: PairSpec) -> None:
    trial = Trial("strange_matchers:Identity", pairs, {"aligned": None}, device="cpu")
    assert len(list(run_trial(trial, 0, 1))) == 1
    (guard,) = _guards()
    _worker().kill()
    guard.wait(120)
    assert [row["outcome"] for row in run_trial(trial, 1, 3)] == ["matched", "matched"]


def test_a_part_of_the_pairs(pairs: PairSpec) -> None:
    trial = Trial("strange_matchers:Identity", pairs, {"aligned": None}, device="cpu")
    assert [row["pair"] for row in run_trial(trial, 1, 2)] == ["p1"]
    assert [row["pair"] for row in run_trial(trial, 2, 99)] == ["p2"]
