"""Half a pixel: the one module that converts between coordinates of pixels' centres and of their corners.

Pixel coordinates have (0, 0) at the centre of the top-left pixel (OpenCV's convention). GDAL's geotransforms, QGIS and
everything that counts pixels by their edges have it at the outer corner of that pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray, Matrix, translation

if TYPE_CHECKING:
    import torch

Place = TypeVar("Place", float, NDArray[Any], "torch.Tensor")

TO_CORNER: Matrix = translation(0.5, 0.5)
"""The matrix from pixel coordinates to those that count from the outer corner."""


def from_corner(coordinates: Place) -> Place:
    """Return pixel coordinates of coordinates that count from the outer corner.

    Args:
        coordinates: A number, array or tensor of any shape, (0, 0) the outer corner of the top-left pixel, as in GDAL's
            geotransforms.

    Returns:
        The same shape, (0, 0) the centre of the top-left pixel.
    """
    return coordinates - 0.5


def to_corner(coordinates: Place) -> Place:
    """Return coordinates that count from the outer corner of pixel coordinates.

    Args:
        coordinates: A number, array or tensor of any shape, (0, 0) the centre of the top-left pixel.

    Returns:
        The same shape, (0, 0) the outer corner of the top-left pixel, as GDAL and rasterio's windows count.
    """
    return coordinates + 0.5


def rescaled(coordinates: Place, scale: float) -> Place:
    """Return where pixel coordinates of an image lie in its version resized by `scale`: corners, not centres, are kept.

    With 1 / stride these are the coordinates in cells of stride x stride pixels; with the stride, the way back.

    Args:
        coordinates: x, y or both, of any shape, (0, 0) the centre of the top-left pixel.
        scale: New size over old size, above 0: 0.5 halves an image.

    Returns:
        The same shape, (0, 0) the centre of the resized version's top-left pixel.
    """
    return (coordinates + 0.5) * scale - 0.5


def resizing(scale_x: float, scale_y: float) -> Matrix:
    """Return the matrix from pixels of an image to those of its resized version: corners, not centres, are kept.

    Args:
        scale_x: New width over old width.
        scale_y: New height over old height.

    Returns:
        (3, 3) float64, which does to points what `rescaled` does to coordinates.
    """
    return np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]], dtype=np.float64)


def outer_bounds(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Return the outer edges (x0, y0, x1, y1), in pixel coordinates, of a block whose top-left pixel is (x, y).

    Args:
        x: First column of the block.
        y: First row of the block.
        width: Columns of the block.
        height: Rows of the block.
    """
    return x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5


def outline(width: int, height: int) -> FloatArray:
    """Return the outer corners (4, 2) of an image, in pixel coordinates, clockwise from the top left.

    Args:
        width: Of the image, in pixels.
        height: Of the image, in pixels.

    Returns:
        (4, 2) float64, half a pixel beyond the centres of the corner pixels.
    """
    x0, y0, x1, y1 = outer_bounds(0, 0, width, height)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def within(points: NDArray[Any], width: int, height: int) -> NDArray[np.bool_]:
    """Return which points (..., 2), in pixel coordinates, lie within the outer edges of an image, (...).

    Args:
        points: (..., 2) x, y, (0, 0) the centre of the top-left pixel.
        width: Of the image, in pixels.
        height: Of the image, in pixels.

    Returns:
        (...) bool, True on the very edge; False for NaN.
    """
    x0, y0, x1, y1 = outer_bounds(0, 0, width, height)
    x, y = points[..., 0], points[..., 1]
    return np.asarray((x >= x0) & (y >= y0) & (x <= x1) & (y <= y1))
