"""Which texts a release of landmarks holds, and which of them stands for a landmark."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from stages.landmarks.outdoor import SCORES
from stages.landmarks.release import Tables
from stages.landmarks.tables import IMAGES, LANDMARKS, TEXTS

pytestmark = pytest.mark.unit

HALL, TOWER = "a" * 16, "b" * 16


def test_all_languages_are_published_and_english_stands_for_the_landmark_where_there_is_any() -> None:
    landmarks = [
        {"landmark_id": each, "name": "X", "min_lon": 7.0, "min_lat": 46.0, "max_lon": 7.1, "max_lat": 46.1}
        for each in (HALL, TOWER)
    ]
    texts = [
        {"landmark_id": landmark, "language": language, "sentence": language, "sections": json.dumps({"": language})}
        for landmark, language in ((HALL, "de"), (HALL, "en"), (HALL, "fr"), (TOWER, "fr"), (TOWER, "de"))
    ]
    placed = pa.Table.from_pylist(landmarks, LANDMARKS).append_column("split", pa.array(["train", "query"]))
    tables = Tables(placed, pa.Table.from_pylist(texts, TEXTS), IMAGES.empty_table(), SCORES.empty_table())
    hall, tower = tables.landmark_objects()
    assert [text.language for text in hall.texts] == ["en", "de", "fr"]
    assert [text.language for text in tower.texts] == ["de", "fr"]
    assert tower.text.sections == {"": "de"}
