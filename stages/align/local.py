"""What is left after one homography: a smooth misalignment, which patches take up, and the map's own generalisation.

A map's features are shifted and widened one by one, so neighbours disagree; a misalignment moves neighbours together.
Each window's residual is therefore predicted from its neighbours: what they predict is misalignment, what they do not
is generalisation (and noise) and must not bend the pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raster.homography import FloatArray, apply_homography, inverse
from raster.least_squares import fit_homography
from raster.pixels import outer_bounds
from raster.reader import RasterReader
from stages.align.fine import Windows
from stages.align.model import Fitted
from stages.align.result import Patch, Transform

PATCH_PX = 1024
REACH_STEPS = 1.5
"""Standard deviation of the neighbours' weights, in median distances to the eighth nearest window."""

WORTHWHILE = 0.85
"""Patches bend only if neighbours' predictions leave at most this share of the residuals' energy."""


@dataclass(frozen=True, eq=False)
class Local:
    """The residual field: `points` (N, 2) visible px, `moves` (N, 2), what to add to the model there; `reach` in px.

    `misalignment_px`: root mean square of what neighbours predict (0 where they predict nothing better than chance);
    `generalisation_px`: of what remains. NaN where too few windows agree.
    """

    points: FloatArray
    moves: FloatArray
    reach: float
    bends: bool
    misalignment_px: float
    generalisation_px: float

    def at(self, points: FloatArray) -> FloatArray:
        """Return the smooth move (M, 2) at visible pixels; zero where it is not worthwhile, fading far from windows."""
        return _smooth(points, self.points, self.moves, self.reach) if self.bends else np.zeros_like(points)

    def patches(self, matrix: FloatArray, visible: RasterReader, windows: Windows, fitted: Fitted) -> list[Patch]:
        """Return a transform for each patch of the visible raster: the whole one, bent as the neighbours say.

        Args:
            matrix: The accepted homography of the whole pair, 3x3, map -> visible, full-resolution pixels.
            visible: Gives the size that patches of `PATCH_PX` cover row by row; those at the border reach beyond it.
            windows: The tie points that tell the residual of each patch.
            fitted: The correction to `windows.expected`, of which the residual field is what remains.

        Returns:
            All with `matrix` itself where the field does not bend it. A residual is None where no inlier lies near.
        """
        moved = apply_homography(fitted.matrix, windows.expected)
        inliers = windows.reliable & fitted.inliers
        misses = np.linalg.norm(windows.found - moved - self.at(moved), axis=1)
        found = []
        for y in range(0, visible.height, PATCH_PX):
            for x in range(0, visible.width, PATCH_PX):
                bounds = outer_bounds(x, y, PATCH_PX, PATCH_PX)
                xs, ys = np.meshgrid(np.linspace(bounds[0], bounds[2], 3), np.linspace(bounds[1], bounds[3], 3))
                lattice = np.stack([xs.ravel(), ys.ravel()], axis=1)
                source = apply_homography(inverse(matrix), lattice)
                bent = fit_homography(source, lattice + self.at(lattice)) if self.bends else matrix
                # a patch is smaller than a window of most rasters: those within a reach around it tell how it fits
                middle = np.array([(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2])
                near = inliers & (np.abs(windows.found - middle).max(axis=1) <= PATCH_PX / 2 + self.reach)
                residual = float(np.sqrt(np.mean(misses[near] ** 2))) if near.any() else None
                found.append(Patch(bounds, Transform(bent, residual, int(near.sum()))))
        return found


def local_field(windows: Windows, fitted: Fitted) -> Local:
    """Let neighbours vote on the residuals of the reliable windows that agree with the model.

    Args:
        windows: Tie points of the last pass, full-resolution pixels.
        fitted: The model, which takes `windows.expected` to `windows.found`; its inliers vote.

    Returns:
        A field that bends nothing where there are fewer than 30 such windows, or where their leave-one-out prediction
        does not lower the mean square of the residuals enough (`WORTHWHILE`).
    """
    moved = apply_homography(fitted.matrix, windows.expected)
    inliers = windows.reliable & fitted.inliers
    points, moves = moved[inliers], (windows.found - moved)[inliers]
    if len(points) < 30:
        return Local(points, moves, 1.0, False, float("nan"), float("nan"))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) if len(points) <= 4000 else None
    spacing = (
        float(np.median(np.partition(distances, 8, axis=1)[:, 8]))
        if distances is not None
        else float(np.sqrt(np.prod(np.ptp(points, axis=0)) / len(points)) * 1.6)
    )
    reach = REACH_STEPS * max(spacing, 1.0)
    predicted = _smooth(points, points, moves, reach, without_self=True)
    energy, left = float(np.mean(moves**2)), float(np.mean((moves - predicted) ** 2))
    bends = left < WORTHWHILE * energy
    smooth = _smooth(points, points, moves, reach) if bends else np.zeros_like(moves)
    return Local(
        points,
        moves,
        reach,
        bends,
        float(np.sqrt(np.mean((smooth**2).sum(1)))),
        float(np.sqrt(np.mean(((moves - smooth) ** 2).sum(1)))),
    )


def _smooth(
    at: FloatArray, points: FloatArray, moves: FloatArray, reach: float, without_self: bool = False
) -> FloatArray:
    """Average `moves` with Gaussian weights, a small constant pulling towards zero where windows are far."""
    result = np.empty((len(at), 2))
    for start in range(0, len(at), 512):
        chunk = at[start : start + 512]
        weights = np.exp(-((chunk[:, None] - points[None]) ** 2).sum(2) / (2 * reach**2))
        if without_self:
            weights[np.arange(len(chunk)), np.arange(start, start + len(chunk))] = 0
        result[start : start + len(chunk)] = weights @ moves / (weights.sum(1, keepdims=True) + 0.5)
    return result
