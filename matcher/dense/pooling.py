"""One transformation from the correlation surfaces of all windows together.

The peak of one window is often wrong where its surface as a whole is not: the true shift has a lower peak beside a
chance one. Summed along the shifts that one transformation implies, chance peaks cancel and true ones add up, so that
the transformation is found where the windows' own peaks would not agree on it. (Ours; akin to a Hough transform in
which the surfaces are soft votes.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from torch import Tensor

from matcher.dense.harmonics import gaussian_blur
from raster.fit import Model
from raster.homography import Matrix, inverse

DEGREES_OF_FREEDOM: dict[Model, int] = {"similarity": 4, "affine": 6, "homography": 8}

GENERATORS = np.array(
    [
        [[0, 0, 1], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 1], [0, 0, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 0]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [0, -1, 0], [0, 0, 0]],
        [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [1, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 1, 0]],
    ],
    np.float64,
)
"""What each parameter adds to the identity: shift in x and y, scale, rotation, aspect, shear, perspective in x and
y."""

PRIOR_SIGMA = np.array([np.inf, np.inf, np.inf, np.inf, 0.01, 0.01, 0.04, 0.04])
"""Prior standard deviation of each parameter, as a share of the distance to the border: two images of the ground
have any rotation, scale and shift, a little perspective (a plane seen slightly off the vertical), and hardly any
shear."""

COMPLEXITY_PENALTY = 0.1
"""Penalty of a parameter of one prior standard deviation, as a share of the surfaces' height. Below, it follows
noise."""

BLUR_SHARES = (0.4, 0.2, 0.1, 0.04)
"""Blur of the levels of the surfaces' pyramid, coarse to fine, as shares of the search radius; half a pixel at
least."""

MARGIN = 4
"""Zeros around every surface, so that the neighbours that a spline needs exist wherever a surface is sampled."""


def pool_surfaces(
    surfaces: Tensor,
    centres: npt.NDArray[np.float64],
    models: tuple[Model, ...] = ("similarity",),
    penalty: float = COMPLEXITY_PENALTY,
) -> tuple[Matrix, float]:
    """Find the transformation under which the windows' correlation surfaces have the largest sum.

    Args:
        surfaces: N x D x D correlation surfaces, D odd; the middle is no shift. Outside them a window counts 0.
        centres: (N, 2) centres (x, y) of the windows in image 0.
        models: Transformation models in the order of their degrees of freedom; each starts from the one before.
        penalty: Complexity penalty of the parameters beyond a similarity (see `COMPLEXITY_PENALTY`, `PRIOR_SIGMA`), so
            that they are used only as far as the surfaces ask for it.

    Returns:
        The matrix (3 x 3, image 0 -> image 1) and the mean of the surfaces under it, in [-1, 1].
    """
    surfaces = surfaces.detach().double().cpu()
    radius = surfaces.shape[-1] // 2
    origin = centres.mean(0)
    extent = max(float(np.abs(centres - origin).max()), 1.0)
    unit = (centres - origin) / extent
    blurred = [gaussian_blur(surfaces[:, None], max(radius * share, 0.5))[:, 0].numpy() for share in BLUR_SHARES]
    place = int(blurred[0].mean(0).argmax())
    pyramid = [np.pad(level, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))) for level in blurred]
    parameters = np.zeros(8)
    parameters[:2] = place % (2 * radius + 1) - radius, place // (2 * radius + 1) - radius
    for number, model in enumerate(models):
        for level in pyramid if number == 0 else pyramid[-2:]:
            parameters = _climb(level, unit, parameters, DEGREES_OF_FREEDOM[model], extent, penalty)
    score = float(_sample(pyramid[-1], _shifts(parameters, unit, extent)[0])[0].mean())
    normalise = np.array([[1 / extent, 0, -origin[0] / extent], [0, 1 / extent, -origin[1] / extent], [0, 0, 1]])
    matrix = inverse(normalise) @ _matrix(parameters, extent) @ normalise
    return matrix / matrix[2, 2], score


def _climb(surfaces: Matrix, unit: Matrix, start: Matrix, free: int, extent: float, penalty: float) -> Matrix:
    """Return the parameters at the maximum, near `start`, of the mean surface (padded by `MARGIN`) less the penalty,
    over the first `free` parameters."""
    height = max(float(np.abs(surfaces.mean(0)).max()), 1e-9)
    sigma = PRIOR_SIGMA[:free] * extent

    def loss(values: Matrix) -> tuple[float, Matrix]:
        shifts, derivatives = _shifts(np.concatenate([values, start[free:]]), unit, extent)
        heights, gradients = _sample(surfaces, shifts)
        climb = np.einsum("nc,knc->k", gradients, derivatives[:free]) / len(unit)
        value = penalty * ((values / sigma) ** 2).sum() - heights.mean() / height
        return float(value), 2 * penalty * values / sigma**2 - climb / height

    found = minimize(loss, start[:free], jac=True, method="BFGS")
    return np.concatenate([found.x, start[free:]])


def _matrix(parameters: Matrix, extent: float) -> Matrix:
    """Return the 3 x 3 matrix on coordinates in [-1, 1]; each parameter is a displacement at the border, in pixels."""
    return np.asarray(np.eye(3) + np.tensordot(parameters / extent, GENERATORS, 1))


def _shifts(parameters: Matrix, unit: Matrix, extent: float) -> tuple[Matrix, Matrix]:
    """Return the shifts in pixels, (N, 2), of the windows at `unit` (N, 2), and their derivatives, (8, N, 2).

    Denominators of the perspective near zero and below are set to 0.1.
    """
    homogeneous = np.column_stack([unit, np.ones(len(unit))])
    moved = homogeneous @ _matrix(parameters, extent).T
    depth = np.maximum(moved[:, 2:], 0.1)
    steps = homogeneous @ GENERATORS.transpose(0, 2, 1)  # 8 x N x 3
    derivatives = steps[..., :2] / depth - moved[:, :2] / depth**2 * steps[..., 2:]
    return (moved[:, :2] / depth - unit) * extent, derivatives


def _sample(surfaces: Matrix, shifts: Matrix) -> tuple[Matrix, Matrix]:
    """Return the value, (N,), and the gradient, (N, 2), of each window's surface (N x D x D with its `MARGIN` of zeros)
    at its shift (N, 2), by cubic B-splines.

    Bilinear samples would have a kink at every pixel, at which the search would stop; the spline's own slight blur does
    not matter beside that of the pyramid.
    """
    side = surfaces.shape[-1] - 2 * MARGIN
    places = np.clip(shifts + side // 2, -3.0, side + 1.0)
    whole = np.floor(places)
    (wx, wy), (sx, sy) = _spline(places - whole)
    index = whole.astype(np.intp)[:, :, None] + np.arange(MARGIN - 1, MARGIN + 3)  # N x 2 x 4
    patch = surfaces[np.arange(len(surfaces))[:, None, None], index[:, 1, :, None], index[:, 0, None, :]]
    value, along_x, along_y = (np.einsum("ni,nij,nj->n", y, patch, x) for y, x in ((wy, wx), (wy, sx), (sy, wx)))
    return value, np.column_stack([along_x, along_y])


def _spline(fraction: Matrix) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the weights of the four neighbours, 2 x N x 4 (for x, for y), and their derivatives, given fractions
    (N, 2)."""
    t = fraction.T[..., None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=-1)
    derivatives = np.concatenate([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2], axis=-1)
    return weights / 6, derivatives / 2
