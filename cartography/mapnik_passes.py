"""A map style as mapnik understands it: passes over the scene's features, each with one symbolizer.

The order and the choice of features are those of `cartography.opencv_renderer`, so both renderers draw the same map.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import cv2
import numpy as np
import shapely
from shapely.geometry import LineString

from cartography.canvas import dashed
from cartography.mapnik_paint import filled, patterned, stroked
from cartography.opencv_renderer import BUILT_UP, mapped_buildings, mapped_roads, outlines
from cartography.scene import Area, Building, Feature, Road, Scene, geometries
from cartography.style import AREA_ORDER, ROAD_ORDER, Colour, FillStyle, LineStyle, Style


@dataclass(frozen=True)
class Drawn:
    """Geometries of one pass in scene coordinates; `widths` are pixels, one a geometry, for lines."""

    shapes: np.ndarray
    widths: np.ndarray | None = None


@dataclass(frozen=True)
class Pass:
    """One symbolizer (mapnik XML) and the features it draws."""

    symbolizer: str
    select: Callable[[Scene], Drawn]


Select: TypeAlias = Callable[[Scene], Sequence[Feature]]


def passes(style: Style, gsd: float) -> list[Pass]:
    """Return what to draw, bottom to top, labels excepted.

    Args:
        style: The map style.
        gsd: Ground sample distance, scene units a pixel.

    Returns:
        The passes.
    """
    return [*_ground(style, gsd), *_roads(style, gsd), *_rails(style, gsd)]


def _ground(style: Style, gsd: float) -> Iterator[Pass]:
    general = style.generalisation
    for kind in AREA_ORDER:
        fill = style.areas.get(kind)
        if general.blocks_filled and style.building and kind in BUILT_UP:
            fill = style.building
        if fill:
            yield from _fill(fill, lambda scene, kind=kind: [a for a in scene.areas if a.kind == kind], 0.0)  # type: ignore[misc]
    if style.contour:
        yield _line(style.contour, gsd, lambda scene: [c for c in scene.contours if not c.index])
    index = style.index_contour or style.contour
    if index:
        yield _line(index, gsd, lambda scene: [c for c in scene.contours if c.index])
    if style.waterway:
        yield _line(style.waterway, gsd, lambda scene: scene.waterways)
    if style.building and not general.blocks_filled:
        tolerance = general.simplify_px * gsd
        yield from _fill(style.building, lambda scene: mapped_buildings(scene.buildings, style), tolerance)
    if style.tree:
        yield Pass(filled(style.tree), _crowns)
    if style.barrier:
        yield _line(style.barrier, gsd, lambda scene: scene.barriers)


def _roads(style: Style, gsd: float) -> Iterator[Pass]:
    """Casings of all kinds, then fills of all kinds; bridges once more on top."""
    for bridge in (False, True):
        for casing in (True, False):
            for kind in ROAD_ORDER:
                line = style.roads.get(kind)

                def members(scene: Scene, kind: str = kind, bridge: bool = bridge) -> list[Road]:
                    return [r for r in mapped_roads(scene.roads, style) if r.kind == kind and r.bridge == bridge]

                if line and casing and line.casing:
                    # A round end would close the casing of a bridge.
                    symbolizer = stroked(line.casing, "butt" if bridge else "round")
                    yield Pass(symbolizer, _widened(line, gsd, members, 2 * line.casing_px))
                elif line and not casing:
                    yield _line(line, gsd, members)


def _rails(style: Style, gsd: float) -> Iterator[Pass]:
    for kind, line in style.rails.items():

        def members(scene: Scene, kind: str = kind) -> Sequence[Feature]:
            return [r for r in scene.rails if r.kind == kind and not r.tunnel]

        yield _line(line, gsd, members)
        if kind == "rail" and style.sleepers:
            yield _line(style.sleepers, gsd, members)


def _crowns(scene: Scene) -> Drawn:
    radii = np.array([tree.radius for tree in scene.trees])
    return Drawn(shapely.buffer(geometries(scene.trees), radii, quad_segs=4))


def _fill(fill: FillStyle, select: Callable[[Scene], Sequence[Area | Building]], tolerance: float) -> Iterator[Pass]:
    def shapes(scene: Scene) -> Drawn:
        chosen = geometries(tuple(select(scene)))
        return Drawn(shapely.simplify(chosen, tolerance) if tolerance else chosen)

    def edges(scene: Scene) -> Drawn:
        lines = outlines(select(scene), shapes(scene).shapes)
        return Drawn(lines, np.full(len(lines), fill.outline_px))

    if fill.fill:
        yield Pass(filled(fill.fill), shapes)
    if fill.hatch:
        yield Pass(patterned(_hatch_pattern(fill.hatch, fill.hatch_px)), shapes)
    if fill.outline:
        yield Pass(stroked(fill.outline), edges)


def _line(style: LineStyle, gsd: float, select: Select) -> Pass:
    lines = _widened(style, gsd, select, 0.0)
    if style.dash_px is None:
        return Pass(stroked(style.colour), lines)
    on, off = (length * gsd for length in style.dash_px)
    return Pass(stroked(style.colour, "butt"), lambda scene: _dashes(lines(scene), on, off))


def _widened(style: LineStyle, gsd: float, select: Select, more_px: float) -> Callable[[Scene], Drawn]:
    """The selected lines, `more_px` wider than their style says."""

    def lines(scene: Scene) -> Drawn:
        chosen = tuple(select(scene))
        widths = [style.width_px(getattr(feature, "width", 0.0), gsd) for feature in chosen]
        return Drawn(geometries(chosen), np.array(widths) + more_px)

    return lines


def _dashes(lines: Drawn, on: float, off: float) -> Drawn:
    """Cut lines into dashes here: mapnik's own shift by a subpixel with the block."""
    pieces = [dashed(shapely.get_coordinates(shape), on, off) for shape in lines.shapes]
    counts = [len(each) for each in pieces]
    shapes = np.array([LineString(piece) for each in pieces for piece in each], object)
    return Drawn(shapes, np.repeat(lines.widths, counts) if lines.widths is not None else None)


def _hatch_pattern(colour: Colour, spacing_px: float) -> Path:
    """Return an image file of diagonal lines one pixel wide, `spacing_px` apart, antialiased."""
    period = max(2, round(spacing_px * np.sqrt(2)))
    path = Path(_pattern_folder(os.getpid()).name) / "hatch-{}-{}-{}-{}.png".format(*colour, period)
    if not path.exists():
        across = np.add.outer(np.arange(period), np.arange(period)) % period
        distance = np.minimum(across, period - across) / np.sqrt(2)
        tile = np.empty((period, period, 4), np.uint8)
        tile[..., :3] = colour[::-1]
        tile[..., 3] = np.clip(1.0 - distance, 0, 1) * 255
        cv2.imwrite(str(path), tile)
    return path


@cache
def _pattern_folder(process: int) -> TemporaryDirectory[str]:
    """One folder a process, until it ends: mapnik keeps every pattern file it has seen in memory, by name."""
    return TemporaryDirectory(prefix="mapdata-hatch-")
