"""From a rough pose to precise matches: image 1 is seen through the motion found so far and compared cell by cell.

Ours, not the paper's. Every cell says how similar the cells around its own place are; summed along the motions that one
transformation implies, these surfaces find it where most cells alone would be outvoted (see `matcher.dense.pooling`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from matcher.dense.pooling import pool_surfaces
from matcher.images import RGBImage
from matcher.mapglue.config import STRIDE
from matcher.mapglue.local import correlation_volume, local_matches
from matcher.mapglue.views import Encoder, View, seen_through
from matcher.types import Matches
from raster.fit import Model
from raster.homography import Matrix, apply_homography

PASSES: tuple[tuple[int, tuple[Model, ...]], ...] = (
    (5, ("similarity",)),
    (4, ("similarity", "homography")),
    (3, ("similarity", "homography")),
)
"""Cells searched around a cell's place, and what may explain what is found there, pass by pass."""

WINDOWS = 600
"""Cells, evenly spread, whose surfaces are pooled; more say the same again."""

LEAST_WINDOWS = 30

RADIUS, SUPPORT = 3, 5
"""Cells searched for a cell's own match, and the side of the square of cells that vote on it."""

AGREEING_PX = 6.0
"""A cell agrees with the motion when its own match is as near, in pixels of image 0."""

_TO_PIXELS = np.array([[STRIDE, 0, (STRIDE - 1) / 2], [0, STRIDE, (STRIDE - 1) / 2], [0, 0, 1]])


@dataclass(frozen=True, eq=False)
class Refined:
    """A motion (3 x 3, image 0 -> image 1), the cells that agree with it as matches, and its `merit` in [0, 1]: their
    share of all cells that both images show times their share of image 0's. The first alone is high where a small
    overlap agrees by chance, the second is low where a large one does not agree at all.
    """

    matrix: Matrix
    matches: Matches
    merit: float


def refine(encode: Encoder, view0: View, size0: tuple[int, int], image1: RGBImage, rough: Matrix) -> Refined:
    """Refine a rough motion of image 0 (width, height) to image 1."""
    matrix = rough
    for radius, models in PASSES:
        change = _pooled(view0, encode(*seen_through(image1, matrix, size0)), radius, models)
        if change is None:
            return Refined(matrix, Matches.empty(), 0.0)
        matrix = matrix @ change
        matrix = matrix / matrix[2, 2]
    return _agreeing(view0, encode(*seen_through(image1, matrix, size0)), matrix)


@torch.no_grad()
def _pooled(view0: View, view1: View, radius: int, models: tuple[Model, ...]) -> Matrix | None:
    """Return the motion of image 0's pixels that makes all cells most similar; None when few cells are on both."""
    side = 2 * radius + 1
    both = (view0.cells & view1.cells).flatten().nonzero()[:, 0]
    if len(both) < LEAST_WINDOWS:
        return None
    windows = both[torch.linspace(0, len(both) - 1, min(WINDOWS, len(both)), device=both.device).long()]
    volume = correlation_volume(view0.descriptors, view1.descriptors, view1.cells, radius).flatten(1)[:, windows]
    real = volume > -1
    mean = (volume * real).sum(0) / real.sum(0).clamp(min=1)
    surfaces = torch.where(real, volume - mean, 0.0).T.unflatten(1, (side, side))
    width = view0.cells.shape[1]
    centres = torch.stack([windows % width, torch.div(windows, width, rounding_mode="floor")], 1)
    change, _ = pool_surfaces(surfaces, centres.double().cpu().numpy(), models)
    return np.asarray(_TO_PIXELS @ change @ np.linalg.inv(_TO_PIXELS))


@torch.no_grad()
def _agreeing(view0: View, view1: View, matrix: Matrix) -> Refined:
    """Match cell by cell around `matrix`, and keep the matches near it, moved onto it.

    A match of cells is off by a few pixels where a map is generalised, and a homography fitted to such matches would
    follow their errors to the corners.
    """
    grids, cells = (view0.descriptors, view1.descriptors), (view0.cells, view1.cells)
    points0, points1, scores = local_matches(grids, cells, view0.matchable, RADIUS, SUPPORT)
    agreeing = (points1 - points0).norm(dim=1) < AGREEING_PX
    kept0 = points0[agreeing].cpu().numpy()
    matches = Matches(kept0, apply_homography(matrix, kept0).astype(np.float32), scores[agreeing].cpu().numpy())
    both, all0 = int((view0.cells & view1.cells).sum()), int(view0.cells.sum())
    return Refined(matrix, matches, len(matches) ** 2 / max(both * all0, 1))
