"""What makes rasters due again: other pixels do; words about them, their place on the disk and its times do not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from geotiff_pair import VISIBLE, ground, write_geotiff

from pipeline.ledger import Ledger
from raster.grid import Grid

pytestmark = pytest.mark.integration

GRID = Grid(VISIBLE.crs, VISIBLE.transform, 600, 560)


def picture() -> Any:
    y, x = np.mgrid[: GRID.height, : GRID.width]
    return ground(*GRID.to_world(np.stack([x.ravel(), y.ravel()], 1)).T).reshape(GRID.height, GRID.width, 3)


class Run:
    """A run on files in a folder of its own, and what became of its units."""

    def __init__(self, folder: Path, workspace: Path) -> None:
        self.folder, self.workspace = folder, workspace
        folder.mkdir()
        for name in ("map", "visible"):
            write_geotiff(folder / f"{name}.tif", GRID, picture())
        self.write()

    def write(self, **changes: dict[str, Any]) -> None:
        words = {"source": "made up", "licence": "CC0-1.0", "attribution": "nobody", "date": "2026-01-01"}
        sources = {name: {"kind": "geotiff", "path": f"{name}.tif", **words} for name in ("map", "visible")}
        for name, fields in changes.items():
            sources[name] |= fields
        sites = {"sites": [{"point": "001", "raster": "visible.tif"}]}
        stages = {"sample": sites, "acquire": sources, "align": {"method": "georeference"}}
        stages["release"] = {"formats": ["folders"]}
        (self.folder / "run.yaml").write_text(yaml.safe_dump({"name": "keys", "stages": stages}))

    def again(self) -> set[str]:
        """Run; return the stages that had units done."""
        before = self.ended()
        command = [sys.executable, "-m", "mapdata", "run", str(self.folder / "run.yaml"), "--workers", "0"]
        ended = subprocess.run([*command, "--workspace", str(self.workspace)], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return {stage for (stage, name), how in self.ended().items() if before.get((stage, name)) != how}

    def ended(self) -> dict[tuple[str, str], tuple[str, int]]:
        if not (self.workspace / "engine/ledger.sqlite").exists():
            return {}
        with Ledger(self.workspace / "engine/ledger.sqlite", read_only=True) as ledger:
            records = [record for stage in ledger.stages() for record in ledger.records(stage).values()]
        return {(record.stage, record.name): (record.key, record.attempts) for record in records if record.planned}

    def manifest(self) -> Any:
        import pyarrow.parquet as pq

        return pq.read_table(self.workspace / "release" / "manifest.parquet").to_pylist()[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("keys")
    made = Run(folder / "sources", folder / "work")
    assert made.again() == {"sample", "acquire", "align", "review", "tile", "clean", "split", "release"}
    return made


def test_a_second_run_does_nothing(run: Run) -> None:
    assert run.again() == set()


def test_words_about_a_source_reach_the_release_and_acquire_nothing(run: Run) -> None:
    run.write(map={"attribution": "somebody", "date": "2020"}, visible={"licence": "MIT"})
    assert run.again() == {"release"}
    row = run.manifest()
    assert (row["map_attribution"], row["map_date"], row["visible_licence"]) == ("somebody", "2020", "MIT")
    run.write()
    assert run.again() == {"release"}


def test_moving_touching_and_copying_sources_acquires_nothing(run: Run) -> None:
    for path in run.folder.glob("*.tif"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    assert run.again() == set()
    moved = run.folder.with_name("moved")
    run.folder.rename(moved)
    run.folder = moved
    assert run.again() == set()
    copied = run.folder.with_name("copied")
    shutil.copytree(moved, copied)
    run.folder = copied
    assert run.again() == set()


def _pixel(folder: Path) -> None:
    status = (folder / "map.tif").stat()
    with rasterio.open(folder / "map.tif", "r+") as raster:
        raster.write(255 - raster.read(1), 1)
    os.utime(folder / "map.tif", ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _mask(folder: Path) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(folder / "map.tif", "r+") as raster:
        mask = np.full((GRID.height, GRID.width), 255, np.uint8)
        mask[:2] = 0  # little enough for the pair to be published
        raster.write_mask(mask)
    assert (folder / "map.tif.msk").exists()


@pytest.mark.parametrize("change", [_pixel, _mask])
def test_other_pixels_are_acquired_whatever_the_size_and_the_time(run: Run, change: Callable[[Path], None]) -> None:
    before = {unit: how for unit, how in run.ended().items() if unit == ("acquire", "001/1/visible")}
    change(run.folder)
    assert run.again() >= {"acquire", "align", "tile"}
    assert before.items() <= run.ended().items(), "the other side stands"
