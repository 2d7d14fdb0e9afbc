"""The commands on a workspace: what they print and their exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic_recipe import QUICK, RECIPE
from typer.testing import CliRunner

from mapdata import cli
from mapdata.recipes import DEFAULT, RECIPES
from pipeline.config import load_config
from pipeline.ledger import Record, State
from pipeline.report import Program, print_summary
from pipeline.run import Request, Summary, run
from pipeline.workspace import Workspace

pytestmark = pytest.mark.unit

FAULTS = [{"drawing": "000", "kind": "permanent", "times": 1}, {"drawing": "001", "kind": "no-data"}]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with one failed unit, one without data and some done."""
    path = tmp_path / "run.yaml"
    stages = {"list": {"count": 4}, "draw": {"faults": FAULTS, "scratch": "counted"}}
    path.write_text(yaml.safe_dump({"name": "test", "stages": stages}))
    loaded = load_config(path, RECIPE)
    run(loaded.stages, Workspace(tmp_path / "w", create=True), Request(loaded.resolved, policy=QUICK))
    return tmp_path / "w"


def mapdata(*arguments: str | Path, status: int = 0) -> str:
    result = CliRunner().invoke(cli.build_app(), list(map(str, arguments)))
    assert result.exit_code == status, result.output + repr(result.exception)
    return result.stdout


def mapdata_json(*arguments: str | Path, status: int = 0) -> Any:
    return json.loads(mapdata(*arguments, "--json", status=status))


def test_status_counts_and_says_what_to_do(workspace: Path) -> None:
    found = mapdata_json("status", "--workspace", workspace)
    assert found["stages"]["draw"] == {"done": 2, "no-data": 1, "failed-permanent": 1}
    assert found["in_use_by"] is None
    (failure,) = found["failures"]
    assert (failure["stage"], failure["name"]) == ("draw", "000")
    assert "mapdata retry" in failure["remedy"]
    text = mapdata("status", "--workspace", workspace)
    assert "no-data" in text
    assert "no run is going on" in text


def test_retry_sets_back_what_was_asked_for(workspace: Path) -> None:
    assert mapdata_json("retry", "--workspace", workspace, "--stage", "draw", "--unit", "9*")["reset"] == []
    assert "no stage 'drwa'" in CliRunner().invoke(
        cli.build_app(), ["retry", "--workspace", str(workspace), "--stage", "drwa"]
    ).stderr.replace("\n", " ")
    assert "draw 000" in mapdata("retry", "--workspace", workspace)
    assert mapdata_json("retry", "--workspace", workspace, "--state", "no-data")["reset"] == [
        {"stage": "draw", "unit": "001"}
    ]
    assert mapdata_json("status", "--workspace", workspace)["stages"]["draw"] == {"pending": 2, "done": 2}


def test_reasons_and_remedies_are_neither_cut_nor_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    path = f"/data/{'a-long-name/' * 12}visible.tif"
    reason = f"{path}: this [file] is damaged"
    record = Record("acquire", "001/1/map", "key", State.FAILED_PERMANENT, True, 1, reason, "", "", None, None, None)
    print_summary(Summary("id", {"acquire": {State.FAILED_PERMANENT: 1}}, [record], 1.0), tmp_path, Program("mapdata"))
    shown = capsys.readouterr().out
    assert "acquire 001/1/map: failed-permanent after 1 try" in shown
    assert f"  {reason}\n  -> fix what the reason names, then `mapdata retry` and run again\n" in shown


def test_verify_finds_what_changed(workspace: Path) -> None:
    found = mapdata_json("verify", "--workspace", workspace)
    assert (found["files"], found["faults"], found["release"]) == (1 + 4 + 1 + 1, [], False)
    path = workspace / "drawings" / "002-left.bin"
    path.write_bytes(bytes(path.stat().st_size))
    (fault,) = mapdata_json("verify", "--workspace", workspace, status=1)["faults"]
    assert (fault["path"], fault["what"]) == ("drawings/002-left.bin", "wrong digest")
    assert fault["remedy"].startswith(f"mapdata retry --workspace {workspace} --state done --stage draw --unit '002'")


def test_prune_removes_what_status_lists(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "fewer.yaml"
    path.write_text(yaml.safe_dump({"name": "test", "stages": {"list": {"count": 3}}}))
    loaded = load_config(path, RECIPE)
    run(loaded.stages, Workspace(workspace), Request(loaded.resolved, policy=QUICK))
    left = [entry["path"] for entry in mapdata_json("status", "--workspace", workspace)["leftovers"]]
    assert left == ["drawings/003-left.bin", "drawings/003-right.bin"]
    assert "2 files (39.1 KiB) belong to no unit" in mapdata("status", "--workspace", workspace)
    assert "would be removed" in mapdata("prune", "--workspace", workspace, "--dry-run")
    assert [entry["path"] for entry in mapdata_json("prune", "--workspace", workspace)["files"]] == left
    assert not any((workspace / path).exists() for path in left)
    assert mapdata_json("status", "--workspace", workspace)["leftovers"] == []
    assert mapdata_json("verify", "--workspace", workspace)["faults"] == []


def test_every_command_shows_an_example() -> None:
    def commands(command: Any, path: tuple[str, ...] = ()) -> Any:
        for name, child in getattr(command, "commands", {}).items():
            yield from commands(child, (*path, name))
        if not getattr(command, "commands", None):
            yield path

    import typer

    found = list(commands(typer.main.get_command(cli.build_app())))
    assert ("run",) in found
    assert ("config", "check") in found
    for path in found:
        text = re.sub(r"\s+", " ", mapdata(*path, "--help"))
        assert re.search(rf"Examples?:.*mapdata {' '.join(path)}", text), (
            f"no example in mapdata {' '.join(path)} --help"
        )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mapdata.cli import build_app; build_app();"
        "print({'torch', 'cv2', 'rasterio', 'distributed', 'pyarrow', 'mapnik'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "--workspace", "nowhere"], "is not a workspace"),
        (["config", "check", "none.yaml"], "none.yaml: cannot be read"),
        (
            ["run", "wrong.yaml", "--workspace", "w"],
            "wrong.yaml:2:1: seeds: there is no such field; did you mean 'seed'?",
        ),
        (["run"], "Missing argument"),
        (["rnu"], "No such command"),
    ],
)
def test_wrong_use_is_told_in_one_message(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "wrong.yaml").write_text("name: demo\nseeds: 3\n")
    ended = subprocess.run(
        [sys.executable, "-m", "mapdata", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "w").exists(), "nothing is made before the configuration is valid"


def test_every_stage_of_the_recipe_describes_itself() -> None:
    for stage in RECIPES.get(DEFAULT).stages:
        assert stage.__doc__, f"{stage.name} has no docstring"
