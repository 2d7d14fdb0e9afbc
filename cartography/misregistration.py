"""Known misregistration: how a map's pixels relate to those of the visible image of the same scene.

With H the homography map -> visible (pixels), u a smooth displacement defined on the visible image, a feature seen at
visible pixel v is drawn on the map at  p = H^-1(v + u(v)).  The way back solves  v + u(v) = H p  by fixed-point
iteration, which converges because u changes by far less than a pixel a pixel. Generalisation then displaces single
features by a vector of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import shapely

from cartography.frame import Frame
from cartography.hashing import generator, mix, unit
from cartography.scene import Bounds, Scene, SceneSource

_ITERATIONS = 40
_SEGMENT_PX = 12.0
"""Lines are cut into pieces of this length before they are bent: the chord error stays far below a tenth of a pixel."""


_LOOSE = ("buildings", "trees", "places", "pois")
"""Layers whose features generalisation displaces one by one."""


@dataclass(frozen=True)
class Misregistration:
    """A seeded misregistration of a map against the visible image. All lengths are pixels of the visible image."""

    homography: np.ndarray
    """(3, 3) float64, map -> visible."""
    warp_px: float = 0.0
    """Standard deviation of each component of the local warp u."""
    warp_wavelength_px: float = 400.0
    """Shortest wavelength of u."""
    feature_px: float = 0.0
    """Largest displacement, along each axis, of a single building, tree or point by generalisation."""
    seed: int = 0
    origin: tuple[float, float] = (0.0, 0.0)
    """The visible pixel that u counts from."""

    def moved(self, x: float, y: float) -> Misregistration:
        """Return the same misregistration for images to which so many pixels were added on the left and at the top.

        Args:
            x: Columns added on the left, pixels of the visible image.
            y: Rows added at the top.

        Returns:
            Its homography takes pixels of the map, grown alike, to pixels of the grown image; the local warp of a place
            is the same as before.
        """
        there, back = np.eye(3), np.eye(3)
        there[:2, 2], back[:2, 2] = (x, y), (-x, -y)
        homography = there @ self.homography @ back
        return replace(self, homography=homography, origin=(self.origin[0] + x, self.origin[1] + y))

    def __post_init__(self) -> None:
        if self.homography.shape != (3, 3) or abs(np.linalg.det(self.homography)) < 1e-12:
            raise ValueError("the homography of a misregistration must be an invertible 3x3 matrix")
        if self.warp_px * 2 * np.pi / self.warp_wavelength_px > 0.3:
            raise ValueError(
                f"a warp of {self.warp_px} px over {self.warp_wavelength_px} px would fold the map; "
                "use a longer wavelength"
            )

    @cached_property
    def _waves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        random = generator(self.seed, 0xD157)
        lengths = self.warp_wavelength_px * np.array([1.0, 1.3, 1.7, 2.3, 3.1])
        angles = random.uniform(0, 2 * np.pi, 5)
        frequencies = 2 * np.pi / lengths * np.stack([np.cos(angles), np.sin(angles)])
        amplitudes = random.standard_normal((5, 2))
        amplitudes *= np.sqrt(2) / np.sqrt((amplitudes**2).sum(axis=0))
        return frequencies, random.uniform(0, 2 * np.pi, 5), amplitudes * self.warp_px

    def warp(self, visible: np.ndarray) -> np.ndarray:
        """Return the local displacement u.

        Args:
            visible: Pixels (N, 2) of the visible image.

        Returns:
            Displacements (N, 2), pixels of the visible image.
        """
        frequencies, phases, amplitudes = self._waves
        return np.sin((visible - np.asarray(self.origin)) @ frequencies + phases) @ amplitudes

    def to_map(self, visible: np.ndarray) -> np.ndarray:
        """Return where visible pixels lie on the map, generalisation aside.

        Args:
            visible: Pixels (N, 2) of the visible image.

        Returns:
            Pixels (N, 2) of the map.
        """
        return project(np.linalg.inv(self.homography), visible + self.warp(visible))

    def to_visible(self, points: np.ndarray) -> np.ndarray:
        """Return where map pixels lie in the visible image, generalisation aside, exact to 1e-6 px.

        Args:
            points: Pixels (N, 2) of the map.

        Returns:
            Pixels (N, 2) of the visible image.
        """
        target = project(self.homography, points)
        visible = target
        for _ in range(_ITERATIONS if self.warp_px else 0):
            moved = target - self.warp(visible)
            if np.abs(moved - visible).max(initial=0.0) < 1e-7:
                return moved
            visible = moved
        return visible

    def visible_pixels(self, width: int, height: int, column: int = 0, row: int = 0) -> np.ndarray:
        """Return the visible pixel of every map pixel of a block.

        Args:
            width: Width of the block.
            height: Height of the block.
            column: Its first column.
            row: Its first row.

        Returns:
            float64 (height, width, 2).
        """
        x, y = np.meshgrid(np.arange(width, dtype=float) + column, np.arange(height, dtype=float) + row)
        return self.to_visible(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(height, width, 2)

    def feature_offsets(self, keys: np.ndarray) -> np.ndarray:
        """Return the displacements of single features by generalisation.

        Args:
            keys: Keys (N,) of features.

        Returns:
            Displacements (N, 2), pixels of the visible image.
        """
        along = [unit(self.seed, salt, keys) * 2 - 1 for salt in ("east", "south")]
        return np.stack(along, axis=1) * self.feature_px

    def apply(self, scene: Scene, frame: Frame, bounds: Bounds | None = None) -> Scene:
        """Return the scene as the map shows it, in the coordinates of `frame` (that of the visible image).

        Roads, railways, water lines and contours follow the smooth transform only, so that networks stay connected.

        Args:
            scene: What is on the ground.
            frame: Grid of the visible image.
            bounds: Bounds of the result; those of the scene by default.

        Returns:
            The displaced scene.
        """

        def move(layer: str, shapes: np.ndarray, keys: np.ndarray) -> np.ndarray:
            if self.warp_px and layer not in _LOOSE:
                shapes = shapely.segmentize(shapes, _SEGMENT_PX * frame.gsd)
            points, index = shapely.get_coordinates(shapes, return_index=True)
            pixels = frame.to_pixels(points)
            if self.feature_px and layer in _LOOSE:
                pixels += self.feature_offsets(keys)[index]
            return np.asarray(shapely.set_coordinates(shapes, frame.to_scene(self.to_map(pixels))))

        return scene.transformed(move, bounds or scene.bounds)


class MisregisteredSource:
    """A `SceneSource` that shows another one as the disturbed map does; its windows are in `frame`'s coordinates."""

    def __init__(self, source: SceneSource, frame: Frame, misregistration: Misregistration) -> None:
        """Show a source as the disturbed map does.

        Args:
            source: Its features, which are asked for wherever the disturbed map shows them.
            frame: Of the map; the misregistration is in its pixels.
            misregistration: Where the map's features lie in the undisturbed plane.
        """
        self.source, self.frame, self.misregistration = source, frame, misregistration

    def window(self, bounds: Bounds) -> Scene:
        """Return what the map shows within `bounds`.

        Args:
            bounds: Left, bottom, right and top in the coordinates of the frame.

        Returns:
            The displaced features that touch the bounds.
        """
        edge = shapely.segmentize(shapely.box(*bounds).exterior, max(bounds[2] - bounds[0], bounds[3] - bounds[1]) / 16)
        pixels = self.misregistration.to_visible(self.frame.to_pixels(shapely.get_coordinates(edge)))
        ground = self.frame.to_scene(pixels)
        reach = (self.misregistration.feature_px + self.misregistration.warp_px + 2) * self.frame.gsd
        low, high = ground.min(axis=0) - reach, ground.max(axis=0) + reach
        scene = self.source.window((float(low[0]), float(low[1]), float(high[0]), float(high[1])))
        return self.misregistration.apply(scene, self.frame, bounds)


def project(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a homography (3, 3) to points (N, 2).

    Args:
        homography: (3, 3).
        points: (N, 2).

    Returns:
        Points (N, 2).
    """
    moved = points @ homography[:, :2].T + homography[:, 2]
    return moved[:, :2] / moved[:, 2:]


def random_homography(
    random: np.random.Generator, size: int, rotation_deg: float, scale: float, shift: float, perspective: float
) -> np.ndarray:
    """Draw a homography (3, 3) about the centre of a `size` x `size` image.

    Rotation is uniform in +-`rotation_deg`, scale log-uniform in [1 / `scale`, `scale`], shift uniform in +-`shift` of
    the size, the perspective terms uniform in +-`perspective` per pixel.

    Args:
        random: Source of random numbers.
        size: Width and height of the image in pixels.
        rotation_deg: Greatest rotation in degrees.
        scale: Greatest scale factor.
        shift: Greatest shift as a share of the size.
        perspective: Greatest perspective term per pixel.

    Returns:
        (3, 3) float64.
    """
    centre = (size - 1) / 2
    angle = np.radians(random.uniform(-rotation_deg, rotation_deg))
    factor = np.exp(random.uniform(-1, 1) * np.log(scale))
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    dx, dy = random.uniform(-shift, shift, 2) * size
    px, py = random.uniform(-perspective, perspective, 2)
    about = np.array([[1, 0, -centre], [0, 1, -centre], [0, 0, 1]], float)
    back = np.array([[1, 0, centre + dx], [0, 1, centre + dy], [0, 0, 1]], float)
    return back @ np.array([[cos, -sin, 0], [sin, cos, 0], [px, py, 1]]) @ about


def misregistration_seed(seed: int, *salts: int) -> int:
    """Return a seed for one misregistration out of a run's seed.

    Args:
        seed: Of the run; any integer.
        *salts: Integers that name the pair; other salts give a seed that is independent of this one.
    """
    return mix(seed, 0xD15B, *salts)
