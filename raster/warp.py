"""One antialiased warp of an image with its mask by a homography."""

from __future__ import annotations

import math

import cv2
import numpy as np

from raster.homography import Matrix, apply_homography, inverse
from raster.image import Image, Mask

SHRINK = 1.5
"""Where more pixels than so many fall into one of the result, along a side, they are averaged."""

SIGMA = 0.4
"""Standard deviation of the Gaussian that averages them, in pixels of the result."""

COVERED = 250
"""A pixel of which more than so many 255ths are interpolated from data has data; the rest is rounding."""

MAX_SHRINK = 16.0
"""Beyond, the Gaussian grows no more: its cost would, and next to nothing is left to be seen."""


def warp(image: Image, mask: Mask, matrix: Matrix, width: int, height: int) -> tuple[Image, Mask]:
    """Warp an image and its mask by a homography, averaging where it shrinks.

    Args:
        image: H x W x 3 uint8.
        mask: H x W bool, True where there is data.
        matrix: 3x3, from pixels of the image to those of the result.
        width: Of the result, in pixels.
        height: Of the result, in pixels.

    Returns:
        The image (height, width, 3), black where there is nothing, and the mask (height, width): True where all that
        a pixel is interpolated from has data.
    """
    smooth = antialiased(image, shrinkage(inverse(matrix), width, height))
    warped = cv2.warpPerspective(smooth, matrix, (width, height), flags=cv2.INTER_LINEAR)
    inside = cv2.warpPerspective(mask.astype(np.uint8) * 255, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, np.uint8), np.asarray(inside > COVERED)


def antialiased(image: Image, shrink: float) -> Image:
    """Blur an image that is about to be sampled at every `shrink`-th pixel, as far as that would alias.

    Args:
        image: H x W x C or H x W uint8.
        shrink: Pixels of the image to a step in the result, see `shrinkage`. Up to `SHRINK`, and where infinite,
            nothing is blurred; the Gaussian stops growing at `MAX_SHRINK`.

    Returns:
        uint8 in the shape of `image`; the very array where it is not blurred.
    """
    if not SHRINK < shrink < math.inf:
        return np.asarray(image)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), SIGMA * min(shrink, MAX_SHRINK)), np.uint8)


def shrinkage(to_source: Matrix, width: int, height: int) -> float:
    """Return how many pixels of the source a step to the right takes amid a view of `width` x `height` pixels.

    Args:
        to_source: 3x3, from the view's pixels to those of the source.
        width: Of the view, in pixels.
        height: Of the view, in pixels.

    Returns:
        Above 1 where the view shows the source smaller than it is; infinite where its middle lies at the horizon.
    """
    x, y = (width - 1) / 2, (height - 1) / 2
    here, right = apply_homography(to_source, [[x, y], [x + 1, y]])
    with np.errstate(invalid="ignore"):
        step = float(np.linalg.norm(right - here))
    return step if math.isfinite(step) else math.inf
