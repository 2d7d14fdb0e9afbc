"""An alignment that is killed goes on where it was, and ends with the same bytes."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from affine import Affine

from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions
from cartography.opencv_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.styles import named
from pipeline.errors import PermanentError
from pipeline.stage import Unit
from raster.grid import Grid
from stages.align import AlignParams, AlignStage, fine
from stages.align.resume import measured_once, resumable
from stages.rasters import write_raster

pytestmark = pytest.mark.integration

SIDE, GSD = 1024, 0.5
KEY, OTHER_KEY = "0" * 64, "1" * 64


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rasters")
    town, frame = SyntheticScene(5, "town"), Frame(500_000.0, 5_200_000.0, GSD, SIDE, SIDE)
    grid = Grid("EPSG:32632", Affine(GSD, 0, frame.left, 0, -GSD, frame.top), SIDE, SIDE)
    drawn = {
        "map": render_map(town, frame, named("web-light")),
        "visible": render_image(town, frame, Conditions(seed=3), Textures.procedural(GSD)),
    }
    for side, image in drawn.items():
        write_raster(folder / f"{side}.tif", grid, [np.dstack([image, np.full((SIDE, SIDE), 255, np.uint8)])], {})
    return {side: folder / f"{side}.tif" for side in drawn}


def run(rasters: dict[str, Path], workspace: Path) -> None:
    payload: dict[str, Any] = {
        "name": "001/1",
        "missing": [],
        "rasters": {side: {"path": str(path)} for side, path in rasters.items()},
        "tiepoints": [],
    }
    AlignStage(AlignParams()).run(Unit("align", "001/1", KEY, payload), workspace)


def run_and_die(rasters: dict[str, Path], workspace: Path, at_pass: int) -> None:
    """Run, and be killed by SIGKILL in the middle of a pass of windows."""
    with patch.object(fine, "_measure_block", dying(fine._measure_block, at_pass)):
        run(rasters, workspace)


def dying(measure: Callable[..., Any], at_pass: int) -> Callable[..., Any]:
    passes = set()

    def counted(block: Any, layout: Any, features: Any, limits: Any) -> Any:
        passes.add((features.name, layout.corners.tobytes()))
        if len(passes) == at_pass:
            os.kill(os.getpid(), signal.SIGKILL)
        return measure(block, layout, features, limits)

    return counted


def written(workspace: Path) -> dict[str, bytes]:
    folder = workspace / "alignment/001/1"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(rasters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    workspace = tmp_path_factory.mktemp("undisturbed")
    run(rasters, workspace)
    files = written(workspace)
    assert sorted(files) == ["alignment.jpg", "alignment.json", "alignment.parquet", "regions.parquet"]
    return files


def test_a_killed_alignment_measures_no_pass_again(
    rasters: dict[str, Path], undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at_pass in (2, 2):  # each time the second pass of those that are left
        arguments = (rasters, tmp_path, at_pass)
        process = multiprocessing.get_context("spawn").Process(target=run_and_die, args=arguments)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    kept = [name for name in written(tmp_path) if name.startswith(f"measured/{KEY}/")]
    assert len(kept) == 2
    passes = set()
    measure = fine._measure_block

    def counted(block: Any, layout: Any, features: Any, limits: Any) -> Any:
        passes.add((features.name, layout.corners.tobytes()))
        return measure(block, layout, features, limits)

    monkeypatch.setattr(fine, "_measure_block", counted)
    run(rasters, tmp_path)
    assert written(tmp_path) == undisturbed  # nothing kept is left, either
    assert not any(name == "cfog" for name, _ in passes)


def test_what_was_measured_for_another_key_is_not_taken(tmp_path: Path) -> None:
    table, folder = np.arange(12.0).reshape(3, 4), tmp_path / "measured"
    with suppress(KeyboardInterrupt), resumable(folder, OTHER_KEY):
        measured_once(b"what", lambda: table)
        raise KeyboardInterrupt
    assert (folder / OTHER_KEY).is_dir()
    with resumable(folder, KEY):
        np.testing.assert_array_equal(measured_once(b"what", lambda: table + 1), table + 1)
        assert not (folder / OTHER_KEY).exists()


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[:200], lambda content: content[:-1] + b"?"]
)
def test_what_is_damaged_is_measured_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    table = np.arange(12.0).reshape(3, 4)
    folder = tmp_path / "measured"
    with suppress(KeyboardInterrupt), resumable(folder, KEY):
        measured_once(b"what", lambda: table)
        raise KeyboardInterrupt
    (path,) = (folder / KEY).iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with resumable(folder, KEY):
        np.testing.assert_array_equal(measured_once(b"what", lambda: table), table)
        np.testing.assert_array_equal(measured_once(b"what", lambda: table + 1), table)
    assert not folder.exists()


def test_nothing_is_kept_of_a_site_that_failed_for_good(tmp_path: Path) -> None:
    with suppress(PermanentError), resumable(tmp_path / "measured", KEY):
        measured_once(b"what", lambda: np.zeros((1, 8)))
        raise PermanentError("no raster")
    assert not (tmp_path / "measured").exists()


def test_a_folder_that_another_try_removes_does_no_harm(tmp_path: Path) -> None:
    def measure() -> np.ndarray:
        shutil.rmtree(tmp_path / "measured", ignore_errors=True)
        return np.ones((2, 8))

    with resumable(tmp_path / "measured", KEY):
        assert measured_once(b"what", measure).sum() == 16


def test_it_goes_on_where_the_picture_was_not_written(
    rasters: dict[str, Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with patch("stages.align.evidence.write_picture", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        run(rasters, tmp_path)
    with patch.object(fine, "_measure_block", side_effect=AssertionError("measured again")):
        run(rasters, tmp_path)
    assert written(tmp_path) == undisturbed
