"""Lettering for the OpenCV renderer: no layout, no font files; words of strokes, as dense and as large as real ones.

Latin text uses OpenCV's stroke fonts. The characters of other scripts are synthetic glyphs of random strokes, always
the same for the same character.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress
from typing import TypeVar

import cv2
import numpy as np
import shapely

from cartography.canvas import UNIT, Canvas
from cartography.hashing import generator, unit
from cartography.scene import Area, Poi, Road, Scene
from cartography.style import Colour, PoiStyle, Style, TextStyle

F = TypeVar("F", Area, Road, Poi)

REACH_PX = 80
"""No label reaches farther from its feature: what would is not written, so that none is cut at a chunk's edge."""

_SIDEWAYS = 3.5
"""The name of a point of interest stands beside its pin if it is shorter than so many pins, else below it."""

_REFERENCE_GSD = 0.5
"""At this ground sample distance or finer every name of a point may be written; farther out fewer, as on real maps."""


def draw_labels(canvas: Canvas, scene: Scene, style: Style) -> None:
    """Write road, water and place names, shields, and points of interest with their pins.

    Args:
        canvas: Canvas of three channels.
        scene: What lies in its frame, with a margin of `REACH_PX` pixels.
        style: The map style.
    """
    density = style.generalisation.label_density
    if density == 0:
        return
    if style.road_text:
        _draw_road_names(canvas, scene, style.road_text, style.shield, density)
    if style.water_text:
        for area in _chosen([a for a in scene.areas if a.name], density):
            _write(canvas, area.name, _place(canvas, area.geometry.centroid), style.water_text)
    if style.pois:
        _draw_pois(canvas, scene, style.pois, density)
    for place in scene.places:
        text = style.places.get(place.kind)
        if text and place.name:
            _write(canvas, place.name, _place(canvas, place.geometry), text)


def _chosen(features: Sequence[F], share: float) -> list[F]:
    """A share of the features, by their keys."""
    draws = unit(0, "label", np.array([f.key for f in features], np.uint64))
    return list(compress(features, (draws < share).tolist()))


def _place(canvas: Canvas, point: shapely.Point) -> np.ndarray:
    return canvas.fixed(shapely.get_coordinates(point))[0] / UNIT


def _draw_road_names(canvas: Canvas, scene: Scene, text: TextStyle, shield: Colour | None, density: float) -> None:
    for road in _chosen([r for r in scene.roads if r.name or r.ref], density):
        points = canvas.fixed(shapely.get_coordinates(road.geometry)) / UNIT
        middle = len(points) // 2
        direction = points[middle] - points[middle - 1]
        place = (points[middle] + points[middle - 1]) / 2
        if shield and road.ref:
            _draw_shield(canvas, road.ref[:8], place, shield)
        elif road.name:
            length = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
            if length > 0.4 * len(road.name) * text.size_px * canvas.scale:
                angle = float(np.degrees(np.arctan2(direction[1], direction[0])))
                _write(canvas, road.name, place, text, (angle + 90) % 180 - 90)


def _draw_shield(canvas: Canvas, ref: str, place: np.ndarray, colour: Colour) -> None:
    half = np.array([4 + 3.2 * len(ref), 6.5]) * canvas.scale
    low, high = np.rint(place - half).astype(int).tolist(), np.rint(place + half).astype(int).tolist()
    cv2.rectangle(canvas.pixels, low, high, colour, -1)
    _write(canvas, ref, place, TextStyle((255, 255, 255), 9.5, halo=None))


def _draw_pois(canvas: Canvas, scene: Scene, style: PoiStyle, density: float) -> None:
    share = density * min(1.0, (_REFERENCE_GSD / canvas.frame.gsd) ** 1.5)
    size = style.size_px * canvas.scale
    for poi in _chosen([p for p in scene.pois if p.kind in style.colours], share):
        x, y = _place(canvas, poi.geometry)
        _draw_pin(canvas, np.array([x, y]), size, style.colours[poi.kind], style.shape)
        if poi.name and style.text:
            height, width = text_mask(poi.name, round(style.text.size_px * canvas.scale), style.text.fonts[0]).shape
            beside = np.array([(1 if poi.key % 2 else -1) * (size * 0.6 + width / 2), -size * 0.4])
            below = np.array([0.0, size * 0.6 + height / 2])
            _write(canvas, poi.name, np.array([x, y]), style.text, shift=beside if width < _SIDEWAYS * size else below)


def _draw_pin(canvas: Canvas, tip: np.ndarray, size: float, colour: Colour, shape: str) -> None:
    radius = size / 2
    centre = tip - [0, size * 0.75] if shape == "drop" else tip
    c = (round(centre[0]), round(centre[1]))
    if shape == "square":
        cv2.rectangle(
            canvas.pixels,
            (c[0] - round(radius), c[1] - round(radius)),
            (c[0] + round(radius), c[1] + round(radius)),
            colour,
            -1,
        )
        return
    cv2.circle(canvas.pixels, c, round(radius * 1.15), (255, 255, 255), -1)
    cv2.circle(canvas.pixels, c, round(radius), colour, -1)
    if shape == "drop":
        flank = np.array(
            [[c[0] - radius * 0.8, c[1] + radius * 0.55], [c[0] + radius * 0.8, c[1] + radius * 0.55], tip]
        )
        cv2.fillConvexPoly(canvas.pixels, np.rint(flank).astype(np.int32), colour)
    cv2.circle(canvas.pixels, c, round(radius * 0.4), (255, 255, 255), -1)


def _write(
    canvas: Canvas, text: str, place: np.ndarray, style: TextStyle, angle: float = 0.0, shift: np.ndarray | None = None
) -> None:
    """Write text centred at a subpixel `place`, moved by `shift`, rotated by `angle` degrees clockwise."""
    mask = text_mask(text, round(style.size_px * canvas.scale), style.fonts[0])
    halo = round(style.halo_px * canvas.scale) if style.halo else 0
    reach = int(np.hypot(*mask.shape) / 2) + halo + 2
    centre = place if shift is None else place + shift
    if np.abs(centre - place).max() + reach > REACH_PX * canvas.scale:
        return
    turn = cv2.getRotationMatrix2D((mask.shape[1] / 2, mask.shape[0] / 2), -angle, 1.0)
    # Half the size of the turned letters.
    across, down = (np.abs(turn[:, :2]) @ mask.shape[::-1] / 2 + halo + 2).astype(int).tolist()
    left, top = round(centre[0]) - across, round(centre[1]) - down
    height, width = canvas.pixels.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + 2 * across, width), min(top + 2 * down, height)
    if x0 >= x1 or y0 >= y1:
        return
    turn[:, 2] += [across - mask.shape[1] / 2, down - mask.shape[0] / 2]
    turned = cv2.warpAffine(mask, turn, (2 * across, 2 * down), flags=cv2.INTER_NEAREST)
    part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    if style.halo:
        square = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * halo + 1, 2 * halo + 1))
        canvas.imprint(cv2.dilate(turned, square)[part], style.halo, x0, y0)
    canvas.imprint(turned[part], style.colour, x0, y0)


@lru_cache(maxsize=2000)
def text_mask(text: str, size: int, font: str = "") -> np.ndarray:
    """Letters of a word, 255 on 0, `size` subpixels an em, in the stroke font nearest to `font`: uint8 (H, W).

    Args:
        text: A word.
        size: Size in subpixels an em.
        font: Name of a face, of which serifs, weight and slant are taken over.

    Returns:
        uint8 (H, W), 255 on letters, else 0.
    """
    if text.isascii():
        face = cv2.FONT_HERSHEY_COMPLEX if "Serif" in font else cv2.FONT_HERSHEY_SIMPLEX
        if "Oblique" in font:
            face = cv2.FONT_HERSHEY_COMPLEX | cv2.FONT_ITALIC
        stroke = max(1, round(size * (0.15 if "Bold" in font else 0.11)))
        scale = size / 30.0
        (width, height), baseline = cv2.getTextSize(text, face, scale, stroke)
        mask = np.zeros((height + baseline + 2 * stroke, width + 2 * stroke), np.uint8)
        cv2.putText(mask, text, (stroke, height + stroke), face, scale, (255,), stroke)
        return mask
    return np.concatenate([_glyph(character, size) for character in text], axis=1)


@lru_cache(maxsize=2000)
def _glyph(character: str, size: int) -> np.ndarray:
    """A synthetic glyph: strokes of the kind and number that its script has."""
    code = ord(character)
    wide = code > 0x2E00
    width = size if wide else round(size * 0.62)
    mask = np.zeros((round(size * 1.15), width), np.uint8)
    if character == " ":
        return mask
    random = generator(code)
    stroke = max(1, round(size * (0.075 if wide else 0.1)))
    for _ in range(int(random.integers(4, 9) if wide else random.integers(2, 4))):
        start = random.uniform(0.12, 0.88, 2)
        straight = random.random() < 0.75
        step = np.array([random.uniform(0.3, 0.8), 0.0])[:: 1 if random.random() < 0.55 else -1]
        end = start + (step if straight else random.uniform(-0.5, 0.5, 2))
        points = np.clip(np.stack([start, end]), 0.1, 0.9) * [width, size]
        a, b = np.rint(points).astype(int).tolist()
        cv2.line(mask, a, b, (255,), stroke)
    if not wide:
        centre = (int(width * 0.5), int(size * 0.6))
        cv2.ellipse(
            mask, centre, (int(width * 0.3), int(size * 0.24)), 0, float(random.uniform(0, 180)), 360, (255,), stroke
        )
    return mask
