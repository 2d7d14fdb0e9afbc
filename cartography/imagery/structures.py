"""What stands: buildings with walls, roofs and shadows, trees and hedges.

Buildings are painted from the lowest to the highest, each with its shadow before its roof, so that shadows fall on
lower roofs and tall buildings hide what is behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

import cv2
import numpy as np
import shapely

from cartography.canvas import UNIT, Canvas, Path, Shape
from cartography.hashing import mix, unit
from cartography.imagery.conditions import Conditions
from cartography.imagery.palette import Paint, Palette, shade
from cartography.imagery.textures import surface
from cartography.scene import Barrier, Building, Scene, Tree, geometries

_HEDGE_HEIGHT = 1.8
_WALLS: list[Paint] = [
    (176, 168, 156, 0),
    (198, 194, 188, 0),
    (146, 136, 126, 0),
    (164, 150, 140, 0),
    (122, 126, 132, 0),
]


class Structures:
    """Paints standing things on a canvas with surfaces, and their shadows on `shadow`, one channel as large."""

    def __init__(self, canvas: Canvas, conditions: Conditions, palette: Palette) -> None:
        self.canvas, self.conditions, self.palette = canvas, conditions, palette
        self.shadow = np.zeros(canvas.pixels.shape[:2], np.uint8)
        self._metre = canvas.lengths(float(UNIT))  # fixed-point units a metre
        self._sun = (conditions.to_sun[0], -conditions.to_sun[1])

    def paint(self, scene: Scene) -> None:
        """Paint everything that stands."""
        self._paint_hedges(scene.barriers)
        self._paint_trees([t for t, there in zip(scene.trees, self._present(scene.trees), strict=True) if there])
        present = self._present(scene.buildings)
        standing = [b for b, there in zip(scene.buildings, present, strict=True) if there]
        self._paint_buildings(sorted(standing, key=lambda b: b.height))

    def _present(self, features: Sequence[Building] | Sequence[Tree]) -> np.ndarray:
        keys = np.array([f.key for f in features], np.uint64)
        return unit(self.conditions.seed, "absent", keys) >= self.conditions.absent

    def _offset(self, per_metre: tuple[float, float], height: float) -> np.ndarray:
        """Displacement (2,) in fixed-point units, y down, of something `height` metres up."""
        return np.rint(np.array([per_metre[0], -per_metre[1]]) * height * self._metre).astype(np.int32)

    def _paint_buildings(self, buildings: Sequence[Building]) -> None:
        if not buildings:
            return
        shapes = self.canvas.polygons(geometries(tuple(buildings)))
        draws = unit(self.conditions.seed, "roof", np.array([b.key for b in buildings], np.uint64))
        for building, shape, draw in zip(buildings, shapes, draws, strict=True):
            self._paint_building(building, shape, float(draw))

    def _paint_building(self, building: Building, shape: Shape, draw: float) -> None:
        lean = self._offset(self.conditions.lean, building.height)
        reach = self._offset(self.conditions.shadow, min(building.height, 60))
        if np.abs(reach).max() > UNIT:
            self._sweep(shape, reach, (255,), self.shadow)
        roof = shape.moved(lean)
        if np.abs(lean).max() > UNIT:
            self._paint_walls(shape.rings[0], lean, _WALLS[int(draw * 97) % len(_WALLS)])
        self.canvas.fill(roof, (0,), self.shadow)
        pitched = building.roof != "flat"
        paint = self.palette.roof(building.kind, pitched, draw)
        if pitched and roof.cores and len(roof.cores[0]) == 5:
            self._paint_pitches(roof, paint, building.roof == "hipped")
        elif pitched and roof.cores:
            self._paint_slopes(roof, paint)
        else:
            self.canvas.fill(roof, paint)
            self._paint_flat(roof.rings, building, paint, draw)

    def _sweep(self, shape: Shape, offset: np.ndarray, colour: tuple[int, ...], target: np.ndarray) -> None:
        """Fill what a shape without its holes covers while it is moved by `offset`."""
        ring = shape.rings[0]
        if len(ring) == 5:
            self.canvas.convex(cv2.convexHull(np.concatenate([ring, ring + offset])), colour, target)
            return
        outline = shape.without_holes()
        self.canvas.fill(outline, colour, target)
        self.canvas.fill(outline.moved(offset), colour, target)
        for side in np.stack([ring[:-1], ring[1:], ring[1:] + offset, ring[:-1] + offset], axis=1):
            self.canvas.convex(side, colour, target)

    def _paint_walls(self, ring: Path, lean: np.ndarray, paint: Paint) -> None:
        foot, after = ring[:-1, 0], ring[1:, 0]
        walls = np.stack([foot, after, after + lean, foot + lean], axis=1)
        side = after - foot
        # The roof hides the walls on the side it leans to.
        seen = side[:, 0] * lean[1] - side[:, 1] * lean[0] < 0
        for n in np.flatnonzero(seen).tolist():
            self.canvas.convex(walls[n], shade(paint, self._facing(foot[n], after[n], 0.5, 1.05)))
            self.canvas.convex(walls[n], (0,), self.shadow)

    def _facing(self, a: np.ndarray, b: np.ndarray, low: float, high: float) -> float:
        """Brightness of a face whose foot runs from a to b (counter-clockwise on the ground, outside to the right)."""
        dx, dy = float(b[0] - a[0]), float(b[1] - a[1])
        towards_sun = (dx * self._sun[1] - dy * self._sun[0]) / max(hypot(dx, dy), 1e-6)
        return low + (high - low) * (0.5 + 0.5 * towards_sun)

    def _paint_pitches(self, roof: Shape, paint: Paint, hipped: bool) -> None:
        """Two or four sloping faces with the ridge along the longer axis, and their eaves."""
        corners = np.stack([each[0][:4, 0] for each in roof]).astype(float)
        lengths = np.hypot(*(corners[0, [1, 2, 3, 0]] - corners[0]).T)
        if lengths[0] + lengths[2] < lengths[1] + lengths[3]:
            corners = corners[:, [1, 2, 3, 0]]
        ring, line, core = (_pitches(each, hipped) for each in corners)
        spread = 0.34 * np.cos(np.radians(self.conditions.sun_elevation)) + 0.06
        # A gable's face has half of each gable for an edge, too.
        edge = [0, 1] if hipped else [3, 0, 1, 2]
        for n, face in enumerate(core):
            tone = shade(paint, self._facing(face[0, 0], face[1, 0], 1 - 1.3 * spread, 1 + spread))
            self.canvas.convex(face, tone)
            self.canvas.stroke([ring[n][edge], line[n][edge]], 1, tone)
        if self.canvas.frame.gsd < 0.6:
            self.canvas.stroke([core[0][2:]], self.canvas.lengths(0.3), shade(paint, 1.15))

    def _paint_slopes(self, roof: Shape, paint: Paint) -> None:
        """Sloping faces of a roof of any outline: bands along the eaves."""
        self.canvas.fill(Shape([], [], roof.cores), paint)
        core = roof.cores[0][:, 0]
        centre = core[:-1].mean(axis=0)
        bands = np.stack([core[:-1], core[1:], core[1:] * 0.7 + centre * 0.3, core[:-1] * 0.7 + centre * 0.3], axis=1)
        for n, band in enumerate(np.rint(bands).astype(np.int32)[:, :, None]):
            tone = shade(paint, self._facing(core[n], core[n + 1], 0.75, 1.15))
            self.canvas.convex(band, tone)
            self.canvas.stroke([roof.rings[0][n : n + 2], roof.lines[0][n : n + 2]], 1, tone)
        self.canvas.stroke(roof.rings[1:] + roof.lines[1:], 1, paint, closed=True)

    def _paint_flat(self, roof: list[Path], building: Building, paint: Paint, draw: float) -> None:
        """Parapet and installations of a flat roof."""
        if self.canvas.frame.gsd < 0.8:
            parapet = shade(paint, 0.72 if draw < 0.5 else 1.2)
            self.canvas.stroke(roof, self.canvas.lengths(0.45), parapet, closed=True)
        area = building.geometry.area
        count = int(min(area / 70, 14) * self.conditions.clutter * (0.4 + draw))
        if count == 0 or self.canvas.frame.gsd > 1.1:
            return
        corners = roof[0][:-1, 0].astype(float)
        side = corners[1] - corners[0]
        side /= max(float(np.hypot(*side)), 1e-6)
        axes = np.stack([side, [-side[1], side[0]]])
        numbers = unit(
            self.conditions.seed, "roofbox", np.uint64(mix(building.key, 9)) + np.arange(5 * count, dtype=np.uint64)
        )
        for n in range(count):
            u, v, w, h, tone = numbers[5 * n : 5 * n + 5]
            pick = int(u * len(corners))
            a, b = corners[pick], corners[(pick + 2) % len(corners)]
            centre = a + (b - a) * (0.15 + 0.7 * v)
            size = np.array([0.8 + 4.5 * w**2, 0.8 + 3.5 * h**2]) * min(1.0, np.sqrt(area) / 18) * self._metre
            box = centre + (np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * size) @ axes
            if (
                cv2.pointPolygonTest(roof[0].astype(np.float32), (float(centre[0]), float(centre[1])), True)
                < size.max() * 0.6
            ):
                continue
            shadow = np.array(self._sun) * -1.2 * self._metre
            self.canvas.convex(np.rint(box + shadow).astype(np.int32)[:, None], shade(paint, 0.6))
            self.canvas.convex(
                np.rint(box).astype(np.int32)[:, None], shade((186, 186, 186, 0), 0.45 + 0.85 * float(tone))
            )

    def _paint_trees(self, trees: Sequence[Tree]) -> None:
        if not trees:
            return
        centres = self.canvas.fixed(shapely.get_coordinates(geometries(tuple(trees))))
        draws = unit(self.conditions.seed, "leaf", np.array([t.key for t in trees], np.uint64))
        bare = 0.6 if self.conditions.season == "winter" else 1.0
        metres = np.array([t.radius for t in trees])
        radii = self.canvas.lengths(1.0) * metres * bare
        high = np.minimum(metres * 1.6, 9.0)[:, None]
        reach = np.array([self.conditions.shadow[0], -self.conditions.shadow[1]]) * high * self._metre
        for step in (0.35, 0.7, 1.0):
            for centre, radius in zip((centres + reach * step).tolist(), (radii * 0.95).tolist(), strict=True):
                self.canvas.disc(centre, radius, (255,), self.shadow)
        lean = np.array([self.conditions.lean[0], -self.conditions.lean[1]]) * (metres * 1.3)[:, None] * self._metre
        crowns = centres + lean
        middles = crowns + np.array(self._sun) * radii[:, None] * UNIT * 0.18
        tops = crowns + np.array(self._sun) * radii[:, None] * UNIT * 0.36
        small = self.canvas.frame.gsd > 1.2
        rows = zip(crowns.tolist(), middles.tolist(), tops.tolist(), radii.tolist(), draws.tolist(), strict=True)
        for crown, middle, top, radius, draw in rows:
            paint = self.palette.leaf(draw)
            self.canvas.disc(crown, radius, (0,), self.shadow)
            self.canvas.disc(crown, radius, shade(paint, 0.72))
            self.canvas.disc(middle, radius * 0.78, paint)
            if not small:
                self.canvas.disc(top, radius * 0.42, shade(paint, 1.22))

    def _paint_hedges(self, barriers: Sequence[Barrier]) -> None:
        paths = self.canvas.lines(geometries(tuple(barriers)))
        for barrier, path in zip(barriers, paths, strict=True):
            if barrier.kind == "fence":
                continue
            if barrier.kind == "wall":
                self.canvas.stroke([path], self.canvas.lengths(0.4), (168, 160, 150, 0))
                continue
            width, height = (1.6, _HEDGE_HEIGHT) if barrier.kind == "hedge" else (6.0, 6.0)
            thickness = self.canvas.lengths(width)
            shadow = path + self._offset(self.conditions.shadow, height)
            self.canvas.stroke([shadow], thickness, (255,), target=self.shadow)
            self.canvas.stroke([path], thickness, (0,), target=self.shadow)
            paint = self.palette.leaf(((barrier.key >> 7) % 1000) / 1000)
            self.canvas.stroke([path], thickness, (*shade(paint, 0.9)[:3], surface("canopy")))


def _pitches(corners: np.ndarray, hipped: bool) -> list[np.ndarray]:
    """Faces of a roof over corners (4, 2) with its ridge along sides 0 and 2: paths that begin with their eaves."""
    a, b, c, d = corners
    start, end = (a + d) / 2, (b + c) / 2
    if hipped:
        share = min(0.5, 0.5 * float(np.hypot(*(a - d))) / max(float(np.hypot(*(a - b))), 1e-6))
        start, end = start + (end - start) * share, end + (start - end) * share
    faces = [(a, b, end, start), (c, d, start, end)]
    ends = [(b, c, end), (d, a, start)] if hipped else []
    return [np.rint(np.stack(face)).astype(np.int32)[:, None] for face in [*faces, *ends]]
