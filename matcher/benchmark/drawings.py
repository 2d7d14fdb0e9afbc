"""Pairs drawn: both images, and the one laid on the other by what the matcher found."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from matcher.benchmark.pairs import ImagePair, Matrix
from matcher.images import RGBImage
from raster.homography import apply_homography
from raster.levels import corners_of
from raster.warp import warp

SIDE = 256
_SQUARES = 8
_FOUND, _TRUE = (213, 94, 0), (0, 158, 115)


def draw_pair(pair: ImagePair, estimate: Matrix | None) -> str:
    """Return a JPEG as a data URI: image 0, image 1, and a chessboard of image 1 with image 0 laid on it.

    On image 1 the true outline of image 0 is green, the one found red. Without an estimate the third is image 1.

    Args:
        pair: The images and the true homography.
        estimate: 3 x 3, pixels of image 0 -> pixels of image 1; None where none was found.
    """
    height, width = pair.image1.shape[:2]
    outlined = pair.image1.copy()
    corners = corners_of(pair.image0.shape[1], pair.image0.shape[0])
    thickness = max(1, round(max(height, width) / SIDE * 2))
    _outline(outlined, apply_homography(pair.homography, corners), _TRUE, thickness)
    laid = pair.image1
    if estimate is not None:
        _outline(outlined, apply_homography(estimate, corners), _FOUND, thickness)
        laid = _chessboard(pair.image1, pair.image0, estimate)
    strip = np.concatenate([_fit(image) for image in (pair.image0, outlined, laid)], axis=1)
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(strip[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _chessboard(below: RGBImage, image: RGBImage, matrix: Matrix) -> RGBImage:
    height, width = below.shape[:2]
    warped, covered = warp(image, np.ones(image.shape[:2], bool), matrix, width, height)
    rows, columns = np.arange(height) * _SQUARES // height, np.arange(width) * _SQUARES // width
    chosen = covered & ((rows[:, None] + columns[None]) % 2 == 0)
    return np.where(chosen[..., None], warped, below).astype(np.uint8)


def _outline(image: RGBImage, corners: Matrix, colour: tuple[int, int, int], thickness: int) -> None:
    limit = 8 * max(image.shape[:2])
    if np.isfinite(corners).all() and np.abs(corners).max() < limit:
        cv2.polylines(image, [np.rint(corners).astype(np.int32)], True, colour, thickness, cv2.LINE_AA)


def _fit(image: RGBImage) -> RGBImage:
    """Shrink or enlarge to a square of SIDE px on white, keeping the proportions."""
    height, width = image.shape[:2]
    scale = (SIDE - 4) / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, size, interpolation=interpolation)
    canvas = np.full((SIDE, SIDE, 3), 255, np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas
