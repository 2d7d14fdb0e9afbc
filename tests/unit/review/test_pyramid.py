"""The smaller versions of a raster: what they show, how they are made on, what a tile costs; and the journal's end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from affine import Affine

from raster.grid import Grid
from raster.reader import RasterReader
from review.errors import ReviewError
from review.journal import Journal
from review.pyramid import TILE, Pyramid, levels_of, tiles_of
from review.sites import Side
from review.views import Views
from stages.rasters import open_raster, write_raster

pytestmark = pytest.mark.unit

WIDTH, HEIGHT = 2500, 1300


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x + y) // 16 % 256], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def raster(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RasterReader]:
    path = tmp_path_factory.mktemp("raster") / "raster.tif"
    grid = Grid("EPSG:32632", Affine(1, 0, 0, 0, -1, 0), WIDTH, HEIGHT)
    write_raster(path, grid, [np.dstack([pixels, np.full((HEIGHT, WIDTH), 255, np.uint8)])], {})
    with open_raster(path) as reader:
        yield reader


def test_every_level_is_the_mean_of_the_raster(raster: RasterReader, pixels: np.ndarray, tmp_path: Path) -> None:
    assert levels_of(WIDTH, HEIGHT) == 3
    assert levels_of(TILE, 10) == 0
    pyramid = Pyramid(tmp_path / "p", WIDTH, HEIGHT)
    assert pyramid.build(raster)
    assert pyramid.complete
    for level in (1, 2, 3):
        columns, rows = tiles_of(WIDTH, HEIGHT, level)
        assert pyramid.tile(level, columns, 0) is None
        shown = [
            np.concatenate([simplejpeg.decode_jpeg(pyramid.tile(level, x, y) or b"") for x in range(columns)], axis=1)
            for y in range(rows)
        ]
        block = 1 << level
        height, width = HEIGHT // block, WIDTH // block
        wanted = pixels[: height * block, : width * block].reshape(height, block, width, block, 3).mean(axis=(1, 3))
        assert np.abs(np.concatenate(shown)[:height, :width, :2] - wanted[..., :2]).mean() < 2
    pyramid.close()


def test_an_interrupted_making_goes_on_to_the_same_bytes(raster: RasterReader, tmp_path: Path) -> None:
    whole = Pyramid(tmp_path / "whole", WIDTH, HEIGHT)
    whole.build(raster)
    wanted = (tmp_path / "whole").read_bytes()
    for cut in (0, 5, 1000, len(wanted) // 2, len(wanted) - 1):
        path = tmp_path / f"cut-{cut}"
        path.write_bytes(wanted[:cut])
        pyramid = Pyramid(path, WIDTH, HEIGHT)
        assert pyramid.made < whole.made
        assert pyramid.build(raster)
        assert path.read_bytes() == wanted
    stops = iter([False, False, True])
    stopped = Pyramid(tmp_path / "stopped", WIDTH, HEIGHT)
    assert not stopped.build(raster, lambda: next(stops))
    assert stopped.made == 2
    assert wanted.startswith((tmp_path / "stopped").read_bytes())


def test_a_tile_is_one_read(raster: RasterReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyramid = Pyramid(tmp_path / "p", WIDTH, HEIGHT)
    pyramid.build(raster)
    calls, read = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *given: calls.append(given) or read(*given))
    assert pyramid.tile(2, 1, 0)
    assert len(calls) == 1


def test_a_tile_of_full_resolution_is_at_most_three_reads(pixels: np.ndarray, tmp_path: Path) -> None:
    counter = Path("/proc/self/io")
    if not counter.is_file():
        pytest.skip("this system does not count reads")
    grid = Grid("EPSG:32632", Affine(1, 0, 0, 0, -1, 0), WIDTH, HEIGHT)
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:700, :1200] = 0
    write_raster(tmp_path / "raster.tif", grid, [np.dstack([pixels, mask])], {})
    views, side = Views(tmp_path / "views"), Side(tmp_path / "raster.tif", "0" * 64, grid)
    places = [(column, row) for column in range(5) for row in range(3)]

    async def reads() -> int:
        for column, row in places:
            await views.tile(side, 0, column, row)
        before = int(counter.read_text().split("syscr: ")[1].split()[0])
        for column, row in places:
            await views.tile(side, 0, column, row)
        return int(counter.read_text().split("syscr: ")[1].split()[0]) - before

    count = asyncio.run(reads())
    views.close()
    assert count <= 3 * len(places)


def test_the_journal_forgets_a_line_that_was_cut_off_and_names_one_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for number in range(3):
        journal.append("Ada", "001/1", "points", str(number), str(number + 1), {"points": [number]})
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"number": 4, "ti')
    journal = Journal(path)
    assert [entry.number for entry in journal.of("001/1")] == [3, 2, 1]
    found = journal.state(2)
    assert found is not None
    assert found[1] == {"points": [1]}
    assert journal.append("Bob", "001/1", "points", "3", "4", {}).number == 4
    journal.close()
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"numbre":2'))
    with pytest.raises(ReviewError, match="line 2 is damaged"):
        Journal(path)
