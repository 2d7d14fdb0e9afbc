"""An open raster, reduced or warped, without reading more of it than they show."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np

from raster.homography import FloatArray, Matrix, apply_homography, inverse, translation
from raster.image import Image, Mask
from raster.pixels import resizing
from raster.reader import RasterReader
from raster.warp import warp

Bounds: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels: columns x0 to x1 - 1, rows y0 to y1 - 1."""

_LEAST_PX = 8
"""A part of a raster that is no wider or higher than this shows nothing."""


def reduced(raster: RasterReader, longest: int) -> tuple[Image, Mask, Matrix]:
    """Read a raster as a whole, reduced by a whole number.

    Args:
        raster: The raster.
        longest: What the longer side of the result is to have at least, in pixels, and less than twice of.

    Returns:
        The image, its mask, and the matrix from the raster's pixels to the image's.
    """
    reduce = max(1, max(raster.width, raster.height) // longest)
    image, mask = raster.read(0, 0, raster.width, raster.height, reduce)
    return image, mask, resizing(1 / reduce, 1 / reduce)


def bounds_around(raster: RasterReader, points: FloatArray, margin: float = 0.0) -> Bounds | None:
    """Return the bounds within a raster that hold some points and a margin around them.

    Args:
        raster: What the bounds are cut off at.
        points: (N, 2) x, y in the raster's pixels; they may lie outside it.
        margin: Pixels added on each side before cutting off.

    Returns:
        x0, y0, x1, y1 in whole pixels, x1 and y1 excluded; None where a point is infinite, or next to nothing of the
        raster lies within.
    """
    if not np.isfinite(points).all():
        return None
    low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin) + 1
    x0, y0 = np.clip(low, 0, (raster.width, raster.height)).astype(int)
    x1, y1 = np.clip(high, 0, (raster.width, raster.height)).astype(int)
    return (int(x0), int(y0), int(x1), int(y1)) if x1 - x0 > _LEAST_PX and y1 - y0 > _LEAST_PX else None


def warped(raster: RasterReader, homography: Matrix, width: int, height: int) -> tuple[Image, Mask]:
    """Warp a raster by a homography from its pixels to those of the result, averaging where it shrinks.

    Only what the result shows is read, already reduced where the result is smaller.

    Args:
        raster: An open raster.
        homography: 3x3, from full-resolution pixels of the raster to those of the result.
        width: Of the result, in pixels.
        height: Of the result, in pixels.

    Returns:
        The image (height, width, 3), black where there is nothing, and its mask.
    """
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    sources = apply_homography(inverse(homography), corners)
    bounds = bounds_around(raster, sources, margin=8)
    if bounds is None:
        return np.zeros((height, width, 3), np.uint8), np.zeros((height, width), bool)
    area = abs(cv2.contourArea(sources.astype(np.float32))) / max(width * height, 1)
    reduce = max(1, int(np.sqrt(area) + 0.1))
    x0, y0, x1, y1 = bounds
    image, mask = raster.read(x0, y0, x1 - x0, y1 - y0, reduce)
    to_image = resizing(1 / reduce, 1 / reduce) @ translation(-x0, -y0)
    return warp(image, mask, homography @ inverse(to_image), width, height)
