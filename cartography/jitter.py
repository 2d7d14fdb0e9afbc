"""Seeded variation of a map style, for training: colours, contrast, widths, labels, generalisation, dropped layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from cartography import styles
from cartography.hashing import generator
from cartography.style import Colour, FillStyle, Generalisation, LineStyle, Style, TextStyle
from cartography.style_parts import BOLD, ITALIC, SANS, SERIF, WEB, WEB_BOLD

PALE_SHARE = 0.36
"""Share of styles made very pale and low in contrast, as most real web maps are."""

_FONTS = (SANS, WEB, WEB_BOLD, BOLD, ITALIC, SERIF)

_DROPPABLE = ("contour", "waterway", "building", "tree", "barrier", "road_text", "water_text", "pois")


def jittered(seed: int) -> Style:
    """Return a random style: a named one with everything about it varied. The same seed gives the same style.

    Args:
        seed: Seed of the style.

    Returns:
        The style.
    """
    random = generator(seed, 0x57E1)
    weights = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 1.5])
    base = styles.named(styles.NAMES[random.choice(len(weights), p=weights / weights.sum())])
    style = _recoloured(base, _colour_change(random, base.background))
    style = _widened(style, random)
    dropped = {name: None for name in _DROPPABLE if random.random() < 0.15}
    return replace(style, name=f"{base.name}#{seed}", generalisation=_generalisation(random), **dropped)  # type: ignore[arg-type]


def _colour_change(random: np.random.Generator, background: Colour) -> Callable[[Colour], Colour]:
    """A change of colour common to the whole style, plus a private one for every colour."""
    order = random.permutation(3) if random.random() < 0.25 else np.arange(3)
    gain, tint = random.uniform(0.9, 1.05), random.normal(0, 4, 3)
    contrast = random.uniform(0.25, 0.6) if random.random() < PALE_SHARE else random.uniform(0.7, 1.3)
    spread = random.choice([2.0, 5.0, 14.0], p=[0.5, 0.35, 0.15])
    centre = np.array(background, float)
    saturation = random.uniform(0.4, 1.3)

    def change(colour: Colour) -> Colour:
        moved = np.array(colour, float)[order]
        moved = moved.mean() + (moved - moved.mean()) * saturation
        moved = centre[order] + (moved - centre[order]) * contrast
        moved = np.clip(moved * gain + tint + random.normal(0, spread, 3) * contrast, 0, 255).round()
        return (int(moved[0]), int(moved[1]), int(moved[2]))

    return change


def _recoloured(style: Style, change: Callable[[Colour], Colour]) -> Style:
    """Apply `change` to every colour of the map's surface; lettering and pins keep their strength, as real ones do."""
    return replace(
        style,
        background=change(style.background),
        areas={kind: _changed(fill, change) for kind, fill in style.areas.items()},
        roads={kind: _changed(line, change) for kind, line in style.roads.items()},
        rails={kind: _changed(line, change) for kind, line in style.rails.items()},
        **{
            name: _changed(getattr(style, name), change)
            for name in ("contour", "index_contour", "waterway", "building", "barrier", "sleepers")
            if getattr(style, name) is not None
        },
        tree=None if style.tree is None else change(style.tree),
    )


def _changed(part: Any, change: Callable[[Colour], Colour]) -> Any:
    assert is_dataclass(part)
    colours = {f.name for f in fields(part)} & {"fill", "outline", "hatch", "colour", "casing"}
    values = {name: getattr(part, name) for name in sorted(colours)}
    return replace(part, **{name: change(value) for name, value in values.items() if value is not None})  # type: ignore[type-var]


def _widened(style: Style, random: np.random.Generator) -> Style:
    """Vary road widths by 0.8-1.8 (the range that helped transfer), casings, outlines, fonts and letter sizes."""
    factor, casing, letters = random.uniform(0.8, 1.8), random.uniform(0.4, 1.6), random.uniform(0.85, 1.4)
    fonts = _FONTS[random.integers(len(_FONTS))] if random.random() < 0.5 else None
    cased = random.random() < 0.75

    def road(line: LineStyle) -> LineStyle:
        own = factor * random.uniform(0.9, 1.1)
        return replace(
            line,
            width_factor=line.width_factor * own,
            min_px=line.min_px * own,
            casing=line.casing if cased else None,
            casing_px=line.casing_px * casing,
        )

    def text(part: TextStyle | None) -> TextStyle | None:
        return part and replace(part, size_px=part.size_px * letters, fonts=fonts or part.fonts)

    building = style.building
    if building is not None and random.random() < 0.3:
        building = replace(building, outline=None)
    elif building is not None:
        building = FillStyle(
            building.fill, building.outline, random.uniform(0.7, 1.6), building.hatch, building.hatch_px
        )
    return replace(
        style,
        building=building,
        roads={kind: road(line) for kind, line in style.roads.items()},
        road_text=text(style.road_text),
        water_text=text(style.water_text),
        places={kind: replace(part, fonts=fonts or part.fonts) for kind, part in style.places.items()},
        pois=style.pois and replace(style.pois, text=text(style.pois.text), size_px=style.pois.size_px * letters),
    )


def _generalisation(random: np.random.Generator) -> Generalisation:
    return Generalisation(
        buildings_omitted=float(random.choice([0.0, random.uniform(0.1, 0.5), random.uniform(0.5, 0.95)])),
        smaller_omitted=float(random.choice([0.0, 30.0, 100.0, 300.0])),
        blocks_filled=bool(random.random() < 0.3),
        paths_omitted=float(random.uniform(0, 0.8)),
        simplify_px=float(random.choice([0.0, 0.5, 1.0])),
        label_density=float(
            random.choice([0.0, random.uniform(0, 0.4), random.uniform(0.4, 1.0)], p=[0.15, 0.45, 0.4])
        ),
    )
