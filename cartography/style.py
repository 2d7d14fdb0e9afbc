"""How a map looks, as plain data that every renderer reads in the same way.

Colours are (red, green, blue) 0-255. Widths and sizes ending in `_px` are pixels of the map, whatever its ground sample
distance; everything else follows the features' own metric widths. What a style has no entry for is not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from cartography.scene import AreaKind, PlaceKind, PoiKind, RailKind, RoadKind

Colour: TypeAlias = tuple[int, int, int]

AREA_ORDER: tuple[AreaKind, ...] = (
    "residential", "commercial", "industrial", "public", "farmland", "orchard", "vineyard", "grass", "scrub", "forest",
    "rock", "sand", "bare", "glacier", "wetland", "construction", "park", "garden", "cemetery", "square", "parking",
    "playground", "pitch", "water",
)  # fmt: skip
"""Areas are drawn kind by kind in this order, so that water lies on a park and a pitch on a school ground."""

ROAD_ORDER: tuple[RoadKind, ...] = (
    "path", "track", "pedestrian", "service", "residential", "tertiary", "secondary", "primary", "motorway",
)  # fmt: skip
"""Least important first. Casings of all roads come before the fills of all roads; bridges come after both."""


@dataclass(frozen=True)
class FillStyle:
    """A filled polygon; `hatch` draws parallel lines `hatch_px` apart over the fill."""

    fill: Colour | None
    outline: Colour | None = None
    outline_px: float = 1.0
    hatch: Colour | None = None
    hatch_px: float = 6.0


@dataclass(frozen=True)
class LineStyle:
    """A line of the feature's metric width times `width_factor`, within [`min_px`, `max_px`].

    A casing adds `casing_px` a side. `dash_px` alternates drawn and left-out lengths.
    """

    colour: Colour
    width_factor: float = 1.0
    min_px: float = 1.0
    max_px: float = 100.0
    casing: Colour | None = None
    casing_px: float = 1.0
    dash_px: tuple[float, float] | None = None

    def width_px(self, width: float, gsd: float) -> float:
        """Return the width of a line in pixels, without its casing.

        Args:
            width: Width of the feature in scene units.
            gsd: Ground sample distance, scene units a pixel.

        Returns:
            Width in pixels of the map.
        """
        return min(max(width * self.width_factor / gsd, self.min_px), self.max_px)


@dataclass(frozen=True)
class TextStyle:
    """Lettering; `fonts` are tried in turn. A `halo` is an outline of `halo_px` round the letters."""

    colour: Colour
    size_px: float = 11.0
    halo: Colour | None = (255, 255, 255)
    halo_px: float = 1.5
    fonts: tuple[str, ...] = ("DejaVu Sans Book",)


PinShape = Literal["drop", "disc", "square"]


@dataclass(frozen=True)
class PoiStyle:
    """A pin of `size_px` in the colour of its kind, with the name beside it."""

    colours: Mapping[PoiKind, Colour]
    shape: PinShape = "drop"
    size_px: float = 14.0
    text: TextStyle | None = None


@dataclass(frozen=True)
class Generalisation:
    """What a map leaves out or changes. Shares are of the features, chosen by the hash of their keys."""

    buildings_omitted: float = 0.0
    smaller_omitted: float = 0.0
    """Buildings of less than this area (square units) are left out."""
    blocks_filled: bool = False
    """Built-up areas are drawn, buildings are not: the manner of small scales and of many commercial maps."""
    paths_omitted: float = 0.0
    simplify_px: float = 0.0
    label_density: float = 1.0
    """Share of the names that are written."""


@dataclass(frozen=True)
class Style:
    """A whole map style. Layers are drawn in the order of the fields below."""

    name: str
    background: Colour
    areas: Mapping[AreaKind, FillStyle]
    contour: LineStyle | None = None
    index_contour: LineStyle | None = None
    waterway: LineStyle | None = None
    building: FillStyle | None = None
    tree: Colour | None = None
    barrier: LineStyle | None = None
    roads: Mapping[RoadKind, LineStyle] = field(default_factory=dict)
    rails: Mapping[RailKind, LineStyle] = field(default_factory=dict)
    sleepers: LineStyle | None = None
    """Drawn dashed over "rail" lines (the black-and-white railway of many maps)."""
    road_text: TextStyle | None = None
    shield: Colour | None = None
    water_text: TextStyle | None = None
    places: Mapping[PlaceKind, TextStyle] = field(default_factory=dict)
    pois: PoiStyle | None = None
    generalisation: Generalisation = Generalisation()
