"""Resampling a raster onto a tile, in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray, apply_homography
from raster.image import Image, Mask
from raster.pixels import from_corner, to_corner, within
from raster.reader import RasterReader

NODE_PX = 16
"""Coordinates are computed at nodes this far apart and interpolated between them: exact for affine transforms, and off
by less than a hundredth of a pixel for the mild perspective of georeferenced imagery."""
_EXACT_PX = 1e-6
_NO_PERSPECTIVE = 1e-12
"""Times a tile's width squared, this is far less than a thousandth of a pixel."""

Coordinates = NDArray[np.float32]
"""(height, width, 2): x and y in pixels of the raster."""

Nine = list[float]
"""A homography row by row, the last one 1. For a few places plain arithmetic is several times quicker than numpy's."""


def sample_tile(raster: RasterReader, to_raster: FloatArray, size: int) -> tuple[Image, Image | None]:
    """Return a tile (size, size, 3) of `raster` and its mask (size, size), None if the whole tile has data.

    `to_raster` (3x3) maps pixel coordinates of the tile to those of the raster. A shift by whole pixels is a plain
    copy, anything else bilinear; where the raster is finer than the tile by 2 or more, blocks of whole pixels are
    averaged first. Pixels without data are black, their mask is 0.

    Args:
        raster: The raster.
        to_raster: Homography (3, 3), pixel coordinates of the tile -> of the raster.
        size: Width and height of the tile in px.

    Returns:
        The tile's pixels and its mask.

    Raises:
        PermanentError: The raster cannot be read.
    """
    width, height = raster.grid.width, raster.grid.height
    matrix: Nine = (to_raster / to_raster[2, 2]).ravel().tolist()
    shift = _whole_shift(matrix)
    if shift is not None and 0 <= shift[0] <= width - size and 0 <= shift[1] <= height - size:
        tile, valid = raster.read(*shift, size, size)
        return tile, _unless_whole(valid)

    affine = max(abs(matrix[6]), abs(matrix[7])) < _NO_PERSPECTIVE
    # An affine transform is known by what it makes of the outermost nodes.
    nodes = None if affine else _nodes(to_raster, size)
    bounds = _bounds(matrix, size) if nodes is None else (nodes.min(axis=(0, 1)), nodes.max(axis=(0, 1)))
    (x_low, y_low), (x_high, y_high) = bounds
    reduce = _reduction(matrix, size)
    # Rasters that are read reduced end at the last whole block of pixels.
    x0, x1, x_within = _span(x_low, x_high, reduce, width - width % reduce)
    y0, y1, y_within = _span(y_low, y_high, reduce, height - height % reduce)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)

    pixels, valid = raster.read(x0, y0, x1 - x0, y1 - y0, reduce)
    mask = _unless_whole(valid)
    x_offset, y_offset = (to_corner(from_corner(start) / reduce) for start in (x0, y0))
    within = x_within and y_within
    if within and affine:
        a, b, c, d, e, f = (value / reduce for value in matrix[:6])
        warp = partial(_warp_affine, np.array([[a, b, c - x_offset], [d, e, f - y_offset]]), size)
        return _masked(warp, pixels, mask, None)
    nodes = _nodes(to_raster, size) if nodes is None else nodes
    coordinates = _interpolate((nodes / reduce - (x_offset, y_offset)).astype(np.float32), size)
    return _masked(partial(_remap, coordinates), pixels, mask, None if within else _inside(coordinates, pixels.shape))


def _unless_whole(valid: Mask) -> NDArray[np.uint8] | None:
    """Return a mask as 255 and 0, as OpenCV warps it, or None if all is data."""
    return None if valid.all() else valid.view(np.uint8) * np.uint8(255)


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


def _whole_shift(matrix: Nine) -> tuple[int, int] | None:
    """Return (x, y) if the matrix only shifts by whole pixels."""
    a, b, c, d, e, f, g, h, _ = matrix
    x, y = round(c), round(f)
    return (x, y) if max(map(abs, (a - 1, b, c - x, d, e - 1, f - y, g, h))) < _EXACT_PX else None


def _at(matrix: Nine, x: float, y: float) -> tuple[float, float]:
    """Return where a place in a tile lies in the raster."""
    a, b, c, d, e, f, g, h, i = matrix
    w = g * x + h * y + i
    return (a * x + b * y + c) / w, (d * x + e * y + f) / w


def _reduction(matrix: Nine, size: int) -> int:
    """Return how many raster pixels lie in a pixel amid the tile, along the side where they are fewest."""
    middle = (size - 1) / 2
    here = _at(matrix, middle, middle)
    beside = _at(matrix, middle + 1, middle), _at(matrix, middle, middle + 1)
    return max(1, int(min(math.dist(here, next_) for next_ in beside) + 1e-3))


def _bounds(matrix: Nine, size: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the lowest and the highest (x, y) in the raster of the outermost nodes of a tile."""
    first, last = _places(size)[0, 0, 0].item(), _places(size)[-1, -1, 0].item()
    xs, ys = zip(*(_at(matrix, x, y) for x in (first, last) for y in (first, last)), strict=True)
    return (min(xs), min(ys)), (max(xs), max(ys))


def _span(low: float, high: float, reduce: int, limit: int) -> tuple[int, int, bool]:
    """Return the first pixel that is needed to interpolate between two places along an axis, the one after the last,
    both in whole blocks and within the raster, and whether that is all that is needed."""
    first, end = math.floor(low / reduce - 1) * reduce, math.ceil(high / reduce + 2) * reduce
    return min(max(first, 0), limit), min(max(end, 0), limit), first >= 0 and end <= limit


def _nodes(to_raster: FloatArray, size: int) -> FloatArray:
    """Return the raster coordinates (n, n, 2) of the nodes of a tile."""
    places = _places(size)
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


def _inside(coordinates: Coordinates, shape: tuple[int, ...]) -> Image:
    """Return 255 where coordinates lie within the outer edges of an image, else 0."""
    return np.where(within(coordinates, shape[1], shape[0]), np.uint8(255), np.uint8(0))
