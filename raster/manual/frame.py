"""The two rasters of a pair and the places on them at which hand-placed points are judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from raster.homography import FloatArray, Matrix, apply_homography, inverse, normalised, translation
from raster.manual.models import MIN_DEPTH, predict
from raster.manual.verdict import Place
from raster.pixels import from_corner, outer_bounds, outline, within

_GROWTH = 0.25
"""The map's corners count where they lie within the visible raster, or beyond it by up to this share of its size."""

_LATTICE, _INSET = 9, 0.04
"""A further point is suggested at one of 9 x 9 places of the map, this share of its size away from its border."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Both rasters and the normalisation: the middle of the map is the origin, half its longer side the unit."""

    map_size: tuple[int, int]
    visible_size: tuple[int, int]
    target_centre: FloatArray

    @property
    def unit(self) -> float:
        return max(self.map_size) / 2

    @property
    def map_centre(self) -> FloatArray:
        return np.asarray(outline(*self.map_size).mean(axis=0))

    def source(self, points: FloatArray) -> FloatArray:
        return np.asarray((points - self.map_centre) / self.unit)

    def target(self, points: FloatArray) -> FloatArray:
        return np.asarray((points - self.target_centre) / self.unit)

    def pixels(self, matrix: Matrix) -> Matrix:
        scale = np.diag([self.unit, self.unit, 1.0])
        return normalised(
            translation(*self.target_centre) @ scale @ matrix @ inverse(scale) @ translation(*-self.map_centre)
        )


def region_of(frame: Frame, matrix: Matrix) -> FloatArray | None:
    """Return the corners (M, 2), map px, of the part of the map that the visible raster, somewhat grown, holds.

    Args:
        frame: The sizes of both rasters, and the normalisation.
        matrix: 3 x 3, map -> visible, normalised coordinates.

    Returns:
        In order along the border. None where the map's plane crosses the horizon, where the map is folded or shrinks to
        under a pixel, or where both rasters do not overlap in one piece.
    """
    corners = outline(*frame.map_size)
    if (predict(matrix, frame.source(corners))[1] < MIN_DEPTH).any():
        return None
    homography = frame.pixels(matrix)
    mapped = shapely.Polygon(apply_homography(homography, corners))
    if not mapped.is_valid or mapped.area < 1:
        return None
    (width, height), grown = frame.visible_size, 1 + 2 * _GROWTH
    common = mapped.intersection(
        shapely.box(*outer_bounds(-_GROWTH * width, -_GROWTH * height, grown * width, grown * height))
    )
    if not isinstance(common, shapely.Polygon) or common.area < 1:
        return None
    return apply_homography(inverse(homography), np.asarray(common.exterior.coords)[:-1])


def lattice_of(frame: Frame) -> FloatArray:
    """Return places of the map (M, 2), px, where a further point could be marked."""
    steps = np.linspace(_INSET, 1 - _INSET, _LATTICE)
    places = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return np.asarray(from_corner(places * np.array(frame.map_size)))


def best_place(frame: Frame, matrix: Matrix, square_error: FloatArray) -> Place | None:
    """Return the place of the largest expected error that lies on both rasters.

    Args:
        frame: The sizes of both rasters, and the normalisation.
        matrix: 3 x 3, map -> visible, normalised coordinates.
        square_error: (M,) expected square of the error at the places of `lattice_of`, in any unit.

    Returns:
        Pixels of both rasters; None where no place of the lattice lies on the visible raster.
    """
    lattice = lattice_of(frame)
    visible = apply_homography(frame.pixels(matrix), lattice)
    inside = within(visible, *frame.visible_size)
    if not inside.any():
        return None
    best = int(np.argmax(np.where(inside, square_error, -np.inf)))
    return Place((float(lattice[best, 0]), float(lattice[best, 1])), (float(visible[best, 0]), float(visible[best, 1])))
