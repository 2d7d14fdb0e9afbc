"""Lettering: what is written, where, in which fonts."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from cartography import fonts
from cartography.frame import Frame
from cartography.label_layout import SAME_NAME_PX, Label, Text, place_labels
from cartography.mapnik_renderer import MapnikRenderer, render_map
from cartography.procedural import SyntheticScene
from cartography.scene import Place, Poi, Road, Scene
from cartography.style import Style, TextStyle
from cartography.styles import NAMES, named

pytestmark = pytest.mark.unit

TOWN = SyntheticScene(5, "town")
FRAME = Frame(0, 400, 1.0, 600, 400)
SCRIPTS = {
    "Latin": "Grüningen", "Cyrillic": "Новгород", "Greek": "Πάτρα", "Arabic": "شارع", "Hebrew": "חיפה",
    "Chinese": "上海南路", "Japanese": "さくら通り", "Korean": "서울로", "Thai": "กรุงเทพ", "Devanagari": "मुंबई",
    "Bengali": "ঢাকা", "Ethiopic": "አዲስ አበባ", "Tamil": "சென்னை", "Khmer": "ភ្នំពេញ", "Georgian": "თბილისი",
    "simplified Chinese": "广东东门长沙义乌", "Gujarati": "અમદાવાદ", "Burmese": "ရန်ကုန်",
}  # fmt: skip


def _named_place(name: str, style: Style) -> np.ndarray:
    scene = Scene(FRAME.bounds, places=(Place(shapely.Point(300, 200), "town", name, 1),))
    return render_map(scene, FRAME, style)


@pytest.mark.parametrize("style", NAMES)
def test_labels_do_not_touch_each_other_or_the_edge(style: str) -> None:
    renderer = MapnikRenderer(TOWN, Frame(100, 900, 0.6, 700, 500), named(style))
    spaces = [label.space for label in renderer.labels]
    assert len(spaces) > 3
    for i, space in enumerate(spaces):
        assert shapely.box(0, -500, 700, 0).contains(space)
        assert not any(space.intersects(other) for other in spaces[i + 1 :])


def test_layout_agrees_with_a_slow_obvious_one() -> None:
    random = np.random.default_rng(2)
    labels = []
    for i, (x, y) in enumerate(random.uniform(0, 600, (300, 2))):
        space = shapely.box(x, -y, x + 60, -y + 15)
        text = Text(f"name {random.integers(40)}", TextStyle((0, 0, 0)), space.centroid)
        labels.append(Label((int(random.integers(5)), i), int(random.integers(1, 120)), space, (text,)))
    canvas = shapely.box(0, -620, 650, 0)

    placed: list[Label] = []
    for label in sorted(labels, key=lambda each: each.rank):
        free = not any(label.space.intersects(other.space) for other in placed)
        alone = not any(label.group == other.group for other in placed)
        far = not any(
            label.texts[0].text == other.texts[0].text and label.space.distance(other.space) <= SAME_NAME_PX
            for other in placed
        )
        if free and alone and far and canvas.contains_properly(label.space):
            placed.append(label)
    assert place_labels(labels, canvas) == placed[::-1]
    assert 10 < len(placed) < 200


def test_a_street_is_named_along_its_line_and_its_pieces_once() -> None:
    pieces = tuple(
        Road(
            shapely.LineString([(x, 100 + x / 2), (x + 70, 135 + x / 2)]), "residential", 8, x + 1, name="Split Street"
        )
        for x in range(20, 440, 70)
    )
    renderer = MapnikRenderer(Scene(FRAME.bounds, roads=pieces), FRAME, named("osm-carto"))
    (label,) = renderer.labels
    dx, dy = np.diff(shapely.get_coordinates(label.texts[0].geometry)[[0, -1]], axis=0)[0]
    assert dy / dx == pytest.approx(0.5, abs=0.01)


def test_important_names_come_first() -> None:
    places = (Place(shapely.Point(300, 200), "hamlet", "Hamlet", 1), Place(shapely.Point(310, 202), "city", "City", 2))
    renderer = MapnikRenderer(Scene(FRAME.bounds, places=places), FRAME, named("osm-carto"))
    assert [label.texts[0].text for label in renderer.labels] == ["City"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_letters_of_its_own(script: str) -> None:
    style = named("osm-carto")
    faces = style.places["town"].fonts
    assert fonts.writable(SCRIPTS[script], faces)
    blank = render_map(Scene(FRAME.bounds), FRAME, style)
    written = _named_place(SCRIPTS[script], style)
    assert (written != blank).any(axis=2).sum() > 150
    # Boxes for missing characters would look the same in any order.
    assert not np.array_equal(written, _named_place(SCRIPTS[script][::-1], style))


def test_a_name_no_font_can_write_is_left_out() -> None:
    style = named("osm-carto")
    assert not fonts.writable("\U0001f5fe", style.places["town"].fonts)
    assert np.array_equal(_named_place("Mu \U0001f5fe", style), render_map(Scene(FRAME.bounds), FRAME, style))


def test_names_that_no_font_can_write_are_told() -> None:
    places = [
        Place(shapely.Point(300, 200), "town", name, key)
        for key, name in enumerate(("Town", "Mu \U0001f5fe", "\U000130b8"))
    ]
    roads = [Road(shapely.LineString([(0, 9), (99, 9)]), "residential", 8, 2, name="\U00012000 Road", ref="")]
    renderer = MapnikRenderer(Scene(FRAME.bounds, places=tuple(places), roads=tuple(roads)), FRAME, named("osm-carto"))
    assert renderer.unwritable_names == ["Mu \U0001f5fe", "\U00012000 Road", "\U000130b8"]
    assert MapnikRenderer(TOWN, FRAME, named("osm-carto")).unwritable_names == []


def test_marks_that_show_nothing_need_no_letter() -> None:
    assert fonts.writable("\u2066Bahnhof\u2069 \u200eA\ufeff", named("osm-carto").places["town"].fonts)


def test_the_digest_of_the_fonts_changes_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fonts.fonts_digest.__wrapped__()
    files = dict(fonts.font_files())
    monkeypatch.setattr(fonts, "font_files", lambda: {face: path for face, path in files.items() if "Thai" not in face})
    without = fonts.fonts_digest.__wrapped__()
    other = tmp_path / "thai.ttf"
    other.write_bytes(files["Noto Sans Thai Regular"].read_bytes() + b"x")
    monkeypatch.setattr(fonts, "font_files", lambda: files | {"Noto Sans Thai Regular": other})
    assert len({before, without, fonts.fonts_digest.__wrapped__()}) == 3


def test_unknown_fonts_fall_back_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    fonts.resolve.cache_clear()
    base = named("osm-carto")
    unknown = {kind: replace(text, fonts=("Nonexistent Grotesk",)) for kind, text in base.places.items()}
    plain = {kind: replace(text, fonts=("DejaVu Sans Book",)) for kind, text in base.places.items()}
    with caplog.at_level(logging.WARNING):
        fallen_back = _named_place("Fallback", replace(base, places=unknown))
    assert np.array_equal(fallen_back, _named_place("Fallback", replace(base, places=plain)))
    assert "font 'Nonexistent Grotesk' is not among" in caplog.text


def test_names_with_markup_and_line_breaks_are_only_letters() -> None:
    for name in ("A & B <c> \"d\" 'e' [f]", "Two\nlines", "tab\tbed", " "):
        _named_place(name, named("osm-carto"))


def test_pins_shields_and_names_are_drawn() -> None:
    scene = Scene(
        FRAME.bounds,
        roads=(Road(shapely.LineString([(0, 50), (600, 60)]), "primary", 12, 1, ref="B 27", name="Main Road"),),
        pois=(Poi(shapely.Point(200, 250), "food", "Café Zürich", 2), Poi(shapely.Point(400, 250), "shop", "", 3)),
    )
    style = named("web-light")
    style = replace(style, generalisation=replace(style.generalisation, label_density=1.0))
    renderer = MapnikRenderer(scene, FRAME, style)
    texts = Counter(text.text for label in renderer.labels for text in label.texts)
    assert texts == {"B 27": 1, "Main Road": 1, "Café Zürich": 1}
    image = renderer.render()
    assert style.pois is not None
    for colour in (style.shield, style.pois.colours["food"], style.pois.colours["shop"]):
        assert (image == np.array(colour)).all(axis=2).sum() > 30
    # The tip of a pin stands on its place: pixel (200, 150) of y down.
    assert (image[140:150, 195:206] == np.array(style.pois.colours["food"])).all(axis=2).any()
    assert not (image[153:, 195:206] == np.array(style.pois.colours["food"])).all(axis=2).any()


def test_measured_width_is_near_what_mapnik_draws() -> None:
    style = replace(named("osm-carto"), background=(255, 255, 255))
    plain = {"town": TextStyle((0, 0, 0), 20.0, None)}
    for name in ("Oberammergau", "Новгород", "上海南路"):
        image = _named_place(name, replace(style, places=plain))
        columns = np.nonzero((image < 128).any(axis=(0, 2)))[0]
        assert fonts.text_width(name, plain["town"].fonts, 20.0) == pytest.approx(np.ptp(columns), rel=0.08)
