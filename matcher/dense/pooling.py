"""One transformation from the correlation surfaces of all windows together.

A window's own peak is often wrong where its surface as a whole is not: the true shift is a lower hill beside a chance
one. Summed along the shifts that one transformation implies, chance cancels and truth adds up, so the transformation
is found where most windows alone would be outvoted. (Ours; akin to a Hough vote with the surfaces as soft votes.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from torch import Tensor

from matcher.dense.harmonics import gaussian_blur
from raster.fit import Model
from raster.homography import inverse

Matrix = npt.NDArray[np.float64]

FREE: dict[Model, int] = {"similarity": 4, "affine": 6, "homography": 8}

MOTIONS = np.array(
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
"""What each parameter adds to the identity: shift x and y, stretch, turn, aspect, shear, tilt x and y."""

USUAL = np.array([np.inf, np.inf, np.inf, np.inf, 0.01, 0.01, 0.04, 0.04])
"""How large each parameter usually is, as a share of the distance to the border: two images of the ground are turned,
scaled and shifted at will, tilted a little (a plane seen slightly off the vertical), hardly ever sheared."""

PRICE = 0.1
"""What a parameter of its usual size costs, as a share of the height of the surfaces: below, it follows noise."""


MARGIN = 4
"""Zeros around every surface, so that a spline's neighbours exist wherever a window is looked up."""


def pool_surfaces(
    surfaces: Tensor,
    centres: npt.NDArray[np.float64],
    models: tuple[Model, ...] = ("similarity",),
    price: float = PRICE,
) -> tuple[Matrix, float]:
    """Find the transformation under which the windows' correlation surfaces (N x D x D, D odd) sum up highest.

    `centres` (N, 2) are the windows' centres (x, y) in field 0. The models of `models`, from little freedom to much,
    start each from the one before; freedom beyond a similarity has its `price` (see `USUAL`, `PRICE`), so that it is
    used as far as the surfaces ask for it. Returns the matrix, field 0 -> field 1, and the mean of the surfaces under
    it (in [-1, 1]). Outside its surface a window says 0.
    """
    surfaces = surfaces.detach().double().cpu()
    radius = surfaces.shape[-1] // 2
    origin = centres.mean(0)
    extent = max(float(np.abs(centres - origin).max()), 1.0)
    unit = (centres - origin) / extent
    blurred = [
        gaussian_blur(surfaces[:, None], max(radius * share, 0.5))[:, 0].numpy() for share in (0.4, 0.2, 0.1, 0.04)
    ]
    place = int(blurred[0].mean(0).argmax())
    pyramid = [np.pad(level, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))) for level in blurred]
    parameters = np.zeros(8)
    parameters[:2] = place % (2 * radius + 1) - radius, place // (2 * radius + 1) - radius
    for number, model in enumerate(models):
        for level in pyramid if number == 0 else pyramid[-2:]:
            parameters = _climb(level, unit, parameters, FREE[model], extent, price)
    score = float(_sample(pyramid[-1], _shifts(parameters, unit, extent)[0])[0].mean())
    normalise = np.array([[1 / extent, 0, -origin[0] / extent], [0, 1 / extent, -origin[1] / extent], [0, 0, 1]])
    matrix = inverse(normalise) @ _matrix(parameters, extent) @ normalise
    return matrix / matrix[2, 2], score


def _climb(surfaces: Matrix, unit: Matrix, start: Matrix, free: int, extent: float, price: float) -> Matrix:
    """Climb from `start` to the top of the mean surface (padded by `MARGIN`), less the price, in `free` parameters."""
    height = max(float(np.abs(surfaces.mean(0)).max()), 1e-9)
    usual = USUAL[:free] * extent

    def loss(values: Matrix) -> tuple[float, Matrix]:
        shifts, slopes = _shifts(np.concatenate([values, start[free:]]), unit, extent)
        heights, gradients = _sample(surfaces, shifts)
        climb = np.einsum("nc,knc->k", gradients, slopes[:free]) / len(unit)
        value = price * ((values / usual) ** 2).sum() - heights.mean() / height
        return float(value), 2 * price * values / usual**2 - climb / height

    found = minimize(loss, start[:free], jac=True, method="BFGS")
    return np.concatenate([found.x, start[free:]])


def _matrix(parameters: Matrix, extent: float) -> Matrix:
    """Return the 3 x 3 matrix on coordinates in [-1, 1]; all parameters are pixels of motion at the border."""
    return np.asarray(np.eye(3) + np.tensordot(parameters / extent, MOTIONS, 1))


def _shifts(parameters: Matrix, unit: Matrix, extent: float) -> tuple[Matrix, Matrix]:
    """Return how far, in pixels, the windows at `unit` (N, 2) move, (N, 2), and its slope in each parameter, (8, N, 2).

    Depths near the horizon and beyond it are held at 0.1.
    """
    homogeneous = np.column_stack([unit, np.ones(len(unit))])
    moved = homogeneous @ _matrix(parameters, extent).T
    depth = np.maximum(moved[:, 2:], 0.1)
    steps = homogeneous @ MOTIONS.transpose(0, 2, 1)  # 8 x N x 3
    slopes = steps[..., :2] / depth - moved[:, :2] / depth**2 * steps[..., 2:]
    return (moved[:, :2] / depth - unit) * extent, slopes


def _sample(surfaces: Matrix, shifts: Matrix) -> tuple[Matrix, Matrix]:
    """Return each window's surface (N x D x D, `MARGIN` zeros around it included) at its shift (N, 2), and the slope
    there, (N, 2): cubic B-splines.

    Bilinear samples would have kinks at every pixel, on which the search gets stuck; the spline's own slight blur does
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
    """Return the weights of the four neighbours, 2 x N x 4 (for x, for y), and their slopes, given fractions (N, 2)."""
    t = fraction.T[..., None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=-1)
    slopes = np.concatenate([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2], axis=-1)
    return weights / 6, slopes / 2
