"""One picture that shows whether two images were matched: the matches, and one image laid on the other."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from matcher.images import RGBImage
from matcher.types import Matches
from raster.fit import Fit
from raster.homography import inverse
from raster.pixels import resizing
from raster.warp import warp

INLIER, OUTLIER = (0, 200, 0), (230, 60, 60)
MAX_LINES = 300
SQUARES = 8
GAP = 8
MAX_SIDE = 1024


def draw_matches(image0: RGBImage, image1: RGBImage, matches: Matches, fitted: Fit) -> RGBImage:
    """Draw matches and the fit.

    Args:
        image0: H x W x 3 uint8 RGB.
        image1: H x W x 3 uint8 RGB.
        matches: Their correspondences.
        fitted: A fit to them.

    Returns:
        A picture: above, both images with their matches (inliers green, outliers red, of each the 300 with the highest
        scores); below, where there is a model, image 0 warped onto image 1 in a chequerboard with it, and blended.
    """
    scale0, scale1 = (min(1.0, MAX_SIDE / max(image.shape[:2])) for image in (image0, image1))
    small0, small1 = _resized(image0, scale0), _resized(image1, scale1)
    above = _side_by_side(small0, small1)
    offset = np.array([small0.shape[1] + GAP, 0])
    order = np.argsort(-matches.scores, kind="stable")
    for colour, wanted in ((OUTLIER, ~fitted.inliers), (INLIER, fitted.inliers)):
        chosen = order[wanted[order]][:MAX_LINES]
        starts = np.rint(matches.points0[chosen] * scale0).astype(int)
        ends = np.rint(matches.points1[chosen] * scale1 + offset).astype(int)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            cv2.line(above, start, end, colour, 1, cv2.LINE_AA)
            cv2.circle(above, start, 2, colour, -1, cv2.LINE_AA)
            cv2.circle(above, end, 2, colour, -1, cv2.LINE_AA)
    if fitted.matrix is None:
        return above
    matrix = resizing(scale1, scale1) @ fitted.matrix @ inverse(resizing(scale0, scale0))
    height, width = small1.shape[:2]
    warped, mask = warp(small0, np.ones(small0.shape[:2], bool), matrix, width, height)
    seen = mask[..., None]
    blended = cv2.addWeighted(warped, 0.5, small1, 0.5, 0)
    board = np.where(_chequers(*small1.shape[:2])[..., None], warped, small1)
    below = _side_by_side(np.where(seen, board, small1), np.where(seen, blended, small1))
    width = max(above.shape[1], below.shape[1])
    return np.vstack([_padded(above, width), np.full((GAP, width, 3), 255, np.uint8), _padded(below, width)])


def _resized(image: RGBImage, scale: float) -> RGBImage:
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return image if scale == 1 else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _side_by_side(left: np.ndarray, right: np.ndarray) -> RGBImage:
    canvas = np.full((max(len(left), len(right)), left.shape[1] + GAP + right.shape[1], 3), 255, np.uint8)
    canvas[: len(left), : left.shape[1]] = left
    canvas[: len(right), left.shape[1] + GAP :] = right
    return canvas


def _padded(image: RGBImage, width: int) -> RGBImage:
    return np.pad(image, ((0, 0), (0, width - image.shape[1]), (0, 0)), constant_values=255)


def _chequers(height: int, width: int) -> npt.NDArray[np.bool_]:
    square = max(1, max(height, width) // SQUARES)
    y, x = np.ogrid[:height, :width]
    return np.asarray((y // square + x // square) % 2 == 0)
