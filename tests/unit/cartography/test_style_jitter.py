"""Jittered styles for training: a third very pale, everything varied, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from cartography.frame import Frame
from cartography.jitter import jittered
from cartography.lettering import text_mask
from cartography.opencv_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.style import Style
from cartography.styles import NAMES, named

pytestmark = pytest.mark.unit

STYLES = [jittered(seed) for seed in range(600)]


def _contrast(style: Style) -> float:
    """Root mean square distance of a style's fills and roads from its background, grey levels."""
    colours = [fill.fill for fill in style.areas.values() if fill.fill] + [line.colour for line in style.roads.values()]
    away = np.array(colours, float) - np.array(style.background, float)
    return float(np.sqrt((away**2).mean()))


def test_a_third_of_the_styles_is_far_paler_than_what_they_come_from() -> None:
    ratios = np.array([_contrast(style) / _contrast(named(style.name.split("#")[0])) for style in STYLES])
    assert 0.28 < (ratios < 0.55).mean() < 0.45
    assert (ratios > 0.75).mean() > 0.3


def test_a_seed_is_a_style_and_no_two_are_alike() -> None:
    assert jittered(5) == STYLES[5]
    assert len({(style.background, str(style.roads), str(style.areas)) for style in STYLES}) == len(STYLES)


def test_every_named_style_is_drawn_from_and_everything_about_it_varies() -> None:
    assert {style.name.split("#")[0] for style in STYLES} == set(NAMES)
    bases = [named(style.name.split("#")[0]) for style in STYLES]
    roads = [(style.roads["primary"], base.roads["primary"]) for style, base in zip(STYLES, bases, strict=True)]
    widths = [road.width_factor / base.width_factor for road, base in roads]
    assert min(widths) < 0.85
    assert max(widths) > 1.7
    assert len({style.road_text.fonts for style in STYLES if style.road_text}) >= 6
    general = [style.generalisation for style in STYLES]
    assert {g.blocks_filled for g in general} == {True, False}
    for values in ([g.buildings_omitted for g in general], [g.label_density for g in general]):
        assert min(values) == 0.0
        assert max(values) > 0.9


@pytest.mark.parametrize("layer", ["building", "waterway", "road_text", "barrier", "pois"])
def test_layers_are_dropped_now_and_then(layer: str) -> None:
    own = [style for style in STYLES if getattr(named(style.name.split("#")[0]), layer) is not None]
    assert 0.08 < np.mean([getattr(style, layer) is None for style in own]) < 0.25


def test_a_pale_map_is_hard_to_see_and_another_is_not() -> None:
    world, frame = SyntheticScene(3, "town"), Frame(0.0, 120.0, 1.0, 120, 120)
    pale, strong = (sorted(STYLES, key=_contrast)[n] for n in (20, -20))
    assert render_map(world, frame, pale).std() < 0.5 * render_map(world, frame, strong).std()


def test_fonts_differ() -> None:
    plain, serif, bold, italic = (
        text_mask("Letters", 40, f"DejaVu {f}") for f in ("Sans Book", "Serif Book", "Sans Bold", "Sans Oblique")
    )
    assert bold.sum() > 1.2 * plain.sum()
    assert plain.shape != serif.shape
    assert not np.array_equal(italic, plain)
