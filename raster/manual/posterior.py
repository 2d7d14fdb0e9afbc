"""How far a fit to few points may be off, far from them: noise, order of the transformation and geometry together.

The error at a place has three unknown parts: the noise of the points, as their leverage carries it there; how large
that noise is, which few residuals hardly tell; and what a higher-order transformation would do there that the points
are too noisy to show. Bayesian model averaging accounts for all three (Hoeting, Madigan, Raftery and Volinsky, Bayesian
Model Averaging: A Tutorial, Statistical Science 14, 1999): over a lattice of noise levels and of sizes of the affine
and the perspective part, each hypothesis is linear and Gaussian around the fit, so that its evidence and its
covariance, carried to a place by the Jacobian (Hartley and Zisserman, Multiple View Geometry, section 5.2), are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raster.fit import Model
from raster.homography import FloatArray, Matrix
from raster.manual.models import MODELS, jacobian, predict

DEPARTURES_PX = np.array([1e-3, 2.0, 20.0, 200.0, 2000.0])
"""Standard deviations, in px at the corners of the map, of what the affine and the perspective part may add to a
similarity; the first stands for nothing."""

NO_DEPARTURE = 0.6
"""Prior probability that such a part is absent; the other sizes share the rest."""

NOISE_LEVELS = 7

# from (x shift, y shift, scale cosine, scale sine, two affine departures, two perspective ones) to matrix elements
_BASIS = np.zeros((8, 8))
_BASIS[[0, 1, 2, 5, 4, 2, 3, 4, 6, 7], [0, 1, 2, 2, 3, 4, 5, 5, 6, 7]] = 1
_BASIS[3, 3] = _BASIS[5, 4] = -1


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the points say about a set of places: for each of K hypotheses its probability (K,), the mean (K, M, 2) and
    the covariance (K, M, 2, 2) of where the places lie, px, and its model (K,), an index of `MODELS`."""

    probabilities: FloatArray
    means: FloatArray
    covariances: FloatArray
    models: NDArray[np.intp]

    def at(self, places: slice) -> Posterior:
        """Return the distribution of some of the places."""
        return replace(self, means=self.means[:, places], covariances=self.covariances[:, places])

    def model_probabilities(self) -> dict[Model, float]:
        """Return the probability of each order of the transformation."""
        return {model: float(self.probabilities[self.models == index].sum()) for index, model in enumerate(MODELS)}

    def risk(self, predicted: FloatArray, limit: float) -> FloatArray:
        """Return an upper bound (M,) of the probability that places predicted at (M, 2) px are off by over `limit`.

        Args:
            predicted: (M, 2) px, one for each of the places of this distribution and in its coordinates.
            limit: Distance in px.

        Returns:
            (M,) of 0 to 1. It takes each covariance for a circle of its largest variance, and so never says too little.
        """
        offsets = np.linalg.norm(self.means - predicted, axis=2)
        room = np.maximum(limit - offsets, 0)
        return np.asarray(np.minimum(1, self.probabilities @ np.exp(-0.5 * room**2 / self._variances)))

    def error(self, predicted: FloatArray, risk: float) -> float:
        """Return the error in px that at the worst place is exceeded with at most the probability `risk`.

        Args:
            predicted: (M, 2) px, one for each of the places of this distribution and in its coordinates.
            risk: Probability, above 0 and below 1.

        Returns:
            px, found by bisection from above; infinite where it would exceed 1e9.
        """
        low, high = 0.0, 1.0
        while self.risk(predicted, high).max() > risk:
            low, high = high, 2 * high
            if high > 1e9:
                return float("inf")
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.risk(predicted, middle).max() > risk else (low, middle)
        return high

    def mean_square(self, predicted: FloatArray) -> FloatArray:
        """Return the expected squared error (M,) of places predicted at (M, 2) px.

        Args:
            predicted: (M, 2) px, one for each of the places of this distribution and in its coordinates.

        Returns:
            (M,) px squared: the offset of each hypothesis' mean and its variance together.
        """
        offsets = np.sum((self.means - predicted) ** 2, axis=2)
        return np.asarray(self.probabilities @ (offsets + np.trace(self.covariances, axis1=2, axis2=3)))

    @cached_property
    def _variances(self) -> FloatArray:
        """Return the variance along the worst direction (K, M)."""
        return np.asarray(np.linalg.eigvalsh(self.covariances)[..., 1] + 1e-12)


def posterior(
    matrix: Matrix,
    source: FloatArray,
    target: FloatArray,
    weights: FloatArray,
    places: FloatArray,
    unit_px: float,
    noise_px: tuple[float, float],
) -> Posterior:
    """Return the posterior distribution of where `places` lie in the target.

    Args:
        matrix: 3x3, a fit to the points around which hypotheses are linear, of the highest order they determine.
        source: (N, 2) points, normalised so that the middle of the map is the origin and its longer side is 2.
        target: (N, 2) points in the same unit.
        weights: (N,) how many independent points each counts as.
        places: (M, 2) places of the map, normalised like `source`.
        unit_px: Pixels a normalised unit.
        noise_px: Least and greatest standard deviation of a coordinate that a hand places, px.

    Returns:
        The distribution, a hypothesis for each size of noise, affine and perspective part.
    """
    images, depths = predict(matrix, source)
    equations = (jacobian("homography", source, images, depths) @ _BASIS).reshape(-1, 8) * unit_px
    residuals, doubled = (target - images).ravel() * unit_px, np.repeat(weights, 2)
    there, there_depths = predict(matrix, places)
    carried = (jacobian("homography", places, there, there_depths) @ _BASIS) * unit_px

    sizes, levels = np.arange(len(DEPARTURES_PX)), np.geomspace(*noise_px, NOISE_LEVELS)
    affine, perspective, level = (part.ravel() for part in np.meshgrid(sizes, sizes, levels, indexing="ij"))
    share = np.where(sizes == 0, NO_DEPARTURE, (1 - NO_DEPARTURE) / (len(sizes) - 1))
    scale = max(float(np.hypot(matrix[0, 0] + matrix[1, 1], matrix[1, 0] - matrix[0, 1])) / 2, 1e-9)
    one_px = np.array([1, 1, 1 / scale, 1 / scale]) / (unit_px * np.sqrt(2))
    departures = DEPARTURES_PX[np.stack([affine, affine, perspective, perspective], axis=1)] * one_px
    precision = np.zeros((len(level), 8))
    precision[:, 4:] = departures**-2.0
    present = np.array(
        [(matrix[0, 0] - matrix[1, 1]) / 2, (matrix[0, 1] + matrix[1, 0]) / 2, matrix[2, 0], matrix[2, 1]]
    )
    prior_mean = np.concatenate([np.zeros(4), -present])  # relative to the fit, a departure of 0 lies there

    normal = (equations * doubled[:, None]).T @ equations
    by = 1 / np.sqrt(np.maximum(np.diag(normal), 1e-12))  # columns of like size, for numerical accuracy
    information = normal * by * by[:, None] / level[:, None, None] ** 2
    information[:, range(8), range(8)] += precision * by**2
    wanted = (equations.T @ (doubled * residuals)) * by / level[:, None] ** 2 + precision * prior_mean * by
    covariance = np.linalg.inv(information)
    mean = np.einsum("kij,kj->ki", covariance, wanted)
    misfit = float(doubled @ residuals**2) / level**2 + precision @ prior_mean**2 - np.sum(wanted * mean, axis=1)
    evidence = (
        np.log(share[affine] * share[perspective])
        - doubled.sum() * np.log(level)
        - 0.5 * misfit
        - 0.5 * np.linalg.slogdet(information)[1]
        + 0.5 * np.log(precision[:, 4:]).sum(axis=1)
    )
    probabilities = np.exp(evidence - evidence.max())
    carried = carried * by
    return Posterior(
        probabilities / probabilities.sum(),
        np.einsum("mip,kp->kmi", carried, mean) + there * unit_px,
        np.einsum("mip,kpq,mjq->kmij", carried, covariance, carried, optimize=True),
        np.where(perspective > 0, 2, np.where(affine > 0, 1, 0)),
    )
