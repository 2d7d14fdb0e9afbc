"""Commands beside another that holds the workspace: what writes is refused in words, what reads is not."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from generated_run import run_config, write_config, write_rasters

from catalog.checksums import digest
from mapdata.cli import main
from pipeline.workspace import Workspace

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `run.yaml` and `work`, its finished run of one site."""
    folder = tmp_path_factory.mktemp("held")
    write_rasters(folder, points=1, side=520)
    run_config(write_config(folder, points=1), folder / "work")
    return folder


@pytest.fixture
def held(folder: Path) -> Iterator[Path]:
    with Workspace(folder / "work").lock("a run of somebody else"):
        yield folder


def mapdata(monkeypatch: pytest.MonkeyPatch, arguments: str) -> int:
    """Run a command as from a shell; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["mapdata", *arguments.split()])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def contents(folder: Path) -> dict[str, str]:
    return {str(path): digest(path) for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


@pytest.mark.parametrize(
    "command",
    [
        "run {0}/run.yaml --workspace {0}/work",
        "retry --workspace {0}/work --state done",
        "prune --workspace {0}/work",
        "export --workspace {0}/work --to zarr",
        "export --workspace {0}/work --to geotiff",
        "publish --workspace {0}/work --to {0}/published",
    ],
)
def test_what_writes_is_refused(
    held: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    before = contents(held)
    assert mapdata(monkeypatch, command.format(held)) == 2
    assert f"error: workspace {held}/work is in use by a run of somebody else (process " in capsys.readouterr().err
    assert contents(held) == before


@pytest.mark.parametrize(
    "command",
    [
        "status --workspace {0}/work",
        "verify --workspace {0}/work",
        "plan {0}/run.yaml --workspace {0}/work",
        "prune --dry-run --workspace {0}/work",
    ],
)
def test_what_reads_is_not(held: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    before = contents(held)
    assert mapdata(monkeypatch, command.format(held)) == 0
    assert contents(held) == before


def test_faults_found_beside_a_run_may_be_what_it_replaces(
    held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(held / "work", tmp_path / "work")
    (tmp_path / "work/release/README.md").write_text("half written")
    assert mapdata(monkeypatch, f"verify --workspace {tmp_path}/work") == 1
    assert "is going on" not in capsys.readouterr().err
    with Workspace(tmp_path / "work").lock("mapdata export"):
        assert mapdata(monkeypatch, f"verify --workspace {tmp_path}/work") == 1
    said = capsys.readouterr()
    assert "release/README.md" in said.out
    assert "mapdata export is going on (process " in said.err
    assert "Verify again once it has ended" in said.err
