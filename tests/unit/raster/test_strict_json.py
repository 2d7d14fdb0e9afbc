"""The one reader of JSON that may come from anyone, and that no other is used."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from raster.strict_json import MAX_DEPTH, JsonError, parse_json, read_json

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).resolve().parents[3]
ROOMS = ("cartography", "catalog", "mapdata", "matcher", "pipeline", "raster", "retrieval", "review", "stages")
OWN = {
    "catalog/geometry.py": "what shapely wrote",
    "catalog/stac.py": "items that this build of a release has just written",
    "catalog/stac_check.py": "schemas of the package",
    "catalog/verify.py": "problems that its own process prints",
    "matcher/benchmark/summary.py": "a schema of the package",
    "matcher/benchmark/worker.py": "jobs from the process that started it",
    "review/trial.py": "what its own process is asked and answers",
    "stages/landmarks/official.py": "texts of the run's own release",
    "stages/landmarks/release.py": "texts that an earlier stage of the run wrote",
    "stages/landmarks/wikimedia/session.py": "answers that were checked as they came",
    "stages/landmarks/wikimedia/wikidata.py": "parts of such answers",
    "raster/strict_json.py": "the reader itself",
}
"""Files that may read JSON with the standard library, and what it is that they read."""


def nested(depth: int) -> str:
    """Return a text of lists and objects in turn, `depth` of them inside each other."""
    pieces = [('{"a":', "}") if at % 2 else ("[", "]") for at in range(depth)]
    return "".join(start for start, _ in pieces) + "1" + "".join(end for _, end in reversed(pieces))


@pytest.mark.parametrize("depth", [1, MAX_DEPTH])
def test_what_is_nested_as_deeply_as_is_allowed_is_read(depth: int) -> None:
    assert parse_json(nested(depth)) == json.loads(nested(depth))


@pytest.mark.parametrize("text", [nested(MAX_DEPTH + 1), nested(700), "[" * 100_000, '{"a":' * 100_000])
def test_what_is_nested_more_deeply_is_refused(text: str) -> None:
    for form in (text, text.encode(), text.encode("utf-16")):
        with pytest.raises(JsonError, match="nested more than 100 deep"):
            parse_json(form)


def test_brackets_that_are_no_nesting_are_read() -> None:
    values = [["[" * 500, {"{": "{" * 500}], [[]] * 500]
    assert parse_json(json.dumps(values)) == values


@pytest.mark.parametrize("text", ["", "{", "[1,]", b"\xff\xfe\x00", b'"\xe9"', "\0", "9" * 5000])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(JsonError, match="no JSON: "):
        parse_json(text)


def test_files_are_bounded_and_plain(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"a": 1}')
    assert read_json(file, 8) == {"a": 1}
    with pytest.raises(JsonError, match="8 bytes, at most 7 are read"):
        read_json(file, 7)
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("pipe.json", "."):
        with pytest.raises(JsonError, match="no plain file"):
            read_json(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_no_other_reader_is_used() -> None:
    """A text that may come from outside has to pass the bounds. Whoever adds a file here says what it reads."""
    found = {
        path.relative_to(PROJECT).as_posix()
        for room in ROOMS
        for path in (PROJECT / room).rglob("*.py")
        if re.search(r"\bjson\.loads?\(", path.read_text(encoding="utf-8"))
    }
    assert found == set(OWN)
