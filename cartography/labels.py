"""The label raster: what stands on every pixel of the ground, in six classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cartography.canvas import Canvas
from cartography.chunks import assemble, chunk_frame
from cartography.frame import Frame
from cartography.outlines import Path
from cartography.scene import AreaKind, Rail, Road, Scene, SceneSource, Waterway, geometries
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
    """Return the classes of the frame's (or the block's) pixels: uint8 (height, width).

    Args:
        source: What is on the ground.
        frame: Grid of the whole raster.
        block: Column, row, width and height of a part; the whole raster by default.

    Returns:
        uint8 (height, width), positions in `CLASSES`.

    Raises:
        ValueError: The block does not lie in the frame.
    """

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
    _draw(canvas, ways, [w.width for w in ways], WATER)
    roads = [r for r in scene.roads if not r.tunnel]
    _draw(canvas, roads, [r.width for r in roads], ROAD)
    rails = [r for r in scene.rails if not r.tunnel and r.kind != "subway"]
    _draw(canvas, rails, [4.2 * r.tracks for r in rails], RAIL)
    for shape in canvas.polygons(geometries(scene.buildings)):
        canvas.fill(shape, (BUILDING,))


def _draw(canvas: Canvas, ways: Sequence[Waterway | Road | Rail], widths: list[float], label: int) -> None:
    """Draw lines of one class, some metres wide each."""
    paths: dict[float, list[Path]] = {}
    for width, path in zip(widths, canvas.lines(geometries(tuple(ways))), strict=True):
        paths.setdefault(width, []).append(path)
    for width, same in paths.items():
        canvas.stroke(same, canvas.lengths(width), (label,))


def _area_class(kind: AreaKind) -> int:
    return WATER if kind == "water" else VEGETATION if kind in _GREEN else BARE
