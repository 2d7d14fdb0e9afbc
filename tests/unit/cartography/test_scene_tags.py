"""What tags mean: heights from levels, widths from lanes, and values nobody should have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartography import tags

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12.0),
        ("12.5 m", 12.5),
        ("7,5", 7.5),
        ("40 ft", 12.192),
        ("10'", 3.048),
        ("", None),
        (None, None),
        ("tall", None),
        ("0", None),
        ("-3", None),
    ],
)
def test_lengths_are_read_in_any_usual_unit(text: str | None, expected: float | None) -> None:
    assert tags.metres(text) == (None if expected is None else pytest.approx(expected))


def test_a_buildings_height_is_tagged_or_follows_its_levels_or_its_kind() -> None:
    def height(**own: str) -> float:
        found = tags.building({"building": "apartments"} | {k.replace("__", ":"): v for k, v in own.items()}, 300)
        assert found
        return found[1]

    assert height(height="21.5") == 21.5
    assert height(building__levels="5") == pytest.approx(5 * 3.1 + 1)
    assert height(height="21.5", building__levels="2") == 21.5
    assert height(building__levels="many") == height()
    assert height(building__levels="1") < height(building__levels="8")
    assert height(height="9999") == 400.0


def test_untagged_buildings_are_guessed_from_their_size() -> None:
    kinds = [found[0] for area in (20, 120, 900) if (found := tags.building({"building": "yes"}, area))]
    assert kinds == ["shed", "house", "commercial"]
    assert tags.building({}, 120) is None
    assert tags.building({"building": "no"}, 120) is None
    assert tags.building({"building": "yes", "location": "underground"}, 120) is None


@pytest.mark.parametrize(("shape", "roof"), [("flat", "flat"), ("pyramidal", "hipped"), ("gambrel", "gabled")])
def test_roof_shapes(shape: str, roof: str) -> None:
    found = tags.building({"building": "house", "roof:shape": shape}, 100)
    assert found is not None
    assert found[2] == roof


def test_roads_have_a_kind_a_width_and_a_surface() -> None:
    assert tags.road({"highway": "residential"}) == ("residential", 6.5, True)
    assert tags.road({"highway": "primary", "lanes": "4"}) == ("primary", pytest.approx(13.2), True)
    assert tags.road({"highway": "track", "width": "2.5"}) == ("track", 2.5, False)
    assert tags.road({"highway": "service", "surface": "gravel"}) == ("service", 4.0, False)
    assert tags.road({"highway": "proposed"}) is None
    assert tags.road({"highway": "residential", "width": "1000"}) == ("residential", 60.0, True)


def test_other_layers() -> None:
    assert tags.area({"landuse": "forest"}) == "forest"
    assert tags.area({"natural": "water", "landuse": "forest"}) == "water"
    assert tags.area({"landuse": "unheard of"}) is None
    assert tags.rail({"railway": "tram", "tracks": "2"}) == ("tram", 2)
    assert tags.rail({"railway": "abandoned"}) is None
    assert tags.waterway({"waterway": "river", "width": "40"}) == ("river", 40.0)
    assert tags.barrier({"natural": "tree_row"}) == "tree_row"
    assert tags.poi({"shop": "bakery"}) == "shop"
    assert tags.place({"place": "village"}) is None
    assert tags.place({"place": "village", "name": "Au"}) == "village"


def test_other_tags_of_gdal_are_taken_apart() -> None:
    text = r'"building:levels"=>"3","note"=>"a \"quoted\" word, and a comma"'
    assert tags.parse_hstore(text) == {"building:levels": "3", "note": 'a "quoted" word, and a comma'}


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    assert isinstance(tags.parse_hstore(text), dict)
    assert (tags.metres(text) or 1.0) > 0
    found = tags.road({"highway": "residential", "width": text, "lanes": text})
    assert found is not None
    assert 1.0 <= found[1] <= 60.0
