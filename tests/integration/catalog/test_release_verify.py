"""Verification: every harm done to a release is named, with the file and the remedy, and all of them at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.checksums import digest, read_checksums, write_checksums
from catalog.manifest import read_manifest, write_manifest
from catalog.pairs import SCHEMA
from catalog.stac import RENDER
from catalog.verify import verify_release

pytestmark = pytest.mark.integration

L = "MapData/001/1/L/001_1_0000_0001.png"
R = "MapData/001/1/R/001_1_0000_0001.png"
ITEM = "stac/items/001_2.json"


@pytest.fixture(scope="module")
def pristine(whole_release) -> Path:
    return whole_release


@pytest.fixture
def release(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "release"))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))


def _seal(release: Path, *names: str) -> None:
    """Bring the checksums up to date, as someone would who edits a release on purpose."""
    digests = read_checksums(release / "checksums.b3")
    write_checksums(release / "checksums.b3", digests | {name: digest(release / name) for name in names})


def test_an_untouched_release_has_no_problems(release):
    assert verify_release(release) == []


@pytest.mark.parametrize(
    "name",
    [
        L,
        R,
        "mapdata.zarr/map/c/0/0/0/0",
        "mapdata.zarr/zarr.json",
        "rasters/001/1/map.tif",
        "alignment/001/1/alignment.json",
        "manifest.parquet",
        "stac/pairs.parquet",
        "README.md",
    ],
)
def test_a_flipped_bit_is_named(release, name):
    _flip(release / name)
    problems = verify_release(release)
    assert any(problem.path == name and problem.remedy for problem in problems), problems


def test_a_lost_side_is_named_with_its_pair(release):
    (release / R).unlink()
    problems = [problem for problem in verify_release(release) if problem.path == R]
    assert any("visible image of pair 001_1_0000_0001 is missing" in problem.what for problem in problems)
    assert all("mapdata export" in problem.remedy for problem in problems)


def test_a_file_that_does_not_belong_is_named(release):
    stray = release / "MapData/001/1/L/extra.png"
    stray.write_bytes(b"x")
    found = {(problem.path, problem.remedy) for problem in verify_release(release)}
    assert found == {("MapData/001/1/L/extra.png", "remove it")}


def test_everything_wrong_is_told_at_once(release):
    _flip(release / L)
    (release / R).unlink()
    (release / "stray.txt").write_text("x")
    _edit(release / ITEM, lambda item: item.pop("bbox"))
    shutil.rmtree(release / "mapdata.zarr/visible")
    paths = {problem.path for problem in verify_release(release)}
    assert {L, R, "stray.txt", ITEM, "mapdata.zarr"} <= paths


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        (ITEM, lambda v: v.pop("bbox"), "bbox"),
        (ITEM, lambda v: v.update(stac_version="0.9.0"), "no STAC 1.1.0"),
        (ITEM, lambda v: v["links"][0].update(href="../gone.json"), "leads to stac/gone.json, which is not there"),
        (ITEM, lambda v: v["assets"]["map"].update(href="../../rasters/nowhere.tif"), "no file of the release"),
        (ITEM, lambda v: v["assets"]["map"].update({"file:size": 1}), "another size"),
        (ITEM, lambda v: v["assets"]["map"].update({"file:checksum": "1e20" + "0" * 64}), "another checksum"),
        (ITEM, lambda v: v["assets"]["map"].update(href="/etc/passwd"), "no relative href"),
        (ITEM, lambda v: v["properties"].update({"proj:shape": [1]}), "proj:shape"),
        (ITEM, lambda v: v["properties"].update({"proj:transform": [1, 2]}), "proj:transform"),
        (ITEM, lambda v: v["assets"]["map"].update({"proj:colour": 1}), "proj:colour"),
        (ITEM, lambda v: v["properties"]["renders"]["map"].pop("assets"), "assets"),
        (ITEM, lambda v: v["stac_extensions"].remove(RENDER), "does not declare it"),
        (ITEM, lambda v: v["stac_extensions"].append("https://example.org/schema.json"), "which no release does"),
        (ITEM, lambda v: v["properties"].update({"processing:software": {"a": 1}}), "processing:software"),
        (ITEM, lambda v: v["properties"].update(start_datetime="yesterday"), "start_datetime"),
        ("stac/collection.json", lambda v: v.pop("license"), "license"),
        ("stac/collection.json", lambda v: v["providers"][0].update(roles=["owner"]), "roles"),
        ("stac/catalog.json", lambda v: v["links"][1].update(href="./other.json"), "leads to stac/other.json"),
    ],
)
def test_an_edited_stac_file_is_named_even_with_fresh_checksums(release, name, change, what):
    _edit(release / name, change)
    _seal(release, name)
    problems = verify_release(release)
    assert any(problem.path == name and what in problem.what for problem in problems), problems


def test_an_item_that_nothing_links_to_is_named(release):
    _edit(release / "stac/collection.json", lambda v: v["links"].pop())
    _seal(release, "stac/collection.json")
    assert [(p.path, p.what) for p in verify_release(release)] == [
        ("stac/items/002_1.json", "no collection links to this item")
    ]


def test_broken_json_is_named(release):
    (release / ITEM).write_text("{")
    assert any(p.path == ITEM and "JSON" in p.what for p in verify_release(release))


def _rewrite_manifest(release: Path, change: Callable[[pa.Table], pa.Table]) -> list[str]:
    path = release / "manifest.parquet"
    write_manifest(change(read_manifest(SCHEMA, path.parent)), path)
    _seal(release, "manifest.parquet")
    return [problem.what for problem in verify_release(release) if problem.path == "manifest.parquet"]


def _set(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), table.schema.field(name), values)


def test_a_point_in_two_splits_is_named(release):
    def change(table: pa.Table) -> pa.Table:
        mixed = pc.if_else(pc.equal(table["row"], 0), "test", table["split"])
        return _set(table, "split", pc.if_else(pc.is_null(table["split"]), None, mixed))

    assert any("['001'] lie in several splits" in what for what in _rewrite_manifest(release, change))


def test_a_pair_that_occurs_twice_is_named(release):
    problems = _rewrite_manifest(release, lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    assert any("more than once" in what for what in problems)


def test_rows_in_another_order_are_named(release):
    problems = _rewrite_manifest(release, lambda table: table.take(list(range(47, -1, -1))))
    assert any("order of rows" in what for what in problems)


def test_a_manifest_of_another_schema_is_named(release):
    path = release / "manifest.parquet"
    pq.write_table(read_manifest(SCHEMA, path.parent).drop_columns(["gsd"]), path)
    assert any("lacks the columns gsd" in problem.what for problem in verify_release(release))


def test_a_dropped_pair_is_found_everywhere(release):
    path = release / "manifest.parquet"
    write_manifest(read_manifest(SCHEMA, path.parent).slice(1), path)
    _seal(release, "manifest.parquet")
    text = "\n".join(map(str, verify_release(release)))
    assert "release.json: its counts are not those of the manifest" in text
    assert "MapData/001/1/L/001_1_0000_0000.png: belongs to no accepted pair" in text
    assert "mapdata.zarr/pair_id: does not hold the manifest's accepted pairs" in text
    assert "stac/pairs.parquet: its items are not the accepted pairs" in text
    assert "croissant.json: states another SHA-256" in text


def test_a_store_with_other_pairs_is_named(release):
    store = zarr.open_group(release / "mapdata.zarr", mode="r+")
    names = np.asarray(store["pair_id"][:])
    store["pair_id"][:] = names[::-1]
    _seal(release, "mapdata.zarr/pair_id/c/0")
    assert [problem.path for problem in verify_release(release)] == ["mapdata.zarr/pair_id"]


def test_an_invalid_item_of_the_table_is_named(release):
    path = release / "stac/pairs.parquet"
    table = pq.read_table(path)
    shape = pa.array([[-1, 64], *table["proj:shape"].to_pylist()[1:]], table.schema.field("proj:shape").type)
    pq.write_table(_set(table, "proj:shape", shape), path)
    _seal(release, "stac/pairs.parquet")
    problems = [problem for problem in verify_release(release) if "item 001_1_0000_0000" in problem.path]
    assert any("proj:shape" in problem.what for problem in problems)


@pytest.mark.parametrize(
    "content", [None, "{", '{"formats": ["folders"]}', '{"formats": ["tar"], "layout_version": 1}']
)
def test_a_folder_that_is_no_release_is_one_problem(release, content):
    (release / "release.json").unlink()
    if content is not None:
        (release / "release.json").write_text(content)
    (problem,) = verify_release(release)
    assert "no readable release" in problem.what


def test_a_release_of_another_layout_asks_for_its_software(release):
    _edit(release / "release.json", lambda v: v.update(layout_version=99))
    (problem,) = verify_release(release)
    assert "layout 99" in problem.what


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in _places(child, (*path, key)))]


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_written_into_a_json_file_verification_names_it_and_never_fails(pristine, tmp_path_factory, data):
    name = data.draw(
        st.sampled_from([ITEM, "stac/collection.json", "stac/catalog.json", "release.json", "croissant.json"])
    )
    before = json.loads((pristine / name).read_bytes())
    place = data.draw(st.sampled_from(_places(before)[1:]))
    value = json.loads(json.dumps(before))
    target = value
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = data.draw(_ANYTHING)
    if value == before:
        return
    # The large files are links to the pristine ones: only the one that changes is written.
    release = tmp_path_factory.mktemp("fuzz") / "release"
    shutil.copytree(pristine, release, copy_function=os.link)
    (release / name).unlink()
    (release / name).write_text(json.dumps(value))
    try:
        assert verify_release(release)
    finally:
        shutil.rmtree(release)
