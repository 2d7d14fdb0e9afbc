"""Resampling a raster onto a tile, in one pass."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.grid import FloatArray, apply_homography
from stages.rasters import Image, Raster

NODE_PX = 16
"""Coordinates are computed at nodes this far apart and interpolated between them: exact for affine transforms, and off
by less than a hundredth of a pixel for the mild perspective of georeferenced imagery."""
_EXACT_PX = 1e-6


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

    nodes = _nodes(size, to_raster)
    reduce = _reduction(nodes)
    # Rasters that are read reduced end at the last whole block of pixels.
    limits = np.array([width - width % reduce, height - height % reduce])
    low = np.floor(nodes.min(axis=(0, 1)) / reduce - 1).astype(np.int64) * reduce
    high = np.ceil(nodes.max(axis=(0, 1)) / reduce + 2).astype(np.int64) * reduce
    (x0, y0), (x1, y1) = np.clip(low, 0, limits).tolist(), np.clip(high, 0, limits).tolist()
    if x1 <= x0 or y1 <= y0:
        return np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)

    pixels, mask = raster.read(x0, y0, x1 - x0, y1 - y0, reduce)
    local = ((nodes - (x0, y0) + 0.5) / reduce - 0.5).astype(np.float32)
    x, y = _interpolate(local, size)
    inside = _inside(x, y, pixels.shape)
    tile = _remap(pixels, x, y)
    if mask is None and inside is None:
        return tile, None
    valid = np.full((size, size), 255, np.uint8) if inside is None else inside
    if mask is not None:
        # A pixel counts only if all it is interpolated from has data.
        valid = valid & np.where(_remap(mask, x, y) == 255, np.uint8(255), np.uint8(0))
    return tile & valid[..., None], None if valid.all() else valid


def _remap(image: Image, x: NDArray[np.float32], y: NDArray[np.float32]) -> Image:
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _whole_shift(matrix: FloatArray) -> tuple[int, int] | None:
    """Return (x, y) if the matrix only shifts by whole pixels."""
    x, y = round(float(matrix[0, 2])), round(float(matrix[1, 2]))
    shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
    return (x, y) if np.abs(matrix / matrix[2, 2] - shift).max() < _EXACT_PX else None


def _nodes(size: int, to_raster: FloatArray) -> FloatArray:
    """Return raster coordinates (n, n, 2) of nodes in the middle of blocks of NODE_PX, one block beyond each side."""
    steps = np.arange(-1, -(-size // NODE_PX) + 1) * NODE_PX + (NODE_PX - 1) / 2
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    return apply_homography(to_raster, grid.reshape(-1, 2)).reshape(grid.shape)


def _interpolate(nodes: NDArray[np.float32], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the coordinates x and y (size, size) of all pixels. Enlarged, a node lies in the middle of its block."""
    enlarged = cv2.resize(nodes, None, fx=NODE_PX, fy=NODE_PX, interpolation=cv2.INTER_LINEAR)
    x, y = cv2.split(enlarged[NODE_PX : NODE_PX + size, NODE_PX : NODE_PX + size])
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _reduction(nodes: FloatArray) -> int:
    """Return how many raster pixels lie in a tile pixel, along the side where they are fewest."""
    middle = len(nodes) // 2
    along_x = np.linalg.norm(nodes[middle, middle] - nodes[middle, middle - 1])
    along_y = np.linalg.norm(nodes[middle, middle] - nodes[middle - 1, middle])
    return max(1, int(min(along_x, along_y) / NODE_PX + 1e-3))


def _inside(x: NDArray[np.float32], y: NDArray[np.float32], shape: tuple[int, ...]) -> Image | None:
    """Return 255 where coordinates lie within the outer edges of an image, else 0; None if they all do."""
    right, bottom = shape[1] - 0.5, shape[0] - 0.5
    if x.min() >= -0.5 and y.min() >= -0.5 and x.max() <= right and y.max() <= bottom:
        return None
    inside = (x >= -0.5) & (y >= -0.5) & (x <= right) & (y <= bottom)
    return np.where(inside, np.uint8(255), np.uint8(0))
