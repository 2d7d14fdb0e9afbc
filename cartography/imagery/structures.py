"""What stands: hedges, trees, and buildings from the lowest to the highest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from cartography.canvas import UNIT, Canvas
from cartography.hashing import unit
from cartography.imagery.buildings import Buildings
from cartography.imagery.conditions import Conditions
from cartography.imagery.palette import Palette, shade, shades
from cartography.imagery.textures import surface
from cartography.scene import Barrier, Building, Scene, Tree, geometries

_HEDGE_HEIGHT = 1.8


class Structures:
    """Paints standing things on a canvas with surfaces, and their shadows on `shadow`, one channel as large."""

    def __init__(self, canvas: Canvas, conditions: Conditions, palette: Palette) -> None:
        """Make a painter of standing things, with a shadow raster of its own.

        Args:
            canvas: With surfaces, in RGB; is painted on.
            conditions: Sun, for shadows, and view, for relief displacement.
            palette: Colours of leaves, roofs and walls.
        """
        self.canvas, self.conditions, self.palette = canvas, conditions, palette
        self.shadow = np.zeros(canvas.pixels.shape[:2], np.uint8)
        self._metre = canvas.lengths(float(UNIT))  # fixed-point units a metre
        self._sun = (conditions.to_sun[0], -conditions.to_sun[1])

    def paint(self, scene: Scene) -> None:
        """Paint everything that stands: hedges, trees and buildings.

        Args:
            scene: What lies in the canvas's frame or reaches into it.
        """
        self._paint_hedges(scene.barriers)
        self._paint_trees([t for t, there in zip(scene.trees, self._present(scene.trees), strict=True) if there])
        present = self._present(scene.buildings)
        standing = [b for b, there in zip(scene.buildings, present, strict=True) if there]
        Buildings(self.canvas, self.shadow, self.conditions, self.palette).paint(
            sorted(standing, key=lambda b: b.height)
        )

    def _present(self, features: Sequence[Building] | Sequence[Tree]) -> np.ndarray:
        keys = np.array([f.key for f in features], np.uint64)
        return unit(self.conditions.seed, "absent", keys) >= self.conditions.absent

    def _offset(self, per_metre: tuple[float, float], height: float) -> np.ndarray:
        """Displacement (2,) in fixed-point units, y down, of something `height` metres up."""
        return np.rint(np.array([per_metre[0], -per_metre[1]]) * height * self._metre).astype(np.int32)

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
        falls = np.concatenate([centres + reach * step for step in (0.35, 0.7, 1.0)])
        self.canvas.discs(falls, np.tile(radii * 0.95, 3), np.array([[255]]), self.shadow)
        displacement = (
            np.array([self.conditions.relief_displacement[0], -self.conditions.relief_displacement[1]])
            * (metres * 1.3)[:, None]
            * self._metre
        )
        crowns = centres + displacement
        self.canvas.discs(crowns, radii, np.array([[0]]), self.shadow)
        paints = self.palette.leaves(draws)
        self.canvas.discs(crowns, radii, paints[:, 3:], self.canvas.surfaces)
        # Every crown is darkest at its edge and lightest towards the sun.
        layers = [(0.0, 1.0, 0.72), (0.18, 0.78, 1.0), (0.36, 0.42, 1.22)]
        if self.canvas.frame.gsd > 1.2:
            layers.pop()
        sunwards = np.array(self._sun) * radii[:, None] * UNIT
        places = np.stack([crowns + sunwards * shift for shift, *_ in layers], axis=1).reshape(-1, 2)
        sizes = (radii[:, None] * [size for _, size, _ in layers]).reshape(-1)
        tones = [shades(paints, np.full(len(paints), light)) for *_, light in layers]
        self.canvas.discs(places, sizes, np.stack(tones, axis=1).reshape(-1, 4), self.canvas.pixels)

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
