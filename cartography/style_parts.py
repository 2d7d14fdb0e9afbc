"""Colours, lettering and road widths that several of the named styles are composed of."""

from __future__ import annotations

from collections.abc import Mapping

from cartography.scene import AreaKind, PlaceKind, PoiKind, RoadKind
from cartography.style import Colour, FillStyle, LineStyle, TextStyle

SANS = ("DejaVu Sans Book",)
WEB = ("Source Sans Pro Regular", "DejaVu Sans Book")
WEB_BOLD = ("Source Sans Pro Semibold", "DejaVu Sans Bold", "DejaVu Sans Book")
BOLD = ("DejaVu Sans Bold", "DejaVu Sans Book")
ITALIC = ("DejaVu Sans Oblique", "DejaVu Sans Book")
SERIF = ("DejaVu Serif Book", "DejaVu Sans Book")


def grey(level: int) -> Colour:
    """Return a neutral colour.

    Args:
        level: Brightness, 0 to 255.

    Returns:
        The colour.
    """
    return (level, level, level)


def fills(colours: Mapping[AreaKind, Colour], outline: Colour | None = None) -> dict[AreaKind, FillStyle]:
    """Return one plain fill for every kind given.

    Args:
        colours: Colour by kind of area.
        outline: Colour of all outlines; none by default.

    Returns:
        Fill by kind of area.
    """
    return {kind: FillStyle(colour, outline) for kind, colour in colours.items()}


def place_texts(colour: Colour, size: float, fonts: tuple[str, ...] = BOLD) -> dict[PlaceKind, TextStyle]:
    """Return the lettering of places: the more important, the larger.

    Args:
        colour: Colour of all names.
        size: Size of a hamlet's name in pixels.
        fonts: Faces, the preferred one first.

    Returns:
        Lettering by kind of place.
    """
    steps: dict[PlaceKind, float] = {
        "city": 1.6, "town": 1.4, "suburb": 1.15, "village": 1.2, "hamlet": 1.0, "locality": 0.95,
    }  # fmt: skip
    return {kind: TextStyle(colour, size * step, fonts=fonts) for kind, step in steps.items()}


def ramp(
    colours: Mapping[RoadKind, Colour], casing: Colour | None, casing_px: float = 1.0, factor: float = 1.0
) -> dict[RoadKind, LineStyle]:
    """Return cased roads of metric width, each with a least width in pixels that keeps the hierarchy at small scales.

    Args:
        colours: Colour by kind of road.
        casing: Colour of all casings; none if None.
        casing_px: Width of a casing on each side in pixels.
        factor: Factor on the metric width.

    Returns:
        Line by kind of road.
    """
    least: dict[RoadKind, float] = {
        "motorway": 5, "primary": 4.5, "secondary": 4, "tertiary": 3.5, "residential": 2.5, "service": 1.5,
        "pedestrian": 1.5, "track": 1.2, "path": 1.0,
    }  # fmt: skip
    lines = {k: LineStyle(c, factor, least[k], casing=casing, casing_px=casing_px) for k, c in colours.items()}
    if "path" in lines:
        lines["path"] = LineStyle(colours["path"], 0.6, 1.0, 2.0, dash_px=(4, 3))
    if "track" in lines:
        lines["track"] = LineStyle(colours["track"], 0.7, 1.2, 3.0)
    return lines


PIN_COLOURS: dict[PoiKind, Colour] = {
    "shop": (78, 130, 226), "food": (240, 146, 40), "transit": (66, 110, 190), "parking": (92, 108, 204),
    "lodging": (232, 86, 140), "health": (222, 82, 70), "school": (104, 124, 136), "worship": (110, 122, 132),
    "sight": (20, 160, 160), "service": (104, 124, 136),
}  # fmt: skip
