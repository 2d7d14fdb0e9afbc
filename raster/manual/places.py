"""Mistakes that the points of one place share, such as one crossing taken for another: how far they would be noticed.

The test of one point generalises to a common shift of several (Baarda, A Testing Procedure for Use in Geodetic
Networks, 1968): with the residuals of a least-squares fit summed over a place, their covariance says how large a shift
would have to be to show, and the fit's derivatives how far it would move the corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raster.homography import FloatArray
from raster.manual.models import PointFit


@dataclass(frozen=True, eq=False)
class SharedMistakes:
    """What the fit says of a common shift of the points around each of N points.

    `members` (N, N): whose place each point belongs to. `sums` (N, 2): weighted residuals of a place; `spare`
    (N, 2, 2): their covariance for noise of unit variance; `carried` (N, P, 2): how a shift of a place moves the
    parameters.
    """

    members: NDArray[np.bool_]
    sums: FloatArray
    spare: FloatArray
    carried: FloatArray

    @property
    def redundancy(self) -> FloatArray:
        """Return how much of a unit shift, in the worst direction, stays in the residuals (N,), squared."""
        return np.asarray(np.linalg.eigvalsh(self.spare)[:, 0])

    @property
    def statistics(self) -> FloatArray:
        """Return for each place (N,) the drop of the squared residuals that a shift of its points would bring."""
        seen = self.redundancy > 1e-9
        spare = np.where(seen[:, None, None], self.spare, np.eye(2))
        drops = np.sum(self.sums * np.linalg.solve(spare, self.sums[..., None])[..., 0], axis=1)
        return np.where(seen, drops, 0.0)


def shared_mistakes(fitted: PointFit, points: FloatArray, reach: float) -> SharedMistakes:
    """Return what a fit says of mistakes that neighbours share.

    Args:
        fitted: The fit to N points.
        points: (N, 2) the points, in the unit of the fit's source.
        reach: Points at most so far from one belong to its place.
    """
    members = np.linalg.norm(points[:, None] - points[None], axis=2) <= reach
    weighted = members * fitted.weights
    sums = weighted @ fitted.residuals
    slopes = np.einsum("gn,nip->gip", weighted, fitted.jacobian)
    carried = np.einsum("pq,giq->gpi", fitted.cofactor, slopes)
    spare = weighted.sum(axis=1)[:, None, None] * np.eye(2) - slopes @ carried
    return SharedMistakes(members, sums, spare, carried)
