"""The search over poses: image 1 turned and scaled until its matches with image 0 agree. Ours, not the paper's.

The network knows rotations up to some 45 degrees and scales up to 1.5; a handful of poses covers every other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from matcher.fit import Matrix, fit, transform
from matcher.images import RGBImage
from matcher.mapglue.assignment import mutual_matches
from matcher.mapglue.config import STRIDE
from matcher.mapglue.local import vertex
from matcher.mapglue.semantic import cell_centres
from matcher.mapglue.views import Encoder, View, seen_through, turned
from matcher.types import Matches

ROTATIONS = (0, 45, -45, 90, -90, 135, -135, 180)
SCALES = (1.0, 1.6, 0.625)
CLEAR_INLIERS = 150
CLEAR_SHARE = 0.6
"""As many matches agreeing, and such a share of them, end the search."""

THRESHOLD_PX = 10.0
"""Matches of cells agree with a similarity when they are within this, in pixels of the pose."""

LARGEST_TURN_DEG, LARGEST_SCALE = 35.0, 1.45
"""A motion further than this from its pose belongs to another pose, or to chance."""

TEMPERATURE = 25.0


@dataclass(frozen=True, eq=False)
class Pose:
    """A similarity (image 0 -> image 1, or None), the matches it rests on and how many of them agree with it."""

    matrix: Matrix | None
    matches: Matches
    inliers: int

    @property
    def clear(self) -> bool:
        return self.inliers >= CLEAR_INLIERS and self.inliers >= CLEAR_SHARE * len(self.matches)


def search(encode: Encoder, view0: View, image1: RGBImage, every: bool = True) -> Pose:
    """Return the pose whose matches agree best: the first clear one, or the best of all. `every` false tries only the
    image as it stands.
    """
    best = Pose(None, Matches.empty(), 0)
    poses = product(SCALES, ROTATIONS) if every else [(1.0, 0)]
    for scale, degrees in poses:
        pose = try_pose(encode, view0, image1, degrees, scale)
        if pose.inliers > best.inliers:
            best = pose
        if best.clear:
            break
    return best


def try_pose(encode: Encoder, view0: View, image1: RGBImage, degrees: float, scale: float) -> Pose:
    """Match image 0 with image 1 turned by `degrees` and enlarged by `scale`; fit a similarity."""
    height, width = image1.shape[:2]
    matrix, canvas = turned((width, height), degrees, scale)
    view1 = encode(*seen_through(image1, matrix, canvas))
    found = match_cells(view0, view1)
    matches = Matches(found.points0, transform(matrix, found.points1).astype(np.float32), found.scores)
    fitted = fit(matches, "similarity", threshold_px=THRESHOLD_PX / scale)
    if fitted.matrix is None or not _near(np.linalg.inv(matrix) @ fitted.matrix):
        return Pose(None, matches, 0)
    return Pose(fitted.matrix, matches, int(fitted.inliers.sum()))


def _near(motion: Matrix) -> bool:
    """Whether a similarity turns and scales little."""
    scale = float(np.hypot(motion[0, 0], motion[1, 0]))
    degrees = float(np.rad2deg(np.arctan2(motion[1, 0], motion[0, 0])))
    return abs(degrees) <= LARGEST_TURN_DEG and 1 / LARGEST_SCALE <= scale <= LARGEST_SCALE


@torch.inference_mode()
def match_cells(view0: View, view1: View) -> Matches:
    """Return the mutual best matches of all cells of two views by their descriptors, sub-cell in view 1."""
    grid0, grid1 = view0.descriptors.flatten(1), view1.descriptors.flatten(1)  # D x cells
    index0, index1 = view0.cells.flatten().nonzero()[:, 0], view1.cells.flatten().nonzero()[:, 0]
    if not len(index0) or not len(index1):
        return Matches.empty()
    similarity = grid0[:, index0].T @ grid1[:, index1]
    score = TEMPERATURE * similarity
    best, probability = mutual_matches((score.log_softmax(0) + score.log_softmax(1))[None], 0.0)
    found = (best[0] >= 0).nonzero()[:, 0]
    cells0, cells1 = index0[found], index1[best[0][found]]
    centres0 = cell_centres(view0.cells.shape[0], view0.cells.shape[1], STRIDE, grid0.device)[cells0]
    points1 = peak(grid0[:, cells0], view1.descriptors, cells1)
    return Matches(centres0.cpu().numpy(), points1.cpu().numpy(), probability[0][found].float().cpu().numpy())


def peak(descriptors: Tensor, grid: Tensor, cells: Tensor) -> Tensor:
    """Return the pixels, N x 2, near `cells` (N) of D x h x w `grid` where the similarity with D x N peaks."""
    height, width = grid.shape[-2:]
    row, column = torch.div(cells, width, rounding_mode="floor"), cells % width
    y, x = row.clamp(1, height - 2), column.clamp(1, width - 2)

    def similarity(dy: int, dx: int) -> Tensor:
        return (descriptors * grid[:, y + dy, x + dx]).sum(0)

    centre = similarity(0, 0)
    offset = torch.stack(
        [
            vertex(similarity(0, -1), centre, similarity(0, 1)) * (x == column),
            vertex(similarity(-1, 0), centre, similarity(1, 0)) * (y == row),
        ],
        -1,
    )
    return (torch.stack([column, row], -1) + 0.5 + offset) * STRIDE - 0.5
