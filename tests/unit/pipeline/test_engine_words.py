"""The engine knows nothing of what runs on it: no word of maps, pixels or the command's name is in its sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pipeline

pytestmark = pytest.mark.unit

WORDS = re.compile(r"\bmaps?\b(?!\()|pixel|raster|mapdata|\btiles?\b|imagery|homograph|matcher|\bstac\b", re.IGNORECASE)
EXCEPT = re.compile(r"join\(map\(str, |^from raster(\.(names|config_path|disk|strict_json))? import", re.MULTILINE)
"""A built-in function, and what all rooms share on the floor: names, paths in configurations, disks, JSON."""


def test_the_engine_holds_no_word_of_its_users() -> None:
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted(Path(pipeline.__path__[0]).rglob("*.py"))
        for number, line in enumerate(EXCEPT.sub("", path.read_text()).splitlines(), 1)
        if WORDS.search(line)
    ]
    assert found == []
