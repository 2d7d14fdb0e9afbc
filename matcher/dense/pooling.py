"""One transformation from the correlation surfaces of all windows together.

A window's own peak is often wrong where its surface as a whole is not: the true shift is a lower hill beside a chance
one. Summed along the shifts that one transformation implies, chance cancels and truth adds up, so the transformation
is found where most windows alone would be outvoted. (Ours; akin to a Hough vote with the surfaces as soft votes.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from matcher.dense.harmonics import gaussian_blur
from matcher.dense.poses import inverse
from matcher.fit import Model

Matrix = npt.NDArray[np.float64]

PARAMETERS: dict[Model, int] = {"similarity": 4, "affine": 6, "homography": 8}
WORTHWHILE_GAIN = 0.03
"""Relative gain in the pooled score that one more kind of freedom must bring: below, it follows noise."""


def pool_surfaces(
    surfaces: Tensor, centres: npt.NDArray[np.float64], models: tuple[Model, ...] = ("similarity",)
) -> tuple[Matrix, float]:
    """Find the transformation under which the windows' correlation surfaces (N x D x D, D odd) sum up highest.

    `centres` (N, 2) are the windows' centres (x, y) in field 0. Each model of `models`, from little freedom to much,
    starts from the one before and is kept if it raises the mean value by `WORTHWHILE_GAIN`. Returns the matrix, field
    0 -> field 1, and the mean of the surfaces under it (in [-1, 1]). Outside its surface a window says 0.
    """
    surfaces = surfaces.detach().double().cpu()
    radius = surfaces.shape[-1] // 2
    origin = centres.mean(0)
    extent = max(float(np.abs(centres - origin).max()), 1.0)
    unit = torch.from_numpy((centres - origin) / extent)
    pyramid = [gaussian_blur(surfaces[:, None], max(radius * share, 0.5)) for share in (0.4, 0.2, 0.1, 0.04)]

    place = int(pyramid[0].mean((0, 1)).argmax())
    best = np.zeros(8)
    best[:2] = place % (2 * radius + 1) - radius, place // (2 * radius + 1) - radius
    score = -np.inf
    for model in models:
        free = PARAMETERS[model]
        parameters = best.copy()
        for level in pyramid if model == models[0] else pyramid[-2:]:
            parameters[:free] = _climb(level, unit, parameters, free, extent)
        value = float(_mean_value(pyramid[-1], unit, torch.from_numpy(parameters), extent))
        if value > score + WORTHWHILE_GAIN * abs(score) or model == models[0]:
            best, score = parameters, value
    normalise = np.array([[1 / extent, 0, -origin[0] / extent], [0, 1 / extent, -origin[1] / extent], [0, 0, 1]])
    matrix = inverse(normalise) @ _matrix(torch.from_numpy(best), extent).numpy() @ normalise
    return matrix / matrix[2, 2], score


def _climb(surfaces: Tensor, unit: Tensor, start: Matrix, free: int, extent: float) -> Matrix:
    fixed = torch.from_numpy(start[free:])

    def loss(values: Matrix) -> tuple[float, Matrix]:
        with torch.enable_grad():
            variable = torch.tensor(values, requires_grad=True)
            value = -_mean_value(surfaces, unit, torch.cat([variable, fixed]), extent)
            value.backward()
        assert variable.grad is not None
        return float(value.detach()), variable.grad.numpy()

    # scaled, so that a step of the search means pixels at the border, whatever the height of the surfaces
    height = max(float(surfaces.mean(0).abs().max()), 1e-9)
    found = minimize(
        lambda values: tuple(part / height for part in loss(values)), start[:free], jac=True, method="BFGS"
    )
    return np.asarray(found.x)


def _matrix(parameters: Tensor, extent: float) -> Tensor:
    """Return the 3 x 3 matrix on coordinates in [-1, 1]; all parameters are pixels of motion at the border: shift x and
    y, stretch, turn, then what makes it affine (2) and a homography (2)."""
    x, y, stretch, turn, aspect, shear, tilt_x, tilt_y = parameters / extent
    one = torch.ones_like(x)
    return torch.stack(
        [
            torch.stack([1 + stretch + aspect, shear - turn, x]),
            torch.stack([shear + turn, 1 + stretch - aspect, y]),
            torch.stack([tilt_x, tilt_y, one]),
        ]
    )


def _mean_value(surfaces: Tensor, unit: Tensor, parameters: Tensor, extent: float) -> Tensor:
    """Return the mean over windows of the surface (N x 1 x D x D) at the shift that the parameters imply."""
    moved = torch.cat([unit, torch.ones_like(unit[:, :1])], 1) @ _matrix(parameters, extent).T
    shifts = (moved[:, :2] / moved[:, 2:].clamp(min=0.1) - unit) * extent
    places = (shifts / (surfaces.shape[-1] // 2)).view(-1, 1, 1, 2)
    return F.grid_sample(surfaces, places, align_corners=True).mean()
