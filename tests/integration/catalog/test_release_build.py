"""Whole releases: what they hold, that their bytes are stable, and that a kill never leaves half of one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pystac
import pytest
import shapely
import zarr

from catalog.build import build_release
from catalog.checksums import digest, files_below
from catalog.errors import CatalogError
from catalog.manifest import published, read_manifest
from catalog.model import Format
from catalog.pairs import SCHEMA
from catalog.store import read_image
from catalog.verify import verify_release

pytestmark = pytest.mark.integration

ALL = tuple(Format)


def _tree(folder: Path) -> dict[str, str]:
    return {name: digest(folder / name) for name in files_below(folder)}


@pytest.mark.parametrize("tile_format", ["png", "jpeg", "webp"])
def test_a_release_of_files_is_whole_and_valid(make_contents, tmp_path, tile_format):
    contents, root = make_contents(tmp_path, tile_format)
    release = tmp_path / "release"
    build_release(SCHEMA, contents, root, release, ALL)
    assert verify_release(release) == []
    rows = published(read_manifest(SCHEMA, release))
    assert rows.num_rows == 45
    store = zarr.open_group(release / "mapdata.zarr", mode="r")
    assert store["map"].shape == (45, 64, 64, 3)
    assert list(store["pair_id"][:]) == rows["pair_id"].to_pylist()
    for row in rows.slice(7, 30).to_pylist():
        for side, letter in (("map", "L"), ("visible", "R")):
            path = release / row[f"{side}_path"]
            assert path.parent == release / "MapData" / row["point_id"] / row["site_id"] / letter
            assert path.stat().st_nlink == 2  # the tile itself
            np.testing.assert_array_equal(store[side][row["zarr_index"]], read_image(path))


def test_tiles_without_files_make_a_release_of_zarr_only(make_contents, tmp_path):
    contents, root = make_contents(tmp_path, "npy")
    formats = [Format.ZARR, Format.STAC, Format.RASTERS]
    build_release(SCHEMA, contents, root, tmp_path / "release", formats)
    assert verify_release(tmp_path / "release") == []
    store = zarr.open_group(tmp_path / "release/mapdata.zarr", mode="r")
    tiles = np.load(root / "tiles/001/1/map/all.npy")
    np.testing.assert_array_equal(store["map"][:15], tiles[:15])
    with pytest.raises(CatalogError, match="publish them as zarr"):
        build_release(SCHEMA, contents, root, tmp_path / "release", [*formats, Format.FOLDERS])


@pytest.mark.parametrize("formats", [[Format.FOLDERS], [Format.ZARR], [Format.FOLDERS, Format.STAC]])
def test_any_part_may_be_left_out(make_contents, tmp_path, formats):
    contents, root = make_contents(tmp_path)
    build_release(SCHEMA, contents, root, tmp_path / "release", formats)
    assert verify_release(tmp_path / "release") == []
    folders = {path.name for path in (tmp_path / "release").iterdir() if path.is_dir()}
    assert ("MapData" in folders, "mapdata.zarr" in folders, "stac" in folders) == (
        Format.FOLDERS in formats, Format.ZARR in formats, Format.STAC in formats,
    )  # fmt: skip


def test_a_release_needs_pixels(make_contents, tmp_path):
    contents, root = make_contents(tmp_path)
    with pytest.raises(CatalogError, match="at least one of the formats folders and zarr"):
        build_release(SCHEMA, contents, root, tmp_path / "release", [Format.STAC])


def test_bytes_depend_on_nothing_but_the_contents(make_contents, tmp_path, monkeypatch):
    contents, root = make_contents(tmp_path / "one")
    build_release(SCHEMA, contents, root, tmp_path / "one/release", ALL)
    contents, root = make_contents(tmp_path / "elsewhere/two")
    order = np.random.default_rng(0).permutation(contents.records.num_rows)
    shuffled = replace(contents, records=contents.records.take(order), sources=contents.sources.take(order[::-1]))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    build_release(SCHEMA, shuffled, root, tmp_path / "elsewhere/two/release", reversed(ALL))
    monkeypatch.undo()
    time.tzset()
    assert _tree(tmp_path / "one/release") == _tree(tmp_path / "elsewhere/two/release")


def test_more_than_one_shard(make_contents, tmp_path, monkeypatch):
    monkeypatch.setattr("catalog.store.SHARD", 10)
    contents, root = make_contents(tmp_path)
    build_release(SCHEMA, contents, root, tmp_path / "release", [Format.FOLDERS, Format.ZARR])
    assert verify_release(tmp_path / "release") == []
    assert len(list((tmp_path / "release/mapdata.zarr/map/c").iterdir())) == 5
    store = zarr.open_group(tmp_path / "release/mapdata.zarr", mode="r")
    rows = read_manifest(SCHEMA, tmp_path / "release")
    last = published(rows).slice(44).to_pylist()[0]
    np.testing.assert_array_equal(store["visible"][44], read_image(tmp_path / "release" / last["visible_path"]))


def test_a_release_of_rejected_pairs_only_is_valid(make_contents, tmp_path):
    contents, root = make_contents(tmp_path)
    rejected = contents.records.slice(15, 1)
    build_release(SCHEMA, replace(contents, records=rejected), root, tmp_path / "release", ALL)
    assert verify_release(tmp_path / "release") == []


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda root: (root / "tiles/001/1/map/001_1_0000_0000.png").unlink(), "001_1_0000_0000.png: is missing"),
        (lambda root: (root / "tiles/001/1/map/001_1_0000_0000.png").write_bytes(b"x"), "cannot be decoded"),
        (lambda root: (root / "rasters/002/1/map.tif").unlink(), "map.tif: is missing"),
        (lambda root: (root / "rasters/002/1/map.tif").write_bytes(b"x"), "map.tif: cannot be read"),
    ],
)
def test_a_failed_build_names_the_file_and_leaves_the_old_release(make_contents, tmp_path, harm, message):
    contents, root = make_contents(tmp_path)
    build_release(SCHEMA, contents, root, tmp_path / "release", [Format.FOLDERS])
    before = _tree(tmp_path / "release")
    shutil.copytree(tmp_path / "release", tmp_path / "copy")  # the links would be harmed with the tiles
    harm(root)
    with pytest.raises(CatalogError, match=message):
        build_release(SCHEMA, contents, root, tmp_path / "copy", ALL)
    assert _tree(tmp_path / "copy") == before
    assert not (tmp_path / ".tmp-copy").exists()


def test_contents_that_contradict_themselves_are_refused(make_contents, tmp_path):
    contents, root = make_contents(tmp_path)
    with pytest.raises(CatalogError, match="no raster pair is given for 002_1"):
        build_release(SCHEMA, replace(contents, originals=contents.originals[:2]), root, tmp_path / "release", ALL)
    with pytest.raises(CatalogError, match="45 accepted pairs have no source"):
        build_release(SCHEMA, replace(contents, sources=contents.sources.slice(0, 0)), root, tmp_path / "release", ALL)
    assert not (tmp_path / "release").exists()


_BUILD = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("world", sys.argv[1])
world = importlib.util.module_from_spec(spec)
spec.loader.exec_module(world)
from catalog.build import build_release
from catalog.model import Format
from catalog.pairs import SCHEMA
root = Path(sys.argv[2])
contents, _ = world.make_contents(root)
for formats in ([Format.FOLDERS], list(Format)) * 1000:
    build_release(SCHEMA, contents, root, root / "release", formats)
    print("built", flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(make_contents, tmp_path):
    expected = []
    for number, formats in enumerate(([Format.FOLDERS], ALL)):
        contents, root = make_contents(tmp_path / f"expected{number}")
        build_release(SCHEMA, contents, root, root / "release", formats)
        expected.append(_tree(root / "release"))
    random.seed(4)
    world = Path(__file__).with_name("conftest.py")
    for attempt in range(3):
        root = tmp_path / f"run{attempt}"
        command = [sys.executable, "-c", _BUILD, str(world), str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
            assert process.stdout is not None
            try:
                process.stdout.readline()  # the first release stands; from now on there is always one
                for _ in range(40):
                    time.sleep(random.uniform(0, 0.02))
                    process.send_signal(signal.SIGSTOP)
                    assert _tree(root / "release") in expected
                    process.send_signal(signal.SIGCONT)
            finally:
                process.kill()  # a stopped process would be waited for without end
        assert _tree(root / "release") in expected
        contents, _ = make_contents(tmp_path / f"again{attempt}")
        build_release(SCHEMA, contents, tmp_path / f"again{attempt}", root / "release", ALL)
        assert _tree(root / "release") == expected[1]
        assert not (root / ".tmp-release").exists()


@pytest.mark.parametrize(
    "corners",
    [
        [(179.9, 1), (-179.9, 1), (-179.9, 0), (179.9, 0)],
        [(-45, 89), (45, 89), (135, 89), (-135, 89)],
        [(-45, -89), (-135, -89), (135, -89), (45, -89)],
        [(350, 1), (355, 1), (355, 0), (350, 0)],
    ],
    ids=["across 180 degrees", "round the north pole", "round the south pole", "0 to 360"],
)
def test_verification_agrees_with_the_build_anywhere_on_the_globe(make_contents, tmp_path, corners):
    contents, root = make_contents(tmp_path)
    wkb = shapely.to_wkb(shapely.Polygon(corners))
    index = contents.records.column_names.index("geometry")
    moved = [wkb if row["point_id"] == "002" else row["geometry"] for row in contents.records.to_pylist()]
    records = contents.records.set_column(index, SCHEMA.columns.field("geometry"), pa.array(moved, pa.binary()))
    rasters = [replace(pair, footprint=wkb) if pair.point_id == "002" else pair for pair in contents.originals]
    release = tmp_path / "release"
    build_release(SCHEMA, replace(contents, records=records, originals=rasters), root, release, ALL)
    assert verify_release(release) == []
    for item in pystac.Catalog.from_file(release / "stac/catalog.json").get_items(recursive=True):
        west, south, east, north = item.bbox
        assert -180 <= west <= 180 and -180 <= east <= 180 and south < north  # noqa: PT018
        assert shapely.geometry.shape(item.geometry).is_valid
