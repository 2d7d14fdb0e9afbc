"""Where the lettering of a map goes: decided once for the whole map, so that no block of it can cut or double a label.

Everything is in canvas coordinates: pixels from the top-left corner of the map, x right, y up (the map has y < 0).
Labels are tried in order of importance and dropped where they would touch one that is already there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from cartography.fonts import text_width, writable
from cartography.hashing import mix, unit_of
from cartography.scene import Area, Place, Poi, Road, Scene
from cartography.style import ROAD_ORDER, Colour, PoiStyle, Style, TextStyle

REPEAT_PX = 700
"""A name is written again along its line after about this many pixels."""
SAME_NAME_PX = 260
"""Two labels of the same text are at least this far apart."""
CLEARANCE_PX = 3.0
WIDEST_PX = 420

_PLACE_RANK = {"city": 0, "town": 1, "suburb": 2, "village": 2, "hamlet": 3, "locality": 4}
SHIELD_FONTS = ("Source Sans Pro Bold", "DejaVu Sans Bold")
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Text:
    """Lettering centred on a point, or along a line that is a little longer than the text."""

    text: str
    style: TextStyle
    geometry: BaseGeometry


@dataclass(frozen=True)
class Mark:
    """A plain shape under the lettering: part of a shield or of a pin."""

    fill: Colour
    geometry: BaseGeometry


@dataclass(frozen=True)
class Label:
    """What is drawn together or not at all. The lowest `rank` (class of importance, then a hash) is placed first.

    Labels of the same non-zero `group` are alternatives: one of them is placed.
    """

    rank: tuple[int, int]
    group: int
    space: BaseGeometry
    texts: tuple[Text, ...]
    marks: tuple[Mark, ...] = ()


ToCanvas: TypeAlias = Callable[[Any], Any]
"""Converts a scene geometry to canvas coordinates."""


def candidates(scene: Scene, style: Style, to_canvas: ToCanvas) -> Iterator[Label]:
    """Yield every label the style could draw for a scene's named features. Names no font can write are left out.

    Args:
        scene: The named features of the whole map.
        style: The map style.
        to_canvas: Converts scene geometries to canvas coordinates.

    Returns:
        The labels, in no particular order.
    """
    density = style.generalisation.label_density

    def chosen(name: str, text: TextStyle) -> bool:
        return bool(name) and writable(name, text.fonts) and unit_of(0, "label", mix(*name.encode())) < density

    for place in scene.places:
        text = style.places.get(place.kind)
        if text and place.name and writable(place.name, text.fonts):
            yield _place(place, text, to_canvas)
    if style.pois:
        for poi in scene.pois:
            if poi.kind in style.pois.colours and unit_of(0, "pin", poi.key) < density:
                yield _pin(poi, style.pois, to_canvas)
    if style.road_text:
        named = [r for r in scene.roads if chosen(r.name, style.road_text) and not r.tunnel and r.kind in style.roads]
        yield from _street_names(named, style.road_text, to_canvas)
        if style.shield:
            for road in scene.roads:
                if road.ref and not road.tunnel and road.kind in style.roads and writable(road.ref, SHIELD_FONTS):
                    yield from _shields(road, style.shield, style.road_text, to_canvas)
    if style.water_text:
        for water in scene.waterways:
            if chosen(water.name, style.water_text):
                yield from _along(water.name, style.water_text, to_canvas(water.geometry), 9, water.key)
    for area in scene.areas:
        text = _area_text(area, style)
        if text and chosen(area.name, text):
            yield from _area_name(area, text, to_canvas)


def unwritable_names(scene: Scene, style: Style) -> list[str]:
    """Return the names, sorted, that a map does not show because no font has all of their letters.

    Args:
        scene: The named features of the whole map.
        style: The map style.
    """
    texts = [
        *((place.name, style.places.get(place.kind)) for place in scene.places),
        *((poi.name, style.pois.text if style.pois else None) for poi in scene.pois),
        *((road.name, style.road_text) for road in scene.roads),
        *((water.name, style.water_text) for water in scene.waterways),
        *((area.name, _area_text(area, style)) for area in scene.areas),
    ]
    return sorted({name for name, text in texts if name and text and not writable(name, text.fonts)})


def place_labels(labels: Iterable[Label], canvas: Polygon) -> list[Label]:
    """Return the labels to draw, in drawing order.

    None touches another or the edge of the canvas; a group has one at most; the same text keeps its distance.

    Args:
        labels: Candidates, as `candidates` yields them.
        canvas: Outline of the map in canvas coordinates.

    Returns:
        The placed labels in drawing order.
    """
    ordered = sorted(labels, key=lambda label: label.rank)
    if not ordered:
        return []
    spaces = np.array([label.space for label in ordered], object)
    tree = shapely.STRtree(spaces)
    shapely.prepare(spaces)
    near = _neighbours(tree.query(spaces, "intersects"), len(ordered))
    repeats = _neighbours(tree.query(spaces, "dwithin", SAME_NAME_PX), len(ordered))
    inside = shapely.contains_properly(canvas, spaces)
    placed: list[int] = []
    taken = np.zeros(len(ordered), bool)
    groups: set[int] = set()
    for i, label in enumerate(ordered):
        if not inside[i] or label.group in groups or taken[near[i]].any():
            continue
        name = label.texts[0].text if label.texts else ""
        if name and any(taken[j] and ordered[j].texts and ordered[j].texts[0].text == name for j in repeats[i]):
            continue
        placed.append(i)
        taken[i] = True
        if label.group:
            groups.add(label.group)
    return [ordered[i] for i in reversed(placed)]


def _neighbours(pairs: np.ndarray, count: int) -> list[np.ndarray]:
    order = np.argsort(pairs[0], kind="stable")
    return np.split(pairs[1][order], np.searchsorted(pairs[0][order], np.arange(1, count)))


def _box(x: float, y: float, width: float, height: float) -> Polygon:
    return shapely.box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _text_box(text: str, style: TextStyle, x: float, y: float) -> Polygon:
    lines = text.split("\n")
    width = max(text_width(line, style.fonts, style.size_px) for line in lines)
    halo = 2 * style.halo_px if style.halo else 0
    return _box(x, y, width + halo + CLEARANCE_PX, 1.25 * style.size_px * len(lines) + halo + CLEARANCE_PX)


def _broken(text: str, style: TextStyle, widest: float) -> str:
    """Break a long name into two lines at the space nearest to its middle."""
    spaces = [i for i, character in enumerate(text) if character == " "]
    if not spaces or text_width(text, style.fonts, style.size_px) <= widest:
        return text
    middle = min(spaces, key=lambda i: abs(i - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def _place(place: Place, style: TextStyle, to_canvas: ToCanvas) -> Label:
    at = to_canvas(place.geometry)
    text = _broken(place.name, style, 11 * style.size_px)
    return Label((_PLACE_RANK[place.kind], place.key), 0, _text_box(text, style, at.x, at.y), (Text(text, style, at),))


def _area_text(area: Area, style: Style) -> TextStyle | None:
    if area.kind == "water":
        return style.water_text
    return (style.pois and style.pois.text) or style.road_text


def _pin(poi: Poi, style: PoiStyle, to_canvas: ToCanvas) -> Label:
    at = to_canvas(poi.geometry)
    size, colour = style.size_px, style.colours[poi.kind]
    if style.shape == "drop":
        outer, inner, dot = _drop(at, size, 1.2), _drop(at, size, 0.0), Point(at.x, at.y + size).buffer(size * 0.19, 8)
        marks: tuple[Mark, ...] = (Mark(_WHITE, outer), Mark(colour, inner), Mark(_WHITE, dot))
    elif style.shape == "disc":
        marks = (Mark(_WHITE, at.buffer(size / 2 + 1, 8)), Mark(colour, at.buffer(size / 2, 8)))
    else:
        marks = (Mark(colour, _box(at.x, at.y, size, size)), Mark(_WHITE, _box(at.x, at.y, size * 0.35, size * 0.35)))
    space = shapely.envelope(marks[0].geometry)
    texts: tuple[Text, ...] = ()
    if poi.name and style.text and writable(poi.name, style.text.fonts):
        text = _broken(poi.name, style.text, 12 * style.text.size_px)
        box = _text_box(text, style.text, 0, 0)
        _, bottom, right, top = space.bounds
        centre = Point(right + box.bounds[2] + 1, (bottom + top) / 2)
        texts = (Text(text, style.text, centre),)
        space = shapely.convex_hull(space.union(_text_box(text, style.text, centre.x, centre.y)))
    return Label((20 if texts else 60, poi.key), 0, space, texts, marks)


def _drop(tip: Point, size: float, margin: float) -> BaseGeometry:
    """A pin whose tip stands on its point: a disc of diameter 0.8 `size` over a wedge."""
    disc = Point(tip.x, tip.y + size).buffer(size * 0.4 + margin, 10)
    return shapely.convex_hull(disc.union(Point(tip.x, tip.y - margin)))


def _street_names(roads: list[Road], style: TextStyle, to_canvas: ToCanvas) -> Iterator[Label]:
    """One label every so often along each street; pieces of the same name are joined first."""
    streets: dict[tuple[str, int], list[Road]] = {}
    for road in roads:
        streets.setdefault((road.name, 9 - ROAD_ORDER.index(road.kind)), []).append(road)
    for (name, importance), pieces in streets.items():
        merged = shapely.line_merge(shapely.MultiLineString([piece.geometry for piece in pieces]))
        for line in shapely.get_parts(merged):
            yield from _along(name, style, to_canvas(line), 10 + importance, min(piece.key for piece in pieces))


def _along(text: str, style: TextStyle, line: LineString, rank: int, key: int) -> Iterator[Label]:
    width = text_width(text, style.fonts, style.size_px)
    room = width * 1.12 + style.size_px
    if width > WIDEST_PX or line.length < room:
        return
    count = max(1, round(line.length / REPEAT_PX))
    for repeat in range(count):
        centre = (repeat + 0.5) * line.length / count
        group = mix(key, repeat, int(line.length * 16))
        for trial, shift in enumerate((0.0, 0.6, -0.6, 1.2, -1.2)):
            start = centre + shift * width - room / 2
            if start < 0 or start + room > line.length:
                continue
            path = substring(line, start, start + room).simplify(0.3)
            if _straight_enough(path):
                space = path.buffer(style.size_px * 0.65 + CLEARANCE_PX, 2)
                yield Label((rank + 12 * trial, group), group, space, (Text(text, style, path),))


def _straight_enough(path: BaseGeometry) -> bool:
    """No bend over 35 degrees, no more than 80 degrees of bends together."""
    steps = np.diff(shapely.get_coordinates(path), axis=0)
    bends = np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))))
    return bool(bends.size == 0 or (bends.max() < np.radians(35) and bends.sum() < np.radians(80)))


def _shields(road: Road, colour: Colour, base: TextStyle, to_canvas: ToCanvas) -> Iterator[Label]:
    line = to_canvas(road.geometry)
    style = TextStyle(_WHITE, base.size_px * 0.95, None, fonts=SHIELD_FONTS)
    text = road.ref.split(";")[0].strip()[:8]
    width = text_width(text, style.fonts, style.size_px) + 0.8 * style.size_px
    count = round(line.length / REPEAT_PX + 0.2)
    for repeat in range(count):
        at = line.interpolate((repeat + 0.25) / count, normalized=True)
        core = _box(at.x, at.y, width - 4, 1.45 * style.size_px - 4)
        marks = (Mark(_WHITE, core.buffer(3.2, 4)), Mark(colour, core.buffer(2, 4)))
        space = _box(at.x, at.y, width + 4, 1.45 * style.size_px + 4)
        yield Label((6, mix(road.key, repeat)), 0, space, (Text(text, style, at),), marks)


def _area_name(area: Area, style: TextStyle, to_canvas: ToCanvas) -> Iterator[Label]:
    """The name inside its area, where it fits."""
    shape = to_canvas(area.geometry)
    at = shape.representative_point()
    text = _broken(area.name, style, 10 * style.size_px)
    space = _text_box(text, style, at.x, at.y)
    if shape.area > 1.5 * space.area:
        yield Label((5, area.key), 0, space, (Text(text, style, at),))
