"""The light map renderer: a scene in a `Style`, drawn with numpy, OpenCV and shapely alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import shapely

from cartography.canvas import Canvas, dashed
from cartography.chunks import assemble, chunk_frame
from cartography.frame import Frame
from cartography.hashing import unit
from cartography.lettering import REACH_PX, draw_labels
from cartography.scene import Area, AreaKind, Building, Feature, Rail, Road, Scene, SceneSource, geometries
from cartography.style import AREA_ORDER, ROAD_ORDER, FillStyle, LineStyle, Style

SCALE = 4
"""Subpixels along the side of a pixel."""

MAP_MARGIN_PX = REACH_PX
"""Features this far outside a chunk may still be seen in it: wide lines, letters, pins."""

_FILL_MARGIN_PX = 16

BUILT_UP: tuple[AreaKind, ...] = ("residential", "commercial", "industrial")
"""Areas that take the fill of buildings where `Generalisation.blocks_filled` asks for it."""

_NATURAL: tuple[AreaKind, ...] = ("water", "forest", "scrub", "rock", "sand", "glacier", "wetland")

F = TypeVar("F", bound=Feature)


def render_map(
    source: SceneSource, frame: Frame, style: Style, block: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Draw a map: uint8 (height, width, 3) RGB of the frame, or of its `block` (column, row, width, height).

    A block is equal to that part of the whole, pixel for pixel.

    Args:
        source: What is on the ground.
        frame: Grid of the whole map.
        style: The map style.
        block: Column, row, width and height of a part; the whole map by default.

    Returns:
        uint8 (height, width, 3) RGB.

    Raises:
        ValueError: The block does not lie in the frame.
    """

    def chunk(column: int, row: int) -> np.ndarray:
        part = chunk_frame(frame, column, row)
        scene = source.window(part.grown(MAP_MARGIN_PX).bounds)
        canvas = Canvas(part, SCALE, style.background, column, row)
        draw(canvas, scene, style)
        return canvas.image()

    return assemble(frame, block or (0, 0, frame.width, frame.height), chunk)


def draw(canvas: Canvas, scene: Scene, style: Style) -> None:
    """Paint a scene's map on a canvas of three channels.

    Args:
        canvas: Canvas of three channels.
        scene: What lies in its frame, with a margin of `MAP_MARGIN_PX` pixels.
        style: The map style.
    """
    general = style.generalisation
    # Of what lies farther out only lines and letters reach in.
    near = scene.window(canvas.frame.grown(_FILL_MARGIN_PX).bounds)
    _draw_areas(canvas, near.areas, style)
    for contours, line in (
        ([c for c in scene.contours if not c.index], style.contour),
        ([c for c in scene.contours if c.index], style.index_contour or style.contour),
    ):
        if line:
            _draw_line(canvas, contours, line, 0.0)
    if style.waterway:
        for width, ways in _grouped((w, w.width) for w in scene.waterways):
            _draw_line(canvas, ways, style.waterway, width)
    if style.building and not general.blocks_filled:
        _draw_fills(canvas, mapped_buildings(near.buildings, style), style.building, general.simplify_px)
    if style.tree:
        centres = canvas.fixed(shapely.get_coordinates(geometries(near.trees)))
        radii = np.array([tree.radius for tree in near.trees]) * canvas.lengths(1.0)
        canvas.discs(centres, radii, np.array([style.tree]))
    if style.barrier:
        _draw_line(canvas, scene.barriers, style.barrier, 0.0)
    _draw_roads(canvas, scene.roads, style)
    _draw_rails(canvas, scene.rails, style)
    draw_labels(canvas, scene, style)


def mapped_buildings(buildings: Sequence[Building], style: Style) -> list[Building]:
    """Return the buildings that a style's generalisation leaves on the map.

    Args:
        buildings: The buildings of a scene.
        style: The map style.

    Returns:
        Those that are drawn, in the same order.
    """
    if not buildings:
        return []
    general = style.generalisation
    kept = unit(0, "omit", np.array([b.key for b in buildings], np.uint64)) >= general.buildings_omitted
    kept &= shapely.area(geometries(tuple(buildings))) >= general.smaller_omitted
    return [b for b, keep in zip(buildings, kept, strict=True) if keep]


def mapped_roads(roads: Sequence[Road], style: Style) -> list[Road]:
    """Return the roads that a style's generalisation leaves on the map; tunnels are never drawn.

    Args:
        roads: The roads of a scene.
        style: The map style.

    Returns:
        Those that are drawn, in the same order.
    """
    if not roads:
        return []
    kept = unit(0, "path", np.array([r.key for r in roads], np.uint64)) >= style.generalisation.paths_omitted
    return [
        r for r, keep in zip(roads, kept, strict=True) if not r.tunnel and (keep or r.kind not in ("path", "track"))
    ]


def _draw_areas(canvas: Canvas, areas: Sequence[Area], style: Style) -> None:
    for kind in AREA_ORDER:
        fill = style.areas.get(kind)
        if style.generalisation.blocks_filled and style.building and kind in BUILT_UP:
            fill = style.building
        if fill:
            _draw_fills(canvas, [a for a in areas if a.kind == kind], fill, 0.0)


def _draw_fills(canvas: Canvas, features: Sequence[Area | Building], style: FillStyle, simplify_px: float) -> None:
    if not features:
        return
    shapes = geometries(tuple(features))
    if simplify_px:
        shapes = shapely.simplify(shapes, simplify_px * canvas.frame.gsd)
    polygons = canvas.polygons(shapes)
    if style.fill:
        for polygon in polygons:
            canvas.fill(polygon, style.fill)
    if style.hatch:
        canvas.hatch(polygons, style.hatch_px, style.hatch)
    if style.outline:
        canvas.stroke(canvas.lines(outlines(features, shapes)), style.outline_px * canvas.scale, style.outline)


def outlines(features: Sequence[Area | Building], shapes: np.ndarray) -> np.ndarray:
    """Return the lines round polygons.

    A lake or forest that vector data cut in pieces, or that overlaps a river's banks, gets one outline round the whole.

    Args:
        features: Areas or buildings, all of one kind.
        shapes: Their polygons (N,), perhaps simplified.

    Returns:
        Line strings (M,).
    """
    rings = shapely.boundary(shapes)
    if features and isinstance(features[0], Area) and features[0].kind in _NATURAL:
        for piece, neighbour in sorted(zip(*shapely.STRtree(shapes).query(shapes, "intersects"), strict=True)):
            if piece != neighbour:
                rings[piece] = shapely.difference(rings[piece], shapes[neighbour])
    lines = shapely.get_parts(rings)
    return np.asarray(lines[shapely.get_type_id(lines) == shapely.GeometryType.LINESTRING])


def _grouped(pairs: Iterable[tuple[F, float]]) -> list[tuple[float, list[F]]]:
    groups: dict[float, list[F]] = {}
    for feature, value in pairs:
        groups.setdefault(round(value, 1), []).append(feature)
    return sorted(groups.items())


def _draw_line(
    canvas: Canvas, features: Sequence[Feature], style: LineStyle, width: float, casing: bool = False
) -> None:
    if not features:
        return
    thickness = style.width_px(width, canvas.frame.gsd)
    if casing:
        if style.casing:
            paths = canvas.lines(geometries(tuple(features)))
            canvas.stroke(paths, (thickness + 2 * style.casing_px) * canvas.scale, style.casing)
        return
    if style.dash_px:
        on, off = (length * canvas.frame.gsd for length in style.dash_px)
        paths = canvas.paths([p for f in features for p in dashed(shapely.get_coordinates(f.geometry), on, off)])
    else:
        paths = canvas.lines(geometries(tuple(features)))
    canvas.stroke(paths, thickness * canvas.scale, style.colour)


def _draw_roads(canvas: Canvas, roads: Sequence[Road], style: Style) -> None:
    """Casings of all kinds, then fills of all kinds; bridges once more on top."""
    seen = mapped_roads(roads, style)
    for level in ([r for r in seen if not r.bridge], [r for r in seen if r.bridge]):
        groups = [
            (style.roads[kind], _grouped((r, r.width) for r in level if r.kind == kind))
            for kind in ROAD_ORDER
            if kind in style.roads
        ]
        for casing in (True, False):
            for line, widths in groups:
                for width, members in widths:
                    _draw_line(canvas, members, line, width, casing)


def _draw_rails(canvas: Canvas, rails: Sequence[Rail], style: Style) -> None:
    for kind, line in style.rails.items():
        members = [r for r in rails if r.kind == kind and not r.tunnel]
        _draw_line(canvas, members, line, 0.0)
        if kind == "rail" and style.sleepers:
            _draw_line(canvas, members, style.sleepers, 0.0)
