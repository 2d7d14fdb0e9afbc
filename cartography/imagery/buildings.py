"""Buildings: walls, roofs and what stands on them, and their shadows.

Buildings are painted from the lowest to the highest, each with its shadow before its roof, so that shadows fall on
lower roofs and tall buildings hide what is behind them. Only the painting takes them one by one: shapes and colours are
computed for all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, repeat
from typing import TypeAlias

import cv2
import numpy as np
import shapely

from cartography.canvas import UNIT, Canvas
from cartography.hashing import mix, unit
from cartography.imagery.conditions import Conditions
from cartography.imagery.palette import Paint, Palette, shade, shades
from cartography.imagery.roofs import Face, facing, roof_faces
from cartography.outlines import Outlines, Path, Shape
from cartography.scene import Building, geometries

_WALLS = np.array([(176, 168, 156, 0), (198, 194, 188, 0), (146, 136, 126, 0), (164, 150, 140, 0), (122, 126, 132, 0)])
_HIGHEST = 60.0
"""Metres of a building's height that cast a shadow."""
_INSTALLATION = np.array([186, 186, 186, 0])
_BOX = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])

Polygons: TypeAlias = tuple[np.ndarray, list[list[int]]]
"""Convex polygons (K, 4, 2) int32 and their colours, in the order of painting."""


class Buildings:
    """Paints buildings on a canvas with surfaces, and their shadows on `shadow`, one channel as large."""

    def __init__(self, canvas: Canvas, shadow: np.ndarray, conditions: Conditions, palette: Palette) -> None:
        """Make a painter of buildings.

        Args:
            canvas: With surfaces, in RGB; is painted on.
            shadow: (scale * H, scale * W) uint8, as large as the canvas' subpixels; is painted on.
            conditions: Sun, which decides shadows, and view, which decides where walls are seen.
            palette: Colours of roofs.
        """
        self.canvas, self.shadow, self.conditions, self.palette = canvas, shadow, conditions, palette
        self._metre = canvas.lengths(float(UNIT))  # fixed-point units a metre

    def paint(self, buildings: Sequence[Building]) -> None:
        """Paint buildings in the order given, from the lowest to the highest.

        Args:
            buildings: The buildings.
        """
        if not buildings:
            return
        canvas, shapes = self.canvas, geometries(tuple(buildings))
        heights = np.array([b.height for b in buildings])
        draws = unit(self.conditions.materials, "roof", np.array([b.key for b in buildings], np.uint64))
        paints = [
            self.palette.roof(b.kind, b.roof != "flat", draw) for b, draw in zip(buildings, draws.tolist(), strict=True)
        ]
        feet, displacement = canvas.outlines(shapes), self._offsets(self.conditions.relief_displacement, heights)
        roofs = feet.moved(displacement)
        shadows = self._shadows(feet, self._offsets(self.conditions.shadow, np.minimum(heights, _HIGHEST)))
        walls = self._walls(feet, displacement, draws)
        faces = roof_faces(roofs, [b.roof for b in buildings], np.array(paints), self.conditions)
        fixtures = self._fixtures(buildings, shapely.area(shapes), roofs, np.array(paints), draws)
        for n, roof in enumerate(roofs.shapes()):
            outlines, sides = shadows[n]
            for outline in outlines:
                canvas.fill(Shape([], [], [outline]), (255,), self.shadow)
            canvas.convex(sides, repeat((255,)), self.shadow)
            canvas.convex(*walls[n])
            canvas.convex(walls[n][0], repeat((0,)), self.shadow)
            canvas.fill(roof, (0,), self.shadow)
            if n in faces:
                self._paint_pitched(roof, paints[n], faces[n])
            else:
                self._paint_flat(roof, paints[n], fixtures[n], draws[n] < 0.5)

    def _offsets(self, per_metre: tuple[float, float], heights: np.ndarray) -> np.ndarray:
        """Displacements (N, 2) int32 in fixed-point units, y down, of what stands so many metres up."""
        return np.rint(np.array([per_metre[0], -per_metre[1]]) * self._metre * heights[:, None]).astype(np.int32)

    def _shadows(self, feet: Outlines, reach: np.ndarray) -> list[tuple[list[Path], np.ndarray]]:
        """What every building, without its holes, covers while it is moved by `reach`: outlines and convex polygons."""
        sides, owners = _swept(feet, reach)
        spans, (first, corners) = _spans(owners, len(reach)), feet.shells()
        result: list[tuple[list[Path], np.ndarray]] = []
        for n, far in enumerate((np.abs(reach).max(axis=1) > UNIT).tolist()):
            if not far:
                result.append(([], sides[:0]))
            elif corners[n] == 4:
                result.append(([], cv2.convexHull(sides[spans[n]].reshape(-1, 2))[None]))
            else:
                ring = feet.vertices[0, first[n] : first[n] + corners[n]]
                result.append(([ring, ring + reach[n]], sides[spans[n]]))
        return result

    def _walls(self, feet: Outlines, displacement: np.ndarray, draws: np.ndarray) -> list[Polygons]:
        """The walls that are seen."""
        walls, owners = _swept(feet, displacement)
        x, y = (walls[:, 1] - walls[:, 0]).T
        # The roof hides the walls on the side towards which it is displaced.
        seen = x * displacement[owners, 1] - y * displacement[owners, 0] < 0
        seen &= (np.abs(displacement).max(axis=1) > UNIT)[owners]
        walls, owners = walls[seen], owners[seen]
        light = 0.5 + 0.55 * facing(self.conditions, walls[:, 0], walls[:, 1])
        paints = shades(_WALLS[(draws * 97).astype(int) % len(_WALLS)][owners], light).tolist()
        return [(walls[span], paints[span]) for span in _spans(owners, len(displacement))]

    def _paint_pitched(self, roof: Shape, paint: Paint, faces: list[Face]) -> None:
        canvas = self.canvas
        canvas.cover(roof, paint)
        if len(roof.rings[0]) != 5:
            canvas.fill(Shape([], [], roof.cores), paint, canvas.pixels)
            canvas.stroke(roof.rings[1:] + roof.lines[1:], 1, paint, closed=True, target=canvas.pixels)
        for face in faces:
            canvas.convex([face.area], [face.paint], canvas.pixels)
            canvas.stroke(list(face.edges), 1, face.paint, target=canvas.pixels)
        if len(roof.rings[0]) == 5 and canvas.frame.gsd < 0.6:
            ridge = faces[0].area[2:]
            canvas.stroke([ridge], canvas.lengths(0.3), shade(paint, 1.15), target=canvas.pixels)

    def _paint_flat(self, roof: Shape, paint: Paint, fixtures: Polygons, dark: bool) -> None:
        """A flat roof with its parapet and installations."""
        canvas = self.canvas
        canvas.fill(roof, paint)
        if canvas.frame.gsd < 0.8:
            parapet = shade(paint, 0.72 if dark else 1.2)
            canvas.stroke(roof.rings, canvas.lengths(0.45), parapet, closed=True, target=canvas.pixels)
        canvas.convex(*fixtures)

    def _fixtures(
        self, buildings: Sequence[Building], areas: np.ndarray, roofs: Outlines, paints: np.ndarray, draws: np.ndarray
    ) -> list[Polygons]:
        """Installations of flat roofs, each after its shadow."""
        counts = (np.minimum(areas / 70, 14) * self.conditions.clutter * (0.4 + draws)).astype(int)
        counts[np.array([b.roof != "flat" for b in buildings])] = 0
        if self.canvas.frame.gsd > 1.1:
            counts[:] = 0
        owners = np.repeat(np.arange(len(counts)), counts)
        number = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        seeds = np.array(
            [mix(b.key, 9) if n else 0 for b, n in zip(buildings, counts.tolist(), strict=True)], np.uint64
        )
        keys = seeds[owners, None] + (5 * number[:, None] + np.arange(5)).astype(np.uint64)
        u, v, w, h, tone = unit(self.conditions.seed, "roofbox", keys).T
        # Somewhere between a corner and the one after the next, along the first side.
        first, corners = (each[owners] for each in roofs.shells())
        pick = (u * corners).astype(int)
        start, end = (roofs.vertices[0, first + at].astype(float) for at in (pick, (pick + 2) % corners))
        centres = start + (end - start) * (0.15 + 0.7 * v)[:, None]
        side = (roofs.vertices[0, first + 1] - roofs.vertices[0, first]).astype(float)
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
        axes = np.stack([side, np.stack([-side[:, 1], side[:, 0]], axis=1)], axis=1)
        sizes = np.stack([0.8 + 4.5 * w**2, 0.8 + 3.5 * h**2], axis=1)
        sizes *= self._metre * np.minimum(1.0, np.sqrt(areas[owners]) / 18)[:, None]
        room = sizes.max(axis=1) * 0.6
        rings = [roofs.vertices[0, a : a + n] for a, n in zip(first.tolist(), corners.tolist(), strict=True)]
        inside = [cv2.pointPolygonTest(r, c, True) for r, c in zip(rings, centres.tolist(), strict=True)] >= room
        boxes = centres[:, None] + (_BOX * sizes[:, None]) @ axes
        shadow = np.array([-self.conditions.to_sun[0], self.conditions.to_sun[1]]) * 1.2 * self._metre
        both = np.rint(np.stack([boxes + shadow, boxes], axis=1)[inside]).astype(np.int32).reshape(-1, 4, 2)
        owners, tone = owners[inside], tone[inside]
        dark = shades(paints[owners], np.full(len(owners), 0.6))
        light = shades(np.tile(_INSTALLATION, (len(owners), 1)), 0.45 + 0.85 * tone)
        colours = np.stack([dark, light], axis=1).reshape(-1, 4).tolist()
        return [(both[span], colours[span]) for span in _spans(np.repeat(owners, 2), len(counts))]


def _swept(outlines: Outlines, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the sides of shells cover that are moved by `offsets` (N, 2): polygons (E, 4, 2), their outlines (E,)."""
    vertex, owners = outlines.sides()
    foot, after = outlines.vertices[0, vertex], outlines.vertices[0, vertex + 1]
    return np.stack([foot, after, after + offsets[owners], foot + offsets[owners]], axis=1), owners


def _spans(owners: np.ndarray, count: int) -> list[slice]:
    """Where in an ascending array each of `count` owners has its own."""
    return [slice(start, end) for start, end in pairwise(np.searchsorted(owners, np.arange(count + 1)).tolist())]
