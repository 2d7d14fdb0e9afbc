"""Results accumulate in a folder and join across folders; rows that cannot be are refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mapdata.cli import build_app

pytestmark = pytest.mark.integration

MINE = """
import numpy as np
from matcher.types import Matcher, Matches

class Mine(Matcher):
    name = "my own"

    def correspond(self, image0, image1):
        at = np.stack(np.meshgrid(np.arange(0, 200, 20), np.arange(0, 200, 20)), -1).reshape(-1, 2)
        return Matches(at, at, np.ones(len(at)))
"""


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two pairs of an image and itself."""
    lines = ["name,image0,image1,homography"]
    for index in range(2):
        image = np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), cv2.resize(image, (200, 200)))
        lines.append(f"p{index},{index}.png,{index}.png,")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    return tmp_path / "pairs.csv"


def run(*arguments: str | Path, status: int = 0) -> str:
    done = CliRunner().invoke(build_app(), ["benchmark", *map(str, arguments)])
    if status == 0:
        assert done.exit_code == 0, done.output + repr(done.exception)
    else:
        assert done.exit_code != 0
        return done.output + str(done.exception)
    return done.stdout


def measure(pairs: Path, out: Path, matcher: str, *levels: str) -> dict[tuple[str, str], Any]:
    chosen = [word for level in levels for word in ("--level", level)]
    common = ["--pairs", pairs, "--layout", "csv", "--workers", "0", "--json"]
    results = json.loads(run(*common, "--matcher", matcher, *chosen, "--out", out))
    return {(entry["matcher"], entry["level"]): entry for entry in results["entries"]}


def test_one_more_matcher_or_level_leaves_the_others_in_the_report(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")])))
    out = tmp_path / "out"
    measure(pairs, out, "akaze", "aligned")
    measure(pairs, out, "akaze", "easy")
    found = measure(pairs, out, "mine:Mine", "aligned")
    assert found.keys() == {("akaze", "aligned"), ("akaze", "easy"), ("mine:Mine", "aligned")}
    assert found["mine:Mine", "aligned"]["name"] == "my own (mine:Mine)"
    assert found["mine:Mine", "aligned"]["figures"]["success_3px"]["value"] == 1.0
    assert "| my own (mine:Mine) |" in (out / "benchmark/leaderboard.md").read_text()
    row = pq.read_table(next((out / "benchmark/rows").rglob("mine*/aligned/*.parquet"))).to_pylist()[0]
    assert np.allclose(np.reshape(row["truth"], (3, 3)), np.eye(3))
    assert (row["width"], row["height"], row["name"]) == (200, 200, "my own")


def test_folders_of_the_same_pairs_join_and_stay_joined(pairs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (*tmp_path.glob("*.png"), pairs):
        shutil.copy(path, elsewhere)
    measure(pairs, tmp_path / "a", "akaze", "easy")
    measure(elsewhere / "pairs.csv", tmp_path / "b", "rootsift", "easy", "aligned")
    shutil.rmtree(elsewhere)  # results of another machine, whose paths are not here
    merged = json.loads(run("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "all", "--json"))
    names = {(entry["matcher"], entry["level"]) for entry in merged["entries"]}
    assert names == {("akaze", "easy"), ("rootsift", "easy"), ("rootsift", "aligned")}
    (comparison,) = merged["comparisons"]
    assert (comparison["level"], comparison["first"], comparison["second"]) == ("easy", "akaze", "rootsift")
    assert "<img" in (tmp_path / "all/benchmark/report.html").read_text()
    assert measure(pairs, tmp_path / "all", "akaze", "aligned").keys() == names | {("akaze", "aligned")}


def test_what_cannot_be_is_refused(pairs: Path, tmp_path: Path) -> None:
    measure(pairs, tmp_path / "a", "akaze", "aligned")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    file = next((tmp_path / "b/benchmark/rows").rglob("*.parquet"))
    table = pq.read_table(file)
    flattering = pa.array([0.001] * table.num_rows)
    index = table.schema.get_field_index("corner_error_px")
    pq.write_table(table.set_column(index, table.schema.field(index), flattering), file)
    assert "says 0.001 px, its homographies give" in run(
        "merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "all", status=1
    )
    index = table.schema.get_field_index("truth")
    moved = pa.array([[1.0, 0, 5, 0, 1, 0, 0, 0, 1]] * table.num_rows, table.schema.field(index).type)
    pq.write_table(table.set_column(index, table.schema.field(index), moved), file)
    assert "is not that of other matchers' rows" in run(
        "merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "all", status=1
    )
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((200, 200, 3), np.uint8))
    measure(pairs, tmp_path / "c", "akaze", "aligned")
    message = run("merge", tmp_path / "a", tmp_path / "c", "--out", tmp_path / "all", status=1)
    assert "was measured on other pairs" in message
    assert "has no rows" in run("merge", tmp_path / "all", "--out", tmp_path / "x", status=1)
    assert "is one of the folders" in run("merge", tmp_path / "a", "--out", tmp_path / "a", status=1)
