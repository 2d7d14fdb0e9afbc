"""Releases of strangers: what contradicts itself is named, and what is merely empty is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landmark_release import write_release

from retrieval.errors import RetrievalError
from retrieval.release import read_landmarks, read_release

pytestmark = pytest.mark.unit

Rows = list[dict[str, Any]]


def edit(root: Path, table: str, change: Callable[[Rows], Rows]) -> None:
    path = root / f"{table}.parquet"
    read = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(read.to_pylist()), read.schema), path)


def every(**values: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [{**row, **values} for row in rows]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release", train=1, query=3, index=2)


@pytest.mark.parametrize(
    ("table", "change", "what"),
    [
        ("landmarks", lambda rows: rows + rows[-1:], "stands twice"),
        ("manifest", lambda rows: rows + rows[-1:], "stands twice"),
        ("texts", lambda rows: rows + rows[-1:], "stands twice"),
        ("landmarks", lambda rows: rows[:-1], "landmarks.parquet has not"),
        ("landmarks", every(lon=float("nan")), "outside the globe"),
        ("landmarks", every(lat=91.0), "outside the globe"),
        ("landmarks", every(lon=None), "no value in the column 'lon'"),
        ("manifest", every(image_path=None), "no value in the column 'image_path'"),
        ("manifest", every(landmark_id=None), "no value in the column 'landmark_id'"),
        ("manifest", every(split=None), "no value in the column 'split'"),
        ("manifest", every(geometry=b"\x01"), "is no WKB"),
        ("manifest", every(geometry=None), "has no geometry"),
        ("landmarks", every(split="train"), "no landmark of the split 'query'"),
    ],
)
def test_a_benchmark_that_contradicts_itself_is_refused(
    release: Path, table: str, change: Callable[[Rows], Rows], what: str
) -> None:
    edit(release, table, change)
    with pytest.raises(RetrievalError, match=what):
        read_release(release)


@pytest.mark.parametrize("sections", ["{", "[1]", '{"": 1}', ""])
def test_articles_that_are_none_are_named(release: Path, sections: str) -> None:
    edit(release, "texts", every(sections=sections))
    with pytest.raises(RetrievalError, match=r"sections of .* are no texts by title"):
        read_landmarks(release)


def test_what_is_merely_unknown_is_read(release: Path) -> None:
    edit(release, "landmarks", every(name=None, category=None, state=None))
    landmarks = read_landmarks(release)
    assert landmarks.titles == landmarks.ids
    assert landmarks.groups["state"] == ["unknown"] * 4
    assert len(landmarks.items["text"]) == 8
    edit(release, "manifest", every(verdict="rejected", split=None, image_path=None))
    assert len(read_landmarks(release).items["ground"]) == 0
    assert set(read_landmarks(release).every_item()) == {"text", "coordinates"}
