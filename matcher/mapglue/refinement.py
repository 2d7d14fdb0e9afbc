"""From a rough pose to precise matches: image 1 is seen through the motion found so far and compared cell by cell."""

from __future__ import annotations

import numpy as np
import torch

from matcher.fit import Fit, Matrix, fit, transform
from matcher.images import RGBImage
from matcher.mapglue.local import local_matches
from matcher.mapglue.views import Encoder, View, seen_through
from matcher.types import Matches

RADII = (4, 2)
"""Cells searched around a cell's place, pass by pass."""

SUPPORT = 5
"""Cells on a side over which similarities are averaged."""

THRESHOLDS_PX = (6.0, 4.0)
MORE_FREEDOM = 1.25
"""A model with more freedom must explain this many times the matches."""

LEAST_MATCHES = 20


@torch.inference_mode()
def refine(encode: Encoder, view0: View, size0: tuple[int, int], image1: RGBImage, rough: Matrix) -> Matches:
    """Return matches of image 0 (width, height) with image 1 given a rough motion, image 0 -> image 1; none when the
    motion does not hold.
    """
    matrix, matches = rough, Matches.empty()
    for radius, threshold in zip(RADII, THRESHOLDS_PX, strict=True):
        view1 = encode(*seen_through(image1, matrix, size0))
        grids, masks = (view0.descriptors, view1.descriptors), (view0.cells, view1.cells)
        points0, points1, scores = local_matches(grids, masks, view0.matchable, radius, SUPPORT)
        moved = transform(matrix, points1.cpu().numpy()).astype(np.float32)
        matches = Matches(points0.cpu().numpy(), moved, scores.cpu().numpy())
        if len(matches) < LEAST_MATCHES:
            return Matches.empty()
        fitted = least_freedom(matches, threshold * float(np.sqrt(abs(np.linalg.det(matrix[:2, :2])))))
        if fitted.matrix is None:
            return Matches.empty()
        matrix = fitted.matrix
    return regularised(matches, fitted)


def regularised(matches: Matches, fitted: Fit) -> Matches:
    """Return the matches that agree with the fitted motion, moved onto it.

    A match of cells is off by a few pixels where a map is generalised, and a homography fitted to such matches follows
    their errors. Where fewer parameters explain the pair (see `least_freedom`), the matches say so.
    """
    assert fitted.matrix is not None
    agreeing = matches[fitted.inliers]
    points1 = transform(fitted.matrix, agreeing.points0).astype(np.float32)
    return Matches(agreeing.points0, points1, agreeing.scores)


def least_freedom(matches: Matches, threshold_px: float) -> Fit:
    """Fit the model with the least freedom that explains the matches: similarity, affine, homography."""
    best = fit(matches, "similarity", threshold_px)
    for freer in (fit(matches, "affine", threshold_px), fit(matches, "homography", threshold_px)):
        if freer.matrix is not None and freer.inliers.sum() > MORE_FREEDOM * best.inliers.sum():
            best = freer
    return best
