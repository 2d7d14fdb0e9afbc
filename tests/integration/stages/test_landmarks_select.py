"""Landmarks in real OpenStreetMap extracts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from osm_squares import osm_squares

from pipeline.errors import PermanentError
from stages.landmarks.select import OsmSelection

pytestmark = pytest.mark.integration


def select(shared_data: Path, name: str) -> tuple[list[dict], list[dict]]:
    return OsmSelection(path=shared_data / "landmarks" / "osm" / f"{name}.osm.pbf").rows()


def test_manhattan_has_22_landmarks_and_6_areas_that_cannot_be_built(shared_data: Path) -> None:
    candidates, rejected = select(shared_data, "ny-access-restriction")
    assert len(candidates) == 22
    assert all(row["qid"].startswith("Q") and row["edge_m"] < 400 for row in candidates)
    reasons = Counter("long" if "m long" in row["reason"] else row["reason"] for row in rejected)
    assert reasons == {"no valid area can be built of it": 6, "long": 1}
    assert len({row["landmark_id"] for row in candidates}) == 22


@pytest.mark.parametrize(("name", "count"), [("nyc", 6), ("baltimore", 5)])
def test_old_extracts_are_looked_up_by_title(shared_data: Path, name: str, count: int) -> None:
    candidates, _ = select(shared_data, name)
    assert len(candidates) == count
    assert all(not row["qid"] and row["wikipedia"] for row in candidates)


def test_a_box_contains_its_centre_and_is_as_long_as_said(shared_data: Path) -> None:
    candidates, _ = select(shared_data, "ny-access-restriction")
    for row in candidates:
        assert row["min_lon"] < row["lon"] < row["max_lon"]
        assert row["min_lat"] < row["lat"] < row["max_lat"]
        # A degree of latitude is 111 km; at 40.7 degrees one of longitude is 84.5 km.
        edges = ((row["max_lon"] - row["min_lon"]) * 84_500, (row["max_lat"] - row["min_lat"]) * 111_050)
        assert row["edge_m"] == pytest.approx(max(edges), rel=0.01)


def test_odd_tags_are_one_candidate_or_a_reason(tmp_path: Path) -> None:
    tags = [
        {"wikipedia": "en:City_Hall", "building": "yes"},
        {"wikipedia": "en:City  Hall "},  # the same article, written otherwise
        {"wikipedia": "  "},
        {"wikidata": "Q7;Q8", "wikipedia": "en:Two"},
        {"wikidata": " Q9 ", "name": "&lt;b&gt;Bold&lt;/b&gt; &quot;and&quot; \u202ereversed"},
        {"wikidata": "Q0"},
        {"wikimedia_commons": "File:Only a picture.jpg"},
        {"wikidata": "Q10", "wikimedia_commons": "File:No category.jpg"},
    ]
    path = tmp_path / "odd.osm"
    path.write_text(osm_squares([(10.0 + n * 0.01, 50.0, each) for n, each in enumerate(tags)]))
    candidates, rejected = OsmSelection(path=path).rows()
    found = {row["osm_id"]: (row["qid"], row["wikipedia"], row["commons_category"]) for row in candidates}
    assert found == {1: ("", "en:City Hall", ""), 5: ("Q9", "", ""), 8: ("Q10", "", "")}
    assert next(row["name"] for row in candidates if row["osm_id"] == 5).startswith('<b>Bold</b> "and"')
    assert {row["osm_id"]: row["reason"] for row in rejected} == {
        2: "way 1 has the same item and is larger",
        3: "neither a Wikidata item nor a Wikipedia article",
        4: "its Wikidata id 'Q7;Q8' is not valid",
        6: "its Wikidata id 'Q0' is not valid",
        7: "neither a Wikidata item nor a Wikipedia article",
    }


def test_a_damaged_extract_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.osm.pbf"
    path.write_bytes(b"not a map")
    with pytest.raises(PermanentError, match=r"broken\.osm\.pbf: cannot be read"):
        OsmSelection(path=path).rows()
    with pytest.raises(PermanentError, match="no such extract"):
        OsmSelection(path=tmp_path / "missing.osm.pbf").identity()
