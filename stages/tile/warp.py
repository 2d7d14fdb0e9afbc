"""Resampling a raster onto a tile, in one pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.grid import FloatArray, apply_homography
from stages.rasters import Image, Raster

NODE_PX = 16
"""Coordinates are computed at nodes this far apart and interpolated between them: exact for affine transforms, and off
by less than a hundredth of a pixel for the mild perspective of georeferenced imagery."""
_EXACT_PX = 1e-6
_NO_PERSPECTIVE = 1e-12
"""Times a tile's width squared, this is far less than a thousandth of a pixel."""

Coordinates = NDArray[np.float32]
"""(height, width, 2): x and y in pixels of the raster."""


def sample_tile(raster: Raster, to_raster: FloatArray, size: int) -> tuple[Image, Image | None]:
    """Return a tile (size, size, 3) of `raster` and its mask (size, size), None if the whole tile has data.

    `to_raster` (3x3) maps pixel coordinates of the tile to those of the raster. A shift by whole pixels is a plain
    copy, anything else bilinear; where the raster is finer than the tile by 2 or more, blocks of whole pixels are
    averaged first. Pixels without data are black, their mask is 0.
    """
    width, height = raster.grid.width, raster.grid.height
    shift = _whole_shift(to_raster)
    if shift is not None and 0 <= shift[0] <= width - size and 0 <= shift[1] <= height - size:
        return raster.read(*shift, size, size)

    affine = _affine(to_raster)
    places = _places(size)
    # An affine transform is known by what it makes of the outermost nodes.
    nodes = _transformed(places[:: len(places) - 1, :: len(places) - 1] if affine is not None else places, to_raster)
    reduce = _reduction(to_raster, size)
    # Rasters that are read reduced end at the last whole block of pixels.
    limits = np.array([width - width % reduce, height - height % reduce])
    low = np.floor(nodes.min(axis=(0, 1)) / reduce - 1).astype(np.int64) * reduce
    high = np.ceil(nodes.max(axis=(0, 1)) / reduce + 2).astype(np.int64) * reduce
    (x0, y0), (x1, y1) = np.clip(low, 0, limits).tolist(), np.clip(high, 0, limits).tolist()
    if x1 <= x0 or y1 <= y0:
        return np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)

    pixels, mask = raster.read(x0, y0, x1 - x0, y1 - y0, reduce)
    offset = (np.array([x0, y0]) - 0.5) / reduce + 0.5
    within = low.min() >= 0 and bool((high <= limits).all())
    if within and affine is not None:
        affine = affine / reduce - [[0, 0, offset[0]], [0, 0, offset[1]]]
        return _masked(partial(_warp_affine, affine, size), pixels, mask, None)
    if affine is not None:
        nodes = _transformed(places, to_raster)
    coordinates = _interpolate((nodes / reduce - offset).astype(np.float32), size)
    return _masked(partial(_remap, coordinates), pixels, mask, None if within else _inside(coordinates, pixels.shape))


def _masked(
    warp: Callable[[Image], Image], pixels: Image, mask: Image | None, inside: Image | None
) -> tuple[Image, Image | None]:
    """Warp pixels and mask to a tile; black out what has no data or is not inside. None stands for all."""
    tile = warp(pixels)
    if mask is None and inside is None:
        return tile, None
    valid = np.full(tile.shape[:2], 255, np.uint8) if inside is None else inside
    if mask is not None:
        # A pixel counts only if all it is interpolated from has data.
        valid = valid & np.where(warp(mask) == 255, np.uint8(255), np.uint8(0))
    return tile & valid[..., None], None if valid.all() else valid


def _warp_affine(matrix: FloatArray, size: int, image: Image) -> Image:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    tile = cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(tile, np.uint8)


def _remap(coordinates: Coordinates, image: Image) -> Image:
    # OpenCV's stubs do not know that the second map may be missing.
    tile = cv2.remap(image, coordinates, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(tile, np.uint8)


def _affine(matrix: FloatArray) -> FloatArray | None:
    """Return the upper rows (2, 3) of a homography without perspective; OpenCV is faster if it knows."""
    normal = matrix / matrix[2, 2]
    return normal[:2] if np.abs(normal[2, :2]).max() < _NO_PERSPECTIVE else None


def _whole_shift(matrix: FloatArray) -> tuple[int, int] | None:
    """Return (x, y) if the matrix only shifts by whole pixels."""
    # Nine numbers: plain arithmetic is quicker than numpy's.
    a, b, c, d, e, f, g, h, _ = (matrix / matrix[2, 2]).ravel().tolist()
    x, y = round(c), round(f)
    return (x, y) if max(map(abs, (a - 1, b, c - x, d, e - 1, f - y, g, h))) < _EXACT_PX else None


def _transformed(places: FloatArray, to_raster: FloatArray) -> FloatArray:
    """Return the raster coordinates (m, n, 2) of places in a tile (m, n, 2)."""
    return apply_homography(to_raster, places.reshape(-1, 2)).reshape(places.shape)


@lru_cache(maxsize=4)
def _places(size: int) -> FloatArray:
    """Return where nodes lie in a tile (n, n, 2): amid blocks of NODE_PX, and one block beyond each side."""
    steps = np.arange(-1, -(-size // NODE_PX) + 1) * NODE_PX + (NODE_PX - 1) / 2
    return np.stack(np.meshgrid(steps, steps), axis=-1)


def _interpolate(nodes: Coordinates, size: int) -> Coordinates:
    """Return the coordinates (size, size, 2) of all pixels. Enlarged, a node lies in the middle of its block."""
    enlarged = cv2.resize(nodes, None, fx=NODE_PX, fy=NODE_PX, interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)[NODE_PX : NODE_PX + size, NODE_PX : NODE_PX + size]


def _reduction(to_raster: FloatArray, size: int) -> int:
    """Return how many raster pixels lie in a pixel amid the tile, along the side where they are fewest."""
    middle = (size - 1) / 2
    here, right, below = apply_homography(
        to_raster, np.array([[middle, middle], [middle + 1, middle], [middle, middle + 1]])
    )
    return max(1, int(min(np.linalg.norm(right - here), np.linalg.norm(below - here)) + 1e-3))


def _inside(coordinates: Coordinates, shape: tuple[int, ...]) -> Image:
    """Return 255 where coordinates lie within the outer edges of an image, else 0."""
    x, y = coordinates[..., 0], coordinates[..., 1]
    inside = (x >= -0.5) & (y >= -0.5) & (x <= shape[1] - 0.5) & (y <= shape[0] - 0.5)
    return np.where(inside, np.uint8(255), np.uint8(0))
