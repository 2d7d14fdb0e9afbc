"""The cartographic renderer: a scene in a `Style`, drawn by mapnik with laid-out lettering.

A block equals the same part of a whole rendering, byte for byte:

* Coordinates are rounded to 1/256 pixel of the whole map, the resolution of mapnik's rasteriser (AGG), and long edges
  are broken into steps, so that no edge reaching into a block is cut at the border of its margin, where AGG would round
  it anew.
* Labels are laid out once for the whole map (`cartography.label_layout`); mapnik only writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely

from cartography.frame import Frame
from cartography.label_layout import Label, candidates, place_labels, unwritable_names
from cartography.mapnik_paint import Painted, filled, lettered, paint
from cartography.mapnik_passes import Drawn, passes
from cartography.scene import Scene, SceneSource
from cartography.style import Colour, Style, TextStyle

BLOCK_PX = 2048
MARGIN_PX = 128
"""Drawn round a block and cut off; more than the longest step of an edge and the widest stroke together."""
_STEP_PX = 48
_SUBPIXEL = 256.0

Block = tuple[int, int, int, int]
"""(column, row, width, height) in pixels of the whole map."""


def render_map(source: SceneSource, frame: Frame, style: Style, block: Block | None = None) -> np.ndarray:
    """Draw a map, or a block of it: uint8 (height, width, 3) RGB. For several blocks keep a `MapnikRenderer`.

    Args:
        source: What is on the ground.
        frame: Grid of the whole map.
        style: The map style.
        block: Column, row, width and height of a part; the whole map by default.

    Returns:
        uint8 (height, width, 3) RGB.

    Raises:
        ValueError: The block does not lie in the map.
    """
    return MapnikRenderer(source, frame, style).render(block)


@dataclass(frozen=True)
class MapnikRenderer:
    """One map: what is drawn, on which grid, in which style. Its labels are laid out at the first block and kept."""

    source: SceneSource
    frame: Frame
    style: Style

    def render(self, block: Block | None = None) -> np.ndarray:
        """Draw the map or a block of it.

        Args:
            block: Column, row, width and height; the whole map by default.

        Returns:
            uint8 (height, width, 3) RGB.

        Raises:
            ValueError: The block does not lie in the map.
        """
        column, row, width, height = block or (0, 0, self.frame.width, self.frame.height)
        whole = shapely.box(0, 0, self.frame.width, self.frame.height)
        if min(width, height) <= 0 or not whole.covers(shapely.box(column, row, column + width, row + height)):
            raise ValueError(
                f"block (column, row, width, height) = {(column, row, width, height)} does not lie in the map of "
                f"{self.frame.width}x{self.frame.height} px"
            )
        if max(width, height) <= BLOCK_PX:
            return self._draw(column, row, width, height)
        image = np.empty((height, width, 3), np.uint8)
        for x, y, w, h in _split(width, height, BLOCK_PX):
            image[y : y + h, x : x + w] = self._draw(column + x, row + y, w, h)
        return image

    def blocks(self, size: int = BLOCK_PX) -> Iterator[tuple[Block, np.ndarray]]:
        """Draw the map block by block, row by row, in bounded memory.

        Args:
            size: Side of a block in pixels.

        Yields:
            Each block (column, row, width, height) and its image (height, width, 3).
        """
        for block in _split(self.frame.width, self.frame.height, size):
            yield block, self.render(block)

    @cached_property
    def labels(self) -> list[Label]:
        """Every label of the map, in drawing order."""
        canvas = shapely.box(0, -self.frame.height, self.frame.width, 0)
        return place_labels(candidates(self._named, self.style, self._on_canvas), canvas)

    @property
    def unwritable_names(self) -> list[str]:
        """The names that are left out because no installed font has all of their letters, sorted."""
        return unwritable_names(self._named, self.style)

    @cached_property
    def _named(self) -> Scene:
        """The named features of the whole map, gathered block by block so that memory stays bounded."""
        found: dict[str, dict[tuple[int, tuple[float, ...]], Any]] = {layer: {} for layer in _NAMED_LAYERS}
        for block in _split(self.frame.width, self.frame.height, BLOCK_PX):
            scene = self.source.window(self.frame.block(*block).bounds)
            for layer, features in found.items():
                for feature in getattr(scene, layer):
                    if layer == "pois" or feature.name or getattr(feature, "ref", ""):
                        features[feature.key, feature.geometry.bounds] = feature
        layers: dict[str, Any] = {layer: tuple(features.values()) for layer, features in found.items()}
        return Scene(self.frame.bounds, **layers)

    def _on_canvas(self, geometry: Any) -> Any:
        """Convert geometries (one or an array) from the scene to canvas coordinates."""
        corner = np.array([self.frame.left, self.frame.top])
        return shapely.transform(geometry, lambda points: (points - corner) / self.frame.gsd)

    def _draw(self, column: int, row: int, width: int, height: int) -> np.ndarray:
        """Draw one piece with mapnik, with a margin that is cut off."""
        grown = self.frame.block(column, row, width, height).grown(MARGIN_PX)
        scene = self.source.window(grown.bounds)
        left, top = column - MARGIN_PX, MARGIN_PX - row
        bounds = (left, top - grown.height, left + grown.width, top)
        near = [label for label in self.labels if label.space.intersects(shapely.box(*bounds))]
        layers = [(each.symbolizer, self._painted(each.select(scene))) for each in passes(self.style, self.frame.gsd)]
        image = paint([*layers, *_label_layers(near)], bounds, self.style)
        return image[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]

    def _painted(self, drawn: Drawn) -> list[Painted]:
        shapes = drawn.shapes
        if not len(shapes):
            return []
        finite = np.isfinite(shapely.bounds(shapes)).all(axis=-1)
        wkb = _wkb(shapely.segmentize(self._on_canvas(shapes[finite]), _STEP_PX))
        widths = np.zeros(len(wkb)) if drawn.widths is None else drawn.widths[finite]
        return [Painted(geometry, width) for geometry, width in zip(wkb, widths.tolist(), strict=True)]


_NAMED_LAYERS = ("areas", "roads", "waterways", "places", "pois")


def _split(width: int, height: int, size: int) -> Iterator[Block]:
    for row in range(0, height, size):
        for column in range(0, width, size):
            yield column, row, min(size, width - column), min(size, height - row)


def _label_layers(labels: Sequence[Label]) -> Iterator[tuple[str, list[Painted]]]:
    """Shields and pins, then lettering. Labels do not touch, so only the order within a label matters."""
    shapes: dict[tuple[int, Colour], list[Painted]] = {}
    texts: dict[tuple[TextStyle, bool], list[Painted]] = {}
    for label in labels:
        for level, mark in enumerate(label.marks):
            shapes.setdefault((level, mark.fill), []).append(Painted(_wkb(mark.geometry)))
        for text in label.texts:
            along = text.geometry.geom_type == "LineString"
            texts.setdefault((text.style, along), []).append(Painted(_wkb(text.geometry), text=text.text))
    for (_, fill), painted in sorted(shapes.items(), key=lambda item: item[0]):
        yield filled(fill), painted
    for (style, along), painted in texts.items():
        yield lettered(style, along), painted


def _wkb(geometry: Any) -> Any:
    """WKB of canvas geometries (one or an array), rounded to the rasteriser's resolution."""
    return shapely.to_wkb(shapely.transform(geometry, lambda points: np.rint(points * _SUBPIXEL) / _SUBPIXEL))
