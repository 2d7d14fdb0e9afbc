"""Least-squares fits of similarity, affine and homography with their Jacobians, and a robust consensus of points.

Coordinates here are normalised: of order one, around the middle of the raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from raster.fit import MINIMAL_SAMPLE, Model
from raster.homography import FloatArray, Matrix

MODELS: tuple[Model, ...] = ("similarity", "affine", "homography")
"""From the lowest order to the highest; each has two parameters for each point of its minimal sample."""

MAX_SAMPLES = 1500
"""So many minimal samples are tried, chosen by a fixed random seed where there are more."""

MIN_DEPTH = 0.05
"""A point whose depth (third homogeneous coordinate, 1 in the middle of the map) is less lies at the horizon."""

MIN_CONDITION = 1e-6
"""Singular values of the equations, smallest to largest, below which the points leave a parameter open."""

_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class PointFit:
    """A weighted least-squares fit: `matrix` (3x3), `residuals` (N, 2) target minus prediction, `jacobian` (N, 2, P) of
    the predictions, `cofactor` (P, P), which is the covariance of the parameters for noise of unit variance, and the
    `weights` (N,). `redundancy`: equations beyond the parameters, weighted."""

    model: Model
    matrix: Matrix
    residuals: FloatArray
    jacobian: FloatArray
    cofactor: FloatArray
    weights: FloatArray

    @property
    def redundancy(self) -> float:
        """Return the degrees of freedom of the residuals."""
        return float(2 * self.weights.sum()) - len(self.cofactor)

    @property
    def square_sum(self) -> float:
        """Return the weighted sum of the squared residuals."""
        return float(np.sum(self.weights[:, None] * self.residuals**2))

    @property
    def hat(self) -> FloatArray:
        """Return the diagonal blocks (N, 2, 2) of the hat matrix; a point's leverage is the block's largest eigenvalue.

        Cook and Weisberg, Residuals and Influence in Regression (1982), chapter 2.
        """
        blocks = np.einsum("nip,pq,njq->nij", self.jacobian, self.cofactor, self.jacobian, optimize=True)
        return np.asarray(blocks * self.weights[:, None, None])

    @property
    def deleted_residuals(self) -> FloatArray:
        """Return residuals (N, 2) against the fit without the point itself, (I - H)^-1 r, without refitting."""
        return np.asarray(np.linalg.solve(np.eye(2) * (1 + 1e-9) - self.hat, self.residuals[..., None])[..., 0])


def predict(matrix: Matrix, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where points (N, 2) are mapped to, and their depths (N,).

    Args:
        matrix: (3, 3) of any scale.
        points: (N, 2), normalised or in pixels, as the matrix takes them.

    Returns:
        The images (N, 2), infinite or NaN at depth 0, and the third homogeneous coordinates (N,), which are not
        positive at and beyond the horizon.
    """
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return homogeneous[:, :2] / homogeneous[:, 2:], homogeneous[:, 2]


def jacobian(model: Model, points: FloatArray, images: FloatArray, depths: FloatArray | None = None) -> FloatArray:
    """Return the derivative (N, 2, P) of a model's predictions by its parameters.

    Args:
        model: The order of the transformation.
        points: (N, 2) source points.
        images: (N, 2) their predictions; for the linear start of a homography, the targets.
        depths: (N,) third homogeneous coordinates; ones by default.

    Returns:
        For a homography the derivative by the first eight elements, the ninth being 1, in the order of `to_matrix`
        (Hartley and Zisserman, Multiple View Geometry, section 4.2).
    """
    (x, y), one = points.T, np.ones(len(points))
    zero = 0 * one
    if model == "similarity":
        columns = [one, zero, x, -y], [zero, one, y, x]
    elif model == "affine":
        columns = [one, zero, x, y, zero, zero], [zero, one, zero, zero, x, y]
    else:
        u, v = images.T
        columns = [one, zero, x, y, zero, zero, -u * x, -u * y], [zero, one, zero, zero, x, y, -v * x, -v * y]
    rows = np.stack([np.stack(part, axis=1) for part in columns], axis=1)
    return rows if depths is None else rows / depths[:, None, None]


def to_matrix(model: Model, parameters: FloatArray) -> FloatArray:
    """Return the matrices (..., 3, 3) of a model's parameters (..., P).

    Args:
        model: The order of the transformation, which says what the parameters are.
        parameters: (..., P): shift x, shift y; then the scaled cosine and sine of a similarity (P = 4), or the upper
            left 2 x 2 row by row of an affine (P = 6) and the first two elements of the last row of a homography (P =
            8).

    Returns:
        (..., 3, 3) float64 with last element 1.
    """
    matrices = np.zeros((*parameters.shape[:-1], 3, 3))
    matrices[..., :2, 2], matrices[..., 2, 2] = parameters[..., :2], 1
    if model == "similarity":
        cosine, sine = parameters[..., 2], parameters[..., 3]
        matrices[..., 0, 0] = matrices[..., 1, 1] = cosine
        matrices[..., 1, 0], matrices[..., 0, 1] = sine, -sine
    else:
        matrices[..., 0, :2], matrices[..., 1, :2] = parameters[..., 2:4], parameters[..., 4:6]
    if model == "homography":
        matrices[..., 2, :2] = parameters[..., 6:]
    return matrices


def fit_points(model: Model, source: FloatArray, target: FloatArray, weights: FloatArray) -> PointFit | None:
    """Fit a model by weighted least squares of the distances in the target; a homography by Gauss-Newton.

    Args:
        model: The order of the transformation.
        source: (N, 2) normalised points.
        target: (N, 2) normalised points.
        weights: (N,) positive weights.

    Returns:
        The fit; None where the points leave a parameter open or reach the horizon.
    """
    parameters = 2 * MINIMAL_SAMPLE[model]
    root = np.sqrt(weights)[:, None, None]

    def solve(rows: FloatArray, wanted: FloatArray) -> FloatArray:
        equations, values = (rows * root).reshape(-1, parameters), (wanted * root[..., 0]).ravel()
        return np.asarray(np.linalg.lstsq(equations, values, rcond=None)[0], np.float64)

    rows = jacobian(model, source, target)
    values = solve(rows, target)
    for _ in range(_ROUNDS if model == "homography" else 1):
        matrix = to_matrix(model, values)
        images, depths = predict(matrix, source)
        if (depths < MIN_DEPTH).any():
            return None
        if model == "homography":
            rows = jacobian(model, source, images, depths)
            values = values + solve(rows, target - images)
    matrix = to_matrix(model, values)
    images, depths = predict(matrix, source)
    singular = np.linalg.svd((rows * root).reshape(-1, parameters), compute_uv=False)
    if (depths < MIN_DEPTH).any() or len(singular) < parameters or singular[-1] < MIN_CONDITION * singular[0]:
        return None
    equations = (rows * root).reshape(-1, parameters)
    return PointFit(
        model, matrix, target - images, rows, np.asarray(np.linalg.inv(equations.T @ equations), np.float64), weights
    )


def consensus(
    model: Model, source: FloatArray, target: FloatArray, weights: FloatArray, tolerance: float
) -> tuple[NDArray[np.bool_], float] | None:
    """Find the points that agree on a model, whatever the others say.

    Minimal samples propose, the least truncated sum of squares decides (MSAC: Torr and Zisserman, Computer Vision and
    Image Understanding 78, 2000), least squares over those within `tolerance` refines.

    Args:
        model: The order of the transformation.
        source: (N, 2) normalised points.
        target: (N, 2) normalised points.
        weights: (N,) positive; they count in the cost and in the fits, not in which samples are tried.
        tolerance: Largest distance in the target, in normalised units, at which a point agrees.

    Returns:
        Which points agree (N,), and the truncated sum of squares, weighted; None where no sample allows a fit.
    """
    proposals = _proposals(model, source, target)
    if not len(proposals):
        return None
    costs = np.minimum(np.sum((proposals - target) ** 2, axis=-1), tolerance**2) @ weights
    distances = np.linalg.norm(proposals[int(np.argmin(costs))] - target, axis=1)
    agreeing, reach = distances <= 1.5 * tolerance, distances
    for _ in range(_ROUNDS):
        fitted = fit_points(model, source[agreeing], target[agreeing], weights[agreeing])
        if fitted is None:
            return None
        images, depths = predict(fitted.matrix, source)
        reach = np.where(depths < MIN_DEPTH, np.inf, np.linalg.norm(images - target, axis=1))
        before, agreeing = agreeing, reach <= tolerance
        if (before == agreeing).all():
            break
    return agreeing, float(np.minimum(reach**2, tolerance**2) @ weights)


@lru_cache(maxsize=64)
def _samples(count: int, size: int) -> NDArray[np.intp]:
    """Return different subsets (S, size) of `count` points: all, or `MAX_SAMPLES` at random."""
    if comb(count, size) <= MAX_SAMPLES:
        return np.array(list(combinations(range(count), size)), np.intp).reshape(-1, size)
    generator = np.random.default_rng(0)
    drawn = [generator.choice(count, size, replace=False) for _ in range(MAX_SAMPLES)]
    return np.unique(np.sort(drawn, axis=1), axis=0).astype(np.intp)


def _proposals(model: Model, source: FloatArray, target: FloatArray) -> FloatArray:
    """Return where the model through each minimal sample maps all points: (S, N, 2)."""
    size = MINIMAL_SAMPLE[model]
    samples = _samples(len(source), size)
    equations = jacobian(model, source, target)[samples].reshape(len(samples), 2 * size, 2 * size)
    solvable = np.abs(np.linalg.det(equations)) > 1e-12
    wanted = target[samples][solvable].reshape(-1, 2 * size, 1)
    values = np.linalg.solve(equations[solvable], wanted)[..., 0]
    homogeneous = np.column_stack([source, np.ones(len(source))]) @ to_matrix(model, values).transpose(0, 2, 1)
    depths = np.where(homogeneous[..., 2:] < MIN_DEPTH, np.nan, homogeneous[..., 2:])
    return np.asarray(np.nan_to_num(homogeneous[..., :2] / depths, nan=1e6))
