"""One transformation from the correlation surfaces of all windows together.

The peak of one window is often wrong where its surface as a whole is not: the true shift has a lower peak beside a
chance one. Summed along the shifts that one transformation implies, chance peaks cancel and true ones add up, so that
the transformation is found where the windows' own peaks would not agree on it. (Ours; akin to a Hough transform in
which the surfaces are soft votes.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from raster.fit import Model

DEGREES_OF_FREEDOM: dict[Model, int] = {"similarity": 4, "affine": 6, "homography": 8}

GENERATORS = (
    ((0, 0, 1), (0, 0, 0), (0, 0, 0)),
    ((0, 0, 0), (0, 0, 1), (0, 0, 0)),
    ((1, 0, 0), (0, 1, 0), (0, 0, 0)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 0)),
    ((1, 0, 0), (0, -1, 0), (0, 0, 0)),
    ((0, 1, 0), (1, 0, 0), (0, 0, 0)),
    ((0, 0, 0), (0, 0, 0), (1, 0, 0)),
    ((0, 0, 0), (0, 0, 0), (0, 1, 0)),
)
"""What each parameter adds to the identity: shift in x and y, scale, rotation, aspect, shear, perspective in x and
y."""

PRIOR_SIGMA = (float("inf"), float("inf"), float("inf"), float("inf"), 0.01, 0.01, 0.04, 0.04)
"""Prior standard deviation of each parameter, as a share of the distance to the border: two images of the ground
have any rotation, scale and shift, a little perspective (a plane seen slightly off the vertical), and hardly any
shear."""

COMPLEXITY_PENALTY = 0.1
"""Penalty of a parameter of one prior standard deviation, as a share of the surfaces' height. Below, it follows
noise."""

BLUR_SHARES = (0.4, 0.2, 0.1, 0.04)
"""Blur of the levels of the surfaces' pyramid, coarse to fine, as shares of the search radius; half a pixel at
least."""

ITERATIONS = 3
"""Newton steps on each level, each from where the coarser one ended."""

SPLINE = (
    ((1 / 6, 4 / 6, 1 / 6, 0), (-1 / 2, 0, 1 / 2, 0), (1, -2, 1, 0)),
    ((-1 / 2, 0, 1 / 2, 0), (1, -2, 1, 0), (-1, 3, -3, 1)),
    ((1 / 2, -1, 1 / 2, 0), (-1 / 2, 3 / 2, -3 / 2, 1 / 2), (0, 0, 0, 0)),
    ((-1 / 6, 1 / 2, -1 / 2, 1 / 6), (0, 0, 0, 0), (0, 0, 0, 0)),
)
"""The cubic B-spline between two samples, by powers of the fraction: the weights of the four neighbours, and their
first and second derivatives."""

MARGIN = 4
"""Zeros around every surface, so that the neighbours that a spline needs exist wherever a surface is sampled."""


def pool_surfaces(
    surfaces: Tensor,
    centres: Tensor,
    models: tuple[Model, ...] = ("similarity",),
    penalty: float = COMPLEXITY_PENALTY,
) -> tuple[Tensor, Tensor]:
    """Find the transformation under which the windows' correlation surfaces have the largest sum.

    Args:
        surfaces: B x N x D x D correlation surfaces, D odd; the middle is no shift. Outside them a window counts 0.
        centres: N x 2 centres (x, y) of the windows in image 0.
        models: Transformation models in the order of their degrees of freedom; each starts from the one before.
        penalty: Complexity penalty of the parameters beyond a similarity (see `COMPLEXITY_PENALTY`, `PRIOR_SIGMA`), so
            that they are used only as far as the surfaces ask for it.

    Returns:
        The matrices (B x 3 x 3 float64, image 0 -> image 1), and the mean of the surfaces under them, B, in [-1, 1].
    """
    batch, side = len(surfaces), surfaces.shape[-1]
    radius = side // 2
    centres = centres.double().to(surfaces.device)
    origin = centres.mean(0)
    extent = (centres - origin).abs().amax().clamp(min=1.0)
    windows = _Windows.at((centres - origin) / extent, extent)
    blurs = [max(radius * share, 0.5) for share in BLUR_SHARES]
    pyramid = [_blurred(surfaces, blur) for blur in blurs]
    place = pyramid[0].mean(1).flatten(1).argmax(1)
    start = torch.stack([place % side - radius, torch.div(place, side, rounding_mode="floor") - radius], 1)
    parameters = F.pad(start.double(), (0, 6))
    pyramid = [F.pad(level, (MARGIN,) * 4) for level in pyramid]
    for number, model in enumerate(models):
        for level, blur in list(zip(pyramid, blurs, strict=True))[0 if number == 0 else -2 :]:
            sigma = surfaces.new_tensor(PRIOR_SIGMA[: DEGREES_OF_FREEDOM[model]], dtype=torch.float64) * extent
            parameters = _climb(level, windows, parameters, penalty / sigma.square(), blur)
    scores = _sample(pyramid[-1], _shifts(parameters, windows)[0])[0].mean(1)
    normalise = torch.eye(3, dtype=torch.float64, device=surfaces.device)
    normalise[:2] = torch.cat([torch.eye(2, dtype=torch.float64, device=surfaces.device), -origin[:, None]], 1) / extent
    matrices = torch.linalg.inv_ex(normalise).inverse @ _matrices(parameters, extent) @ normalise.expand(batch, 3, 3)
    return matrices / matrices[:, 2:, 2:], scores


class _Windows(NamedTuple):
    """N windows on coordinates in [-1, 1], a unit of which is `extent` pixels: their homogeneous centres, N x 3, and
    what a unit of each parameter adds to these, 8 x N x 3."""

    centres: Tensor
    steps: Tensor
    extent: Tensor

    @classmethod
    def at(cls, unit: Tensor, extent: Tensor) -> _Windows:
        centres = F.pad(unit, (0, 1), value=1.0)
        return cls(centres, centres @ _generators(unit).transpose(1, 2), extent)


def _blurred(surfaces: Tensor, sigma: float) -> Tensor:
    """Return square surfaces blurred by a Gaussian, the border replicated: two products with a matrix of its taps."""
    side, reach = surfaces.shape[-1], int(3 * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1, device=surfaces.device)
    taps = torch.exp(-offsets.to(surfaces.dtype).square() / (2 * sigma**2))
    at = (torch.arange(side, device=surfaces.device)[:, None] + offsets).clamp(0, side - 1)
    matrix = surfaces.new_zeros(side, side).scatter_add_(1, at, (taps / taps.sum()).expand(side, -1))
    return matrix @ surfaces @ matrix.T


def _climb(surfaces: Tensor, windows: _Windows, start: Tensor, penalties: Tensor, reach: float) -> Tensor:
    """Return the parameters, B x 8, at the maximum, near `start`, of the mean surface (padded by `MARGIN`) less the
    penalty, over as many of the first parameters as have a penalty.

    Damped Newton steps that move no window by more than `reach` pixels. The curvature of a surface counts where it is
    that of a peak; where it is not, the damping alone bounds the step. A step that climbs is taken, else damped more.
    """
    free = len(penalties)
    height = surfaces.mean(1).abs().flatten(1).amax(1).clamp(min=1e-9).double()
    parameters, damping = start, torch.full_like(height, 1e-3)
    state = _objective(surfaces, windows, parameters, penalties, height)
    identity = torch.eye(free, dtype=torch.float64, device=start.device)
    for _ in range(ITERATIONS):
        _, jacobian, gradient, curvature = state
        flat = jacobian.flatten(2)  # B x K x 2 N
        slope = (flat @ gradient.flatten(1)[..., None])[..., 0] / height[:, None]
        slope = slope - 2 * penalties * parameters[:, :free]
        bent = (jacobian[..., None] * curvature[:, None]).sum(-2).flatten(2)
        bend = torch.diag(2 * penalties) - bent @ flat.transpose(1, 2) / height[:, None, None]
        size = bend.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-9)
        step = torch.linalg.solve_ex(bend + ((damping + 1e-9) * size)[:, None, None] * identity, slope).result
        moved = torch.einsum("bknc,bk->bnc", jacobian, step).abs().flatten(1).amax(1) * surfaces.shape[1]
        step = step * (reach / moved.clamp(min=1e-12)).clamp(max=1.0)[:, None]
        tried = torch.cat([parameters[:, :free] + step, parameters[:, free:]], 1)
        there = _objective(surfaces, windows, tried, penalties, height)
        climbs = there[0] >= state[0]
        state = tuple(torch.where(_like(climbs, new), new, old) for new, old in zip(there, state, strict=True))
        parameters = torch.where(climbs[:, None], tried, parameters)
        damping = torch.where(climbs, damping * 0.3, damping * 8 + 1e-2)
    return parameters


def _objective(
    surfaces: Tensor, windows: _Windows, parameters: Tensor, penalties: Tensor, height: Tensor
) -> tuple[Tensor, ...]:
    """Return what is climbed, B, and what its derivatives are made of: those of the windows' shifts by the parameters,
    B x K x N x 2, divided by N; and of the surfaces by the shifts, B x N x 2 and B x N x 2 x 2, concave."""
    shifts, derivatives = _shifts(parameters, windows)
    values, gradients, curvatures = _sample(surfaces, shifts)
    penalty = (penalties * parameters[:, : len(penalties)].square()).sum(1)
    count = surfaces.shape[1]
    return (
        values.mean(1) / height - penalty,
        derivatives[:, : len(penalties)] / count,
        gradients,
        _concave(curvatures) * count,
    )


def _like(flags: Tensor, values: Tensor) -> Tensor:
    return flags.view(-1, *[1] * (values.dim() - 1))


def _generators(like: Tensor) -> Tensor:
    return torch.tensor(GENERATORS, dtype=torch.float64, device=like.device)


def _matrices(parameters: Tensor, extent: Tensor) -> Tensor:
    """Return the B x 3 x 3 matrices on coordinates in [-1, 1]; each parameter is a displacement at the border, in
    pixels."""
    identity = torch.eye(3, dtype=torch.float64, device=parameters.device)
    return identity + torch.einsum("bk,kij->bij", parameters / extent, _generators(parameters))


def _shifts(parameters: Tensor, windows: _Windows) -> tuple[Tensor, Tensor]:
    """Return the shifts in pixels, B x N x 2, of the windows, and their derivatives, B x 8 x N x 2.

    Denominators of the perspective near zero and below are set to 0.1.
    """
    centres, steps, extent = windows
    moved = centres + ((parameters / extent) @ steps.flatten(1)).unflatten(1, centres.shape)
    depth = moved[..., 2:].clamp(min=0.1)
    places = moved[..., :2] / depth
    derivatives = (steps[..., :2] - places[:, None] * steps[..., 2:]) / depth[:, None]
    return (places - centres[:, :2]) * extent, derivatives


def _sample(surfaces: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the value, B x N, the gradient, B x N x 2, and the second derivatives, B x N x 2 x 2, of each window's
    surface (B x N x S x S with its `MARGIN` of zeros) at its shift (B x N x 2), by cubic B-splines.

    Bilinear samples would have a kink at every pixel, at which the search would stop; the spline's own slight blur does
    not matter beside that of the pyramid.
    """
    length = surfaces.shape[-1]
    side = length - 2 * MARGIN
    places = (shifts + side // 2).clamp(-3.0, side + 1.0)
    whole = places.floor()
    index = whole.long()[..., None] + torch.arange(MARGIN - 1, MARGIN + 3, device=surfaces.device)  # B x N x 2 x 4
    flat = (index[..., 1, :, None] * length + index[..., 0, None, :]).flatten(2)
    patches = surfaces.flatten(2).gather(2, flat).unflatten(2, (4, 4)).double()
    spline = _spline(places - whole)
    found = spline[..., 1, :, :] @ patches @ spline[..., 0, :, :].transpose(-1, -2)  # [y, x] by orders of derivatives
    rows = [found[..., 0, 2], found[..., 1, 1], found[..., 1, 1], found[..., 2, 0]]
    second = torch.stack(rows, -1).unflatten(-1, (2, 2))
    return found[..., 0, 0], torch.stack([found[..., 0, 1], found[..., 1, 0]], -1), second


def _spline(t: Tensor) -> Tensor:
    """Return the weights of the four neighbours and their first and second derivatives, ... x 3 x 4, given fractions
    (...)."""
    powers = torch.stack([torch.ones_like(t), t, t * t, t * t * t], -1)
    return (powers @ torch.tensor(SPLINE, dtype=t.dtype, device=t.device).flatten(1)).unflatten(-1, (3, 4))


def _concave(second: Tensor) -> Tensor:
    """Return symmetric 2 x 2 matrices with their positive eigenvalues set to zero."""
    mean = (second[..., 0, 0] + second[..., 1, 1]) / 2
    half = (((second[..., 0, 0] - second[..., 1, 1]) / 2).square() + second[..., 0, 1].square()).sqrt().clamp(min=1e-12)
    identity = torch.eye(2, dtype=second.dtype, device=second.device)
    larger = (second - (mean - half)[..., None, None] * identity) / (2 * half)[..., None, None]  # its projector
    upper, lower = (mean + half).clamp(max=0)[..., None, None], (mean - half).clamp(max=0)[..., None, None]
    return upper * larger + lower * (identity - larger)
