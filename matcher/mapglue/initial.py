"""The initial hypotheses that refinement starts from. Ours, not the paper's."""

from __future__ import annotations

import torch
from torch import Tensor

from matcher.mapglue.assignment import mutual_matches
from matcher.mapglue.config import STRIDE
from matcher.mapglue.encoding import EncodedImage
from matcher.mapglue.semantic import cell_centres
from matcher.types import Matches
from raster.fit import fit
from raster.homography import Matrix
from raster.peak import vertex
from raster.pixels import rescaled

THRESHOLD_PX = 10.0
"""Largest error, in pixels of image 1, of a match of cells that agrees with a similarity."""

TEMPERATURE = 25.0
"""Of the similarities of descriptors in the dual softmax."""


def unsearched_hypothesis(view0: EncodedImage, view1: EncodedImage) -> list[Matrix]:
    """Return the similarity, 3 x 3, image 0 -> image 1, that most matches of cells agree with, or an empty list.

    For images that are rotated and scaled little against each other.

    Args:
        view0: Image 0, encoded.
        view1: Image 1, encoded.

    Returns:
        One 3 x 3 float64 matrix between pixels of the encoded images, or none.
    """
    matches = match_cells(view0, view1)
    fitted = fit(matches.points0, matches.points1, "similarity", threshold_px=THRESHOLD_PX)
    return [] if fitted.matrix is None else [fitted.matrix]


@torch.inference_mode()
def match_cells(view0: EncodedImage, view1: EncodedImage) -> Matches:
    """Return the mutual nearest neighbours among all cells of two images by their descriptors, sub-cell in image 1.

    Args:
        view0: Image 0; only its `cells` take part.
        view1: Image 1; only its `cells` take part.

    Returns:
        Points in pixels: centres of cells in image 0, peaks of the similarity in image 1; scores are probabilities of
        the dual softmax. No points where an image has no cell with data and structure.
    """
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
    points1 = _peaks(grid0[:, cells0], view1.descriptors, cells1)
    return Matches(centres0.cpu().numpy(), points1.cpu().numpy(), probability[0][found].float().cpu().numpy())


def _peaks(descriptors: Tensor, grid: Tensor, cells: Tensor) -> Tensor:
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
    return rescaled(torch.stack([column, row], -1) + offset, STRIDE)
