"""Painting with mapnik: symbolizers as XML, features in memory, one image out.

Coordinates are canvas coordinates: pixels from the top-left corner of the map, x to the right, y up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np

from cartography.fonts import font_files, resolve
from cartography.label_layout import SHIELD_FONTS
from cartography.mapnik_import import mapnik
from cartography.scene import Bounds
from cartography.style import Colour, Style, TextStyle

Cap = Literal["round", "butt"]
"""How a line ends."""


class Painted(NamedTuple):
    """A feature on its way into mapnik: WKB in canvas coordinates, the width of its line in pixels, its lettering."""

    wkb: bytes
    width: float = 0.0
    text: str = ""


def filled(colour: Colour) -> str:
    """Return the symbolizer of polygons in one colour.

    Args:
        colour: The colour.

    Returns:
        Mapnik XML.
    """
    return f'<PolygonSymbolizer fill="{_rgb(colour)}"/>'


def patterned(file: Path) -> str:
    """Return the symbolizer of polygons filled with an image that repeats from the map's top-left corner.

    Args:
        file: The image.

    Returns:
        Mapnik XML.
    """
    return f'<PolygonPatternSymbolizer file={quoteattr(str(file))} alignment="global"/>'


def stroked(colour: Colour, cap: Cap = "round") -> str:
    """Return the symbolizer of lines of each feature's own width.

    Args:
        colour: The colour.
        cap: How a line ends.

    Returns:
        Mapnik XML.
    """
    return (
        f'<LineSymbolizer stroke="{_rgb(colour)}" stroke-width="[width]" '
        f'stroke-linejoin="round" stroke-linecap="{cap}"/>'
    )


def lettered(style: TextStyle, along: bool) -> str:
    """Return the symbolizer of each feature's text, which mapnik may neither move nor drop.

    Args:
        style: The lettering.
        along: Does the text follow its line? Otherwise it is centred on its point.

    Returns:
        Mapnik XML.
    """
    halo = f'halo-fill="{_rgb(style.halo)}" halo-radius="{style.halo_px}"' if style.halo else ""
    placement = 'placement="line" max-char-angle-delta="90"' if along else 'placement="point"'
    return (
        f'<TextSymbolizer fontset-name="{_fontset_name(style.fonts)}" size="{style.size_px}" '
        f'fill="{_rgb(style.colour)}" {halo} {placement} justify-alignment="middle" '
        f'horizontal-alignment="middle" vertical-alignment="middle" '
        f'allow-overlap="true" avoid-edges="false">[text]</TextSymbolizer>'
    )


def paint(layers: Sequence[tuple[str, Sequence[Painted]]], bounds: Bounds, style: Style) -> np.ndarray:
    """Draw layers of (symbolizer, features) over the style's background: uint8 (height, width, 3) RGB.

    `bounds` are whole numbers: one pixel is one canvas unit.

    Args:
        layers: Symbolizers with the features that they draw, bottom to top.
        bounds: Left, bottom, right and top in canvas coordinates: whole numbers, one a pixel.
        style: The style, for its background and fonts.

    Returns:
        uint8 (height, width, 3) RGB.
    """
    _register_fonts()
    left, bottom, right, top = bounds
    width, height = round(right - left), round(top - bottom)
    drawn = {f"layer-{i}": layer for i, layer in enumerate(layers) if layer[1]}
    canvas = mapnik.Map(width, height)
    mapnik.load_map_from_string(canvas, _document(style, {name: symbolizer for name, (symbolizer, _) in drawn.items()}))
    for name, (_, features) in drawn.items():
        layer = mapnik.Layer(name)
        layer.datasource = _datasource(features)
        layer.styles.append(name)
        canvas.layers.append(layer)
    canvas.zoom_to_box(mapnik.Box2d(left, bottom, right, top))
    image = mapnik.Image(width, height)
    mapnik.render(canvas, image)
    return np.frombuffer(image.to_string(), np.uint8).reshape(height, width, 4)[..., :3]


def _document(style: Style, symbolizers: dict[str, str]) -> str:
    texts = [style.road_text, style.water_text, *style.places.values(), style.pois and style.pois.text]
    fonts = {text.fonts for text in texts if text} | {SHIELD_FONTS}
    declared = {_fontset_name(faces): resolve(faces) for faces in sorted(fonts)}
    sets = (
        f'<FontSet name="{name}">{"".join(f"<Font face-name={quoteattr(face)}/>" for face in faces)}</FontSet>'
        for name, faces in declared.items()
    )
    styles = (f'<Style name="{name}"><Rule>{symbolizer}</Rule></Style>' for name, symbolizer in symbolizers.items())
    return f'<Map background-color="{_rgb(style.background)}">{"".join(sets)}{"".join(styles)}</Map>'


def _datasource(features: Sequence[Painted]) -> Any:
    source, context = mapnik.MemoryDatasource(), mapnik.Context()
    for i, painted in enumerate(features, 1):
        feature = mapnik.Feature(context, i)
        feature.geometry = mapnik.Geometry.from_wkb(painted.wkb)
        feature["width"] = painted.width
        feature["text"] = painted.text
        source.add_feature(feature)
    return source


@cache
def _register_fonts() -> None:
    """Make every face known to mapnik, once a process."""
    for path in font_files().values():
        mapnik.FontEngine.register_font(str(path))


def _fontset_name(fonts: tuple[str, ...]) -> str:
    return "-".join(resolve(fonts)).replace(" ", "")


def _rgb(colour: Colour) -> str:
    return "rgb({},{},{})".format(*colour)
