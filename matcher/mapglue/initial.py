"""The rough motions that refinement starts from. Ours, not the paper's.

The network knows small motions. By which rotation and scale two images are apart is found as the dense matcher finds
it, by the structure of both whole images; the network then judges the likeliest poses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from matcher.dense.matcher import CANDIDATES, likely_poses
from matcher.dense.poses import View as Picture
from matcher.mapglue.assignment import mutual_matches
from matcher.mapglue.config import STRIDE
from matcher.mapglue.local import vertex
from matcher.mapglue.semantic import cell_centres
from matcher.mapglue.views import View
from matcher.types import Matches
from raster.fit import fit
from raster.homography import Matrix

THRESHOLD_PX = 10.0
"""Matches of cells agree with a similarity when they are within this."""

TEMPERATURE = 25.0


def searched_poses(picture0: Picture, picture1: Picture, count: int) -> list[Matrix]:
    """Return the `count` likeliest motions, image 0 -> image 1, over any rotation and scales of 1/2 to 2."""
    return [pose.matrix for pose in likely_poses(picture0, picture1, max(count, CANDIDATES))[:count]]


def straight_pose(view0: View, view1: View) -> list[Matrix]:
    """Return the similarity that most matches of two encoded images agree with, or nothing."""
    matches = match_cells(view0, view1)
    fitted = fit(matches.points0, matches.points1, "similarity", threshold_px=THRESHOLD_PX)
    return [] if fitted.matrix is None else [fitted.matrix]


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
