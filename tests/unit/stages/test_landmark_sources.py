"""Sources of landmarks from the user's own files, names of articles, and the distances that resolving asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PermanentError
from stages.landmarks.distractors import category_name
from stages.landmarks.own_files import FilesText, FolderGround
from stages.landmarks.sources import HostLoad
from stages.landmarks.wikimedia.wikidata import article_title, box_distance_m

pytestmark = pytest.mark.unit

ROW: dict[str, Any] = {
    "landmark_id": "f" * 16, "qid": "Q7", "min_lon": 10.0, "min_lat": 50.0, "max_lon": 10.002, "max_lat": 50.001,
}  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("en:St. Paul's Chapel", ("en", "St. Paul's Chapel")),
        ("Trinity Church", ("en", "Trinity Church")),
        ("de:Kölner_Dom", ("de", "Kölner Dom")),
        ("http://en.wikipedia.org/wiki/City_Hall_(New_York)", ("en", "City Hall (New York)")),
        ("https://fr.wikipedia.org/wiki/%C3%89glise", ("fr", "Église")),
        ("Batman: The Ride", ("en", "Batman: The Ride")),
        ("zh-min-nan:X", ("zh-min-nan", "X")),
    ],
)
def test_tags_name_articles_in_several_ways(tag: str, expected: tuple[str, str]) -> None:
    assert article_title(tag, "en") == expected


def test_distance_from_a_box() -> None:
    assert box_distance_m(ROW, 10.001, 50.0005) == 0
    assert box_distance_m(ROW, 10.001, 50.011) == pytest.approx(1112, rel=0.01)


def test_a_folder_of_photographs(tmp_path: Path) -> None:
    (tmp_path / "Q7").mkdir()
    (tmp_path / "Q7" / "b.jpg").write_bytes(b"B")
    (tmp_path / "Q7" / "a.png").write_bytes(b"A")
    (tmp_path / "Q7" / "notes.txt").write_bytes(b"-")
    (tmp_path / "attribution.csv").write_text("file,author,licence,source_url\nQ7/b.jpg,Ann,CC BY 4.0,https://x/b\n")
    source = FolderGround(path=tmp_path)
    given = {each.name: each for each in source.photographs(ROW, tmp_path)}
    assert list(given) == ["a.png", "b.jpg"]
    assert (given["b.jpg"].body, given["b.jpg"].author, given["b.jpg"].licence) == (b"B", "Ann", "CC BY 4.0")
    assert given["a.png"].licence == ""  # and so it is refused
    before = source.identity(ROW)
    (tmp_path / "Q7" / "b.jpg").write_bytes(b"C")
    assert source.identity(ROW) != before
    assert list(source.photographs(ROW | {"qid": "Q8"}, tmp_path)) == []


def test_a_table_without_licences_is_named(tmp_path: Path) -> None:
    (tmp_path / "Q7").mkdir()
    (tmp_path / "attribution.csv").write_text("name\nx\n")
    with pytest.raises(PermanentError, match=r"attribution\.csv: lacks the columns file and licence"):
        list(FolderGround(path=tmp_path).photographs(ROW, tmp_path))


def test_texts_in_files(tmp_path: Path) -> None:
    text = {"title": "X", "sections": {"": "It is.", "History": "Old."}, "licence": "CC0-1.0", "attribution": "me"}
    (tmp_path / "Q7.json").write_text(json.dumps(text))
    (article,) = FilesText(path=tmp_path).articles([ROW], tmp_path)[ROW["landmark_id"]]
    assert (article.title, article.sections[""], article.licence) == ("X", "It is.", "CC0-1.0")
    (tmp_path / "Q7.json").write_text(json.dumps(text | {"licence": ""}))
    with pytest.raises(PermanentError, match="states no licence"):
        FilesText(path=tmp_path).articles([ROW], tmp_path)


def test_names_of_categories() -> None:
    assert category_name("http://commons.wikimedia.org/wiki/Category:Eiffel_Tower_%28x%29") == "Eiffel Tower (x)"
    assert category_name("Eiffel Tower") == "Eiffel Tower"


def test_the_longer_of_two_waits_counts() -> None:
    assert HostLoad(100, 1000, 10, 10).seconds == 100
    assert HostLoad(100, 1000, 0.5, None).seconds == 200
    assert HostLoad(100, 1000).seconds == 0
