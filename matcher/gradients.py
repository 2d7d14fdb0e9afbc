"""Locally normalised, unsigned, oriented gradients, which a map and an image of the same ground have in common.

Colours of a map and of an image of its ground are unrelated; the places of edges are not. Unsigned, because a road
is lighter than its surroundings on one and darker on the other; normalised locally, because web maps are near-white
with faint blocks and saturated labels; the strongest colour channel, because map colours differ in hue more than in
brightness. Soft binning of orientations is in the manner of CFOG (Ye et al., 2019); the normalisation is ours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from raster.box import box_sums

FLOOR = 0.004
"""Added to the local mean: a gradient far below one grey level (1/255) a pixel is noise."""


def oriented_gradients(image: Tensor, orientations: int = 8, window: int = 33, mask: Tensor | None = None) -> Tensor:
    """Return oriented gradients.

    Each pixel takes the channel whose Scharr gradient is strongest; its orientation modulo 180 degrees is shared
    linearly between the two nearest of O bins (bin k is centred on a gradient at k * 180 / O degrees from the x axis,
    y pointing down); its magnitude m is divided by the mean magnitude over `window` (odd) pixels squared, giving
    r = m / (mean + FLOOR), and saturates softly as r / (1 + r). Outside the image the border is replicated.

    Args:
        image: B x 3 x H x W or B x 1 x H x W in [0, 1].
        orientations: Number of bins O.
        window: Side of the neighbourhood of the normalisation, pixels, odd.
        mask: B x 1 x H x W bool, true where there is data. Gradients of pixels whose 3 x 3 neighbourhood has a pixel
            without data are zero and do not count in the mean, so the border of the data is not taken for structure.

    Returns:
        B x O x H x W in [0, 1).
    """
    gradient_x, gradient_y = strongest_gradient(image, _scharr)
    magnitude = torch.sqrt(gradient_x.square() + gradient_y.square())
    valid = torch.ones_like(magnitude[:1]) if mask is None else eroded(mask, 1).to(magnitude.dtype)
    magnitude = magnitude * valid
    mean = _box_sum(magnitude, window) / _box_sum(valid, window).clamp(min=1)
    ratio = magnitude / (mean + FLOOR)
    strength = ratio / (1 + ratio)

    position = torch.atan2(gradient_y, gradient_x) * (orientations / torch.pi)  # a turn of O is half a circle
    lower = position.floor()
    upper_share = position - lower
    index = lower.long()
    result = strength.new_zeros(len(image), orientations, *image.shape[-2:])
    result.scatter_(1, index.remainder(orientations), strength * (1 - upper_share))
    return result.scatter_add_(1, (index + 1).remainder(orientations), strength * upper_share)


def strongest_gradient(image: Tensor, derivatives: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the gradient of the channel in which it is largest, at each pixel.

    One channel after another, as the gradients of all together would take most of the memory of a large image.

    Args:
        image: B x C x H x W float; outside it the border is replicated.
        derivatives: From B x 1 x (H + 2) x (W + 2) to the x and y derivatives inside, B x 1 x H x W each.

    Returns:
        The x and y derivatives, B x 1 x H x W each.
    """
    first, *others = F.pad(image, (1, 1, 1, 1), mode="replicate").split(1, dim=1)
    strongest_x, strongest_y = derivatives(first)
    for channel in others:
        x, y = derivatives(channel)
        stronger = x.square() + y.square() > strongest_x.square() + strongest_y.square()
        strongest_x, strongest_y = torch.where(stronger, x, strongest_x), torch.where(stronger, y, strongest_y)
    return strongest_x, strongest_y


def _scharr(padded: Tensor) -> tuple[Tensor, Tensor]:
    """Return derivatives by Scharr's kernel, (-1, 0, 1) / 2 across and (3, 10, 3) / 16 along.

    Sums of shifted views: on a CPU several times faster than convolutions of single channels.
    """
    x, y = padded[..., 2:] - padded[..., :-2], padded[..., 2:, :] - padded[..., :-2, :]
    x = (x[..., :-2, :] + x[..., 2:, :]) * 3 + x[..., 1:-1, :] * 10
    y = (y[..., :-2] + y[..., 2:]) * 3 + y[..., 1:-1] * 10
    return x / 32, y / 32


def eroded(mask: Tensor, radius: int) -> Tensor:
    """Erode a mask: return where all pixels of a neighbourhood have data. Beyond the image counts as data.

    By shifted views, which on a CPU is many times faster than a maximum over windows.

    Args:
        mask: ... x H x W bool, true where there is data.
        radius: Pixels that the neighbourhood, a square, reaches each way.
    """
    missing, side = F.pad(~mask, (radius,) * 4), 2 * radius + 1
    for axis in (-1, -2):
        covered = 1
        while covered < side:
            step = min(covered, side - covered)
            length = missing.shape[axis] - step
            missing = missing.narrow(axis, 0, length) | missing.narrow(axis, step, length)
            covered += step
    return ~missing


def _box_sum(values: Tensor, window: int) -> Tensor:
    """Return the sums over window x window pixels around each (B x 1 x H x W), nothing being outside the image."""
    before, after = window // 2 + 1, window // 2
    return box_sums(F.pad(values, (before, after, before, after)), window, window).to(values.dtype)
