"""The label raster: what stands on every pixel of the ground, in six classes."""

from __future__ import annotations

import numpy as np

from cartography.canvas import Canvas, assemble, chunk_frame
from cartography.frame import Frame
from cartography.scene import AreaKind, Scene, SceneSource, geometries
from cartography.style import AREA_ORDER

CLASSES = ("bare", "vegetation", "water", "rail", "road", "building")
"""Class names; the raster holds their positions in this tuple."""

BARE, VEGETATION, WATER, RAIL, ROAD, BUILDING = range(6)

_MARGIN_PX = 16
_GREEN: frozenset[AreaKind] = frozenset(
    {"park", "garden", "grass", "scrub", "forest", "orchard", "vineyard", "farmland", "wetland", "cemetery", "pitch",
    "playground"}
)  # fmt: skip


def render_labels(source: SceneSource, frame: Frame, block: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """Return the classes of the frame's (or the block's) pixels: uint8 (height, width)."""

    def chunk(column: int, row: int) -> np.ndarray:
        part = chunk_frame(frame, column, row)
        scene = source.window(part.grown(_MARGIN_PX).bounds)
        canvas = Canvas(part, 1, (_area_class(scene.ground),), column, row)
        _paint(canvas, scene)
        return canvas.pixels

    return assemble(frame, block or (0, 0, frame.width, frame.height), chunk)


def _paint(canvas: Canvas, scene: Scene) -> None:
    order = {kind: rank for rank, kind in enumerate(AREA_ORDER)}
    areas = sorted(scene.areas, key=lambda a: order[a.kind])
    for area, shape in zip(areas, canvas.polygons(geometries(tuple(areas))), strict=True):
        canvas.fill(shape, (_area_class(area.kind),))
    ways = [w for w in scene.waterways if w.kind in ("river", "canal")]
    for way, path in zip(ways, canvas.lines(geometries(tuple(ways))), strict=True):
        canvas.stroke([path], canvas.lengths(way.width), (WATER,))
    roads = [r for r in scene.roads if not r.tunnel]
    for road, path in zip(roads, canvas.lines(geometries(tuple(roads))), strict=True):
        canvas.stroke([path], canvas.lengths(road.width), (ROAD,))
    rails = [r for r in scene.rails if not r.tunnel and r.kind != "subway"]
    for rail, path in zip(rails, canvas.lines(geometries(tuple(rails))), strict=True):
        canvas.stroke([path], canvas.lengths(4.2 * rail.tracks), (RAIL,))
    for shape in canvas.polygons(geometries(scene.buildings)):
        canvas.fill(shape, (BUILDING,))


def _area_class(kind: AreaKind) -> int:
    return WATER if kind == "water" else VEGETATION if kind in _GREEN else BARE
