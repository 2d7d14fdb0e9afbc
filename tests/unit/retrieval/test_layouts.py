"""Readers of other sets, on folders laid out as theirs are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landmark_release import write_release

from retrieval.benchmark import DISTRACTOR
from retrieval.errors import RetrievalError
from retrieval.layouts import read_dataset
from retrieval.release import read_landmarks

pytestmark = pytest.mark.unit


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_university(tmp_path: Path) -> None:
    for building in ("0001", "0002", "0003"):
        for view in range(3):
            touch(tmp_path / f"test/gallery_drone/{building}/image-{view}.jpeg")
            if building != "0003":
                touch(tmp_path / f"test/query_drone/{building}/image-{view}.jpeg")
        touch(tmp_path / f"test/gallery_satellite/{building}/{building}.jpg")
        if building != "0003":
            touch(tmp_path / f"test/query_satellite/{building}/{building}.jpg")
            touch(tmp_path / f"test/query_satellite/{building}/notes.txt")
    benchmark = read_dataset(tmp_path)
    assert benchmark.name == "University-1652 (drone)"
    assert {name: len(each) for name, each in benchmark.queries.items()} == {"ground": 6, "satellite": 2}
    assert {name: len(each) for name, each in benchmark.galleries.items()} == {"ground": 9, "satellite": 3}
    assert benchmark.galleries["satellite"].landmarks.tolist() == [0, 1, DISTRACTOR]
    content = benchmark.queries["ground"].content
    assert content is not None
    assert content(4) == tmp_path / "test/query_drone/0002/image-1.jpeg"
    with pytest.raises(RetrievalError, match="cannot be read"):
        read_dataset(tmp_path / "elsewhere", "university-1652")


def test_cvusa(tmp_path: Path) -> None:
    rows = [f"bingmap/19/{n:07d}.jpg,streetview/panos/{n:07d}.jpg,annotations/{n:07d}.png" for n in (5, 9)]
    touch(tmp_path / "splits/val-19zl.csv")
    (tmp_path / "splits/val-19zl.csv").write_text("\n".join(rows) + "\n")
    benchmark = read_dataset(tmp_path)
    assert benchmark.queries["ground"].landmarks.tolist() == [0, 1]
    content = benchmark.galleries["satellite"].content
    assert content is not None
    assert content(1) == tmp_path / "bingmap/19/0000009.jpg"
    (tmp_path / "splits/val-19zl.csv").write_text("only-one.jpg\n")
    with pytest.raises(RetrievalError, match="row 1: needs an aerial image and a panorama"):
        read_dataset(tmp_path)
    (tmp_path / "splits/val-19zl.csv").write_text("../../etc/passwd,streetview/1.jpg\n")
    with pytest.raises(RetrievalError, match="lies outside"):
        read_dataset(tmp_path)


def test_a_release(tmp_path: Path) -> None:
    benchmark = read_dataset(write_release(tmp_path / "release", train=3, query=4, index=2))
    assert {name: len(each) for name, each in benchmark.queries.items()} == {"ground": 12, "satellite": 4, "text": 4}
    assert {name: len(each) for name, each in benchmark.galleries.items()} == {
        "ground": 12, "satellite": 6, "coordinates": 6,
    }  # fmt: skip
    assert all(name.endswith("2020") for name in benchmark.queries["satellite"].ids), "the latest year asks"
    again = read_dataset(tmp_path / "release")
    assert again.digest() == benchmark.digest()
    other = read_dataset(write_release(tmp_path / "other", train=3, query=4, index=2, seed=1))
    assert other.digest() != benchmark.digest()


def test_an_unknown_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="of no known layout"):
        read_dataset(tmp_path)
    with pytest.raises(RetrievalError, match="there are: release"):
        read_dataset(tmp_path, "sued-4")


def _column(table: str, name: str, change: Callable[[list[Any]], pa.Array]) -> Callable[[Path], None]:
    def edit(release: Path) -> None:
        found = pq.read_table(release / table)
        index = found.schema.get_field_index(name)
        pq.write_table(found.set_column(index, name, change(found[name].to_pylist())), release / table)

    return edit


def _no_utf8(values: list[Any]) -> pa.Array:
    _, offsets, content = pa.array([b"\xff"] * len(values)).buffers()
    return pa.StringArray.from_buffers(len(values), offsets, content)


@pytest.mark.parametrize(
    "damage",
    [
        _column("landmarks.parquet", "lat", lambda values: pa.array(["north"] * len(values))),
        _column("landmarks.parquet", "landmark_id", lambda values: pa.array([[value] for value in values])),
        _column("landmarks.parquet", "name", _no_utf8),
        _column("texts.parquet", "main", lambda values: pa.array(["perhaps"] * len(values))),
        _column("texts.parquet", "sections", lambda values: pa.array(["[" * 100_000] * len(values))),
        _column("manifest.parquet", "year", lambda values: pa.array(["lately"] * len(values))),
    ],
    ids=["text for a number", "list for a text", "no UTF-8", "text for a truth value", "deep JSON", "text for a year"],
)
def test_a_strangers_tables_are_refused_in_words(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    release = write_release(tmp_path / "release", train=1, query=1, index=0)
    damage(release)
    with pytest.raises(RetrievalError):
        read_landmarks(release)


def test_a_table_that_claims_more_than_a_release_holds_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = write_release(tmp_path / "release", train=1, query=1, index=0)
    monkeypatch.setattr("raster.untrusted._TABLE_BYTES", 10)
    with pytest.raises(RetrievalError, match="more than a release can hold"):
        read_landmarks(release)


@pytest.mark.parametrize("name", ["../secret.jpg", "link.jpg", "pipe.jpg", "images", "a\0b", "/dev/zero"])
def test_an_image_outside_of_a_strangers_release_is_not_read(tmp_path: Path, name: str) -> None:
    release = write_release(tmp_path / "release", train=1, query=1, index=0)
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (release / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    os.mkfifo(release / "pipe.jpg")
    _column("manifest.parquet", "image_path", lambda values: pa.array([name] * len(values)))(release)
    content = read_landmarks(release).items["ground"].content
    assert content is not None
    with pytest.raises(RetrievalError, match="verify"):
        content(0)
