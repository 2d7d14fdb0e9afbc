"""The real stages on a disk that fills up: in whichever of them it happens, it is said, and the run goes on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from geotiff_pair import write_pair
from small_disk import enlarge, tmpfs

from catalog.checksums import digest
from catalog.model import Format
from catalog.verify import verify_release
from mapdata.cli import main
from mapdata.recipes import load_recipe
from pipeline.errors import DiskFullError
from pipeline.ledger import FAILED, Ledger
from pipeline.run import Request, run
from pipeline.workspace import Workspace
from stages.tile.encode import TileFormat
from stages.tile.rows import Batch, open_store

pytestmark = pytest.mark.integration

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def build(folder: Path, workspace: Path) -> Mapping[str, bytes]:
    """Run all stages over the pair in `folder`; return the release's files."""
    loaded = load_recipe(folder / "geotiff-pair.yaml")
    assert not run(loaded.stages, Workspace(workspace, create=True), Request(config={})).failures
    release = workspace / "release"
    return {path.relative_to(release).as_posix(): path.read_bytes() for path in release.rglob("*") if path.is_file()}


def blocks(folder: Path) -> int:
    """Return the bytes that a folder takes on disk, a hard link counted once."""
    files = {(stat.st_dev, stat.st_ino): stat.st_blocks for path in folder.rglob("*") if (stat := os.lstat(path))}
    return 512 * sum(files.values())


def test_a_full_disk_is_said_in_every_stage_and_harms_nothing(tmp_path: Path) -> None:
    write_pair(tmp_path / "pair")
    (tmp_path / "geotiff-pair.yaml").write_text((CONFIGS / "geotiff-pair.yaml").read_text())
    expected = build(tmp_path, tmp_path / "expected")
    whole = blocks(tmp_path / "expected")
    disk = tmp_path / "disk"
    where = set()
    with tmpfs(disk, f"size={whole // 10}"):
        for tenths in range(2, 11):
            with pytest.raises(DiskFullError, match=r"no space left|cannot (grow|be written)") as told:
                build(tmp_path, disk / "w")
            assert str(disk / "w") in str(told.value)
            assert "Make room and run again" in str(told.value)
            with Ledger(Workspace(disk / "w").ledger, read_only=True) as ledger:
                assert not ledger.in_states(FAILED)
                where |= {stage for stage, states in ledger.counts().items() if "pending" in states}
            enlarge(disk, str(whole * tenths // 10))
        enlarge(disk, "1g")
        assert build(tmp_path, disk / "w") == expected
    assert {"acquire", "tile", "release"} <= where


def test_an_array_that_finds_no_room_is_said_before_it_is_written(tmp_path: Path) -> None:
    """A write into a mapped file that finds no room would end the process."""
    batch = Batch("001/1", 0, 4, 4, 256)
    with tmpfs(tmp_path / "disk", "size=4m"):
        with (
            pytest.raises(DiskFullError, match=r"disk/tiles/001/1/map/rows-0000.npy: no space left"),
            open_store(tmp_path / "disk", batch, 256, TileFormat.NONE, 90),
        ):
            pass
        assert [path for path in (tmp_path / "disk").rglob("*") if path.is_file()] == []


def mapdata(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command as from a shell; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["mapdata", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def contents(workspace: Path) -> dict[str, str]:
    """Return the digest of every file that is not the engine's own."""
    files = [path for path in workspace.rglob("*") if path.is_file() and "engine" not in path.parts]
    return {path.relative_to(workspace).as_posix(): digest(path) for path in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write_pair(folder / "pair")
    (folder / "geotiff-pair.yaml").write_text((CONFIGS / "geotiff-pair.yaml").read_text())
    build(folder, folder / "w")
    return folder / "w"


@pytest.mark.parametrize(
    "target",
    ["folders", "zarr", "rasters", "cogs", "stac", "footprints", "webdataset", "parquet-shards", "geotiff"],
)
def test_an_export_on_a_full_disk_is_said_and_harms_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    disk, command = tmp_path / "disk", ["export", "--workspace", str(tmp_path / "disk/w"), "--to", target]
    with tmpfs(disk, "size=1g"):
        shutil.copytree(finished, disk / "w")
        before, whole = contents(disk / "w"), blocks(disk)
        for room in (16, 200):  # KiB
            enlarge(disk, str(whole + 1024 * room))
            if mapdata(monkeypatch, *command) == 0:
                break  # some add very little
            said = capsys.readouterr().err
            assert "no space left on its disk" in said
            assert f"error: {disk / 'w' / ('release' if target in {*Format} else target)}" in said
            assert "Make room on its disk and give the same command again" in said
            assert contents(disk / "w") == before
            assert mapdata(monkeypatch, "status", "--workspace", str(disk / "w")) == 0
        else:
            enlarge(disk, "1g")
            assert mapdata(monkeypatch, *command) == 0
        assert verify_release(disk / "w" / "release") == []
        assert mapdata(monkeypatch, "verify", "--workspace", str(disk / "w")) == 0
