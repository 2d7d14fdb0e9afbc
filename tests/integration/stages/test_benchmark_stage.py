"""The benchmark as stages of the engine: any number of workers, resumed, from the command line, on real pairs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mapdata.cli import build_app
from pipeline.errors import PipelineError
from pipeline.run import Request, Summary, run
from pipeline.stage import RunView
from pipeline.workspace import Workspace
from stages.benchmark import BenchmarkParams, BenchmarkStage
from stages.leaderboard import LeaderboardParams, LeaderboardStage

pytestmark = pytest.mark.integration


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Five pairs of a textured image and a paler, noisy copy."""
    lines = ["name,image0,image1,homography"]
    for index in range(5):
        generator = np.random.default_rng(index)
        image = cv2.resize(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8), (256, 256))
        noisy = np.clip(image * 0.6 + 60 + generator.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}_0.png"), image)
        cv2.imwrite(str(tmp_path / f"{index}_1.png"), noisy)
        lines.append(f"p{index},{index}_0.png,{index}_1.png,")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    return tmp_path / "pairs.csv"


def _measure(pairs: Path, out: Path, workers: int, **more: Any) -> Summary:
    given = {"matchers": ("rootsift",), "levels": ("aligned", "normal"), "device": "cpu"} | more
    stages = [
        BenchmarkStage(BenchmarkParams(pairs=pairs, layout="csv", **given)),
        LeaderboardStage(LeaderboardParams()),
    ]
    return run(stages, Workspace(out, create=True), Request(config={}, workers=workers))


def _numbers(out: Path) -> dict[str, Any]:
    results = json.loads((out / "benchmark/results.json").read_text())
    del results["environment"]
    for entry in results["entries"]:
        del entry["seconds"]
    return results


def test_the_number_of_workers_changes_no_digit(pairs: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        assert not _measure(pairs, tmp_path / f"out{workers}", workers, batch=3).failures
    assert _numbers(tmp_path / "out0") == _numbers(tmp_path / "out2")
    entries = _numbers(tmp_path / "out0")["entries"]
    assert {(entry["matcher"], entry["level"], entry["pairs"]) for entry in entries} == {
        ("rootsift", level, 5) for level in ("aligned", "normal")
    }
    aligned = next(entry for entry in entries if (entry["matcher"], entry["level"]) == ("rootsift", "aligned"))
    assert aligned["figures"]["success_10px"]["value"] > 0.5


def test_it_goes_on_where_it_was(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _measure(pairs, out, 0, matchers=("akaze",), batch=3)
    first = {path: path.stat().st_mtime_ns for path in (out / "benchmark/rows").rglob("*.parquet")}
    assert len(first) == 2
    _measure(pairs, out, 0, matchers=("akaze", "rootsift"), batch=3)
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert {entry["matcher"] for entry in _numbers(out)["entries"]} == {"akaze", "rootsift"}


def test_a_matcher_that_cannot_be_loaded_leaves_the_others_measured(pairs: Path, tmp_path: Path) -> None:
    summary = _measure(pairs, tmp_path / "out", 0, matchers=("akaze", "vismatch:no-such-model"), batch=5)
    assert [record.name for record in summary.failures] == ["vismatch:no-such-model/aligned+normal/000000"]
    assert {entry["matcher"] for entry in _numbers(tmp_path / "out")["entries"]} == {"akaze"}


def test_without_names_all_matchers_are_tried_whose_weights_are_there(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matcher.registry.SHIPPED", tmp_path)

    def planned(*matchers: str) -> dict[str, str]:
        params = BenchmarkParams(pairs=pairs, layout="csv", matchers=matchers or None, batch=5)
        return {unit.payload["matcher"]: unit.key for unit in BenchmarkStage(params).plan(RunView(tmp_path, 0, {}))}

    assert {"rootsift", "akaze", "xfeat", "cfog"} <= planned().keys()
    assert not {"mapglue", "fast-mapglue"} & planned().keys()
    asked = planned("mapglue")
    (tmp_path / "mapglue.safetensors").write_bytes(b"weights")
    assert "mapglue" in planned()
    trained = planned("mapglue")
    (tmp_path / "mapglue.safetensors").write_bytes(b"better weights")
    again = planned("mapglue")
    (tmp_path / "feature-map.safetensors").write_bytes(b"weights that every network uses")
    keys = [plan["mapglue"] for plan in (asked, trained, again, planned("mapglue"))]
    assert len(set(keys)) == 4, "measured anew"


def test_units_are_small_and_not_many(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not read while planning")
    for count, units in ((5, 2), (300, 75), (1000, 67)):
        lines = [f"n{n},a.png,a.png," for n in range(count)]
        (tmp_path / "pairs.csv").write_text("\n".join(["name,image0,image1,homography", *lines]))
        params = BenchmarkParams(pairs=tmp_path / "pairs.csv", layout="csv", matchers=("akaze",))
        plan = BenchmarkStage(params).plan(RunView(tmp_path, 0, {}))
        assert len(plan) == units
        assert sum(unit.weight for unit in plan) == count


def test_a_release_that_is_not_there_yet_plans_nothing(tmp_path: Path) -> None:
    assert BenchmarkStage(BenchmarkParams()).plan(RunView(tmp_path, 0, {})) == []
    assert LeaderboardStage(LeaderboardParams()).plan(RunView(tmp_path, 0, {"benchmark": {}})) == []


def test_wrong_sets_and_levels_are_told_before_anything_runs(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no level is called 'eazy'; there are: aligned, easy"):
        _measure(pairs, tmp_path / "a", 0, levels=("eazy",))
    with pytest.raises(PipelineError, match="not a CSV"):
        _measure(tmp_path / "gone.csv", tmp_path / "b", 0)


def test_the_command_measures_real_pairs(shared_data: Path, tmp_path: Path) -> None:
    command = ["benchmark", "--pairs", str(shared_data / "pairs/srif/Optical-Optical"), "--layout", "srif"]
    command += ["--subset", "development", "--limit", "2", "--matcher", "akaze", "--level", "easy", "--workers", "0"]
    done = CliRunner().invoke(build_app(), [*command, "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["set"]["name"] == "Optical-Optical, development"
    rows = pq.read_table(tmp_path / "out/benchmark/rows/akaze/easy/000000.parquet").to_pylist()
    assert [row["pair"] for row in rows] == ["Optical-Optical/1", "Optical-Optical/4"]
    assert (tmp_path / "out/benchmark/report.html").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either CONFIG"),
        (["--pairs", "x"], "--pairs needs --out"),
        (["--pairs", "x", "--out", "y", "--layout", "tar"], "--layout"),
        (["config.yaml"], "CONFIG needs --workspace"),
    ],
)
def test_wrong_use_of_the_command_is_status_2(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(build_app(), ["benchmark", *arguments])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_stopped_benchmark_says_so_and_goes_on(pairs: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mapdata", "benchmark", "--pairs", str(pairs), "--layout", "csv", "--workers", "0"]
    command += ["--matcher", "rootsift", "--level", "aligned", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert running.stderr.readline().startswith("benchmark: 2 units")
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
    assert running.returncode == 130
    assert rest.splitlines()[-1] == "stopped; what has ended is kept, the same command goes on where it was"
    assert "Traceback" not in rest
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
