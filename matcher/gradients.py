"""Locally normalised, unsigned, oriented gradients, which a map and an image of the same ground have in common.

Colours of a map and of an image of its ground are unrelated; the places of edges are not. Unsigned, because a road
is lighter than its surroundings on one and darker on the other; normalised locally, because web maps are near-white
with faint blocks and saturated labels; the strongest colour channel, because map colours differ in hue more than in
brightness. Soft binning of orientations is in the manner of CFOG (Ye et al., 2019); the normalisation is ours.
"""

from __future__ import annotations

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
    gradient_x, gradient_y = _strongest_gradient(image)
    magnitude = torch.sqrt(gradient_x.square() + gradient_y.square())
    valid = torch.ones_like(magnitude[:1]) if mask is None else _interior(mask).to(magnitude.dtype)
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


def _strongest_gradient(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the x and y derivative per pixel (B x 1 x H x W each) of the channel where the gradient is largest.

    Scharr's kernel, (-1, 0, 1) / 2 across and (3, 10, 3) / 16 along. Sums of shifted views: on a CPU several times
    faster than convolutions of single channels.
    """
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    gradients_x = _along(padded[..., 2:] - padded[..., :-2])
    gradients_y = _along((padded[..., 2:, :] - padded[..., :-2, :]).transpose(-1, -2)).transpose(-1, -2)
    strongest_x, strongest_y = gradients_x[:, :1], gradients_y[:, :1]
    for channel in range(1, image.shape[1]):
        x, y = gradients_x[:, channel : channel + 1], gradients_y[:, channel : channel + 1]
        stronger = x.square() + y.square() > strongest_x.square() + strongest_y.square()
        strongest_x, strongest_y = torch.where(stronger, x, strongest_x), torch.where(stronger, y, strongest_y)
    return strongest_x / 32, strongest_y / 32


def _along(difference: Tensor) -> Tensor:
    """Weigh three neighbouring rows 3 : 10 : 3."""
    return (difference[..., :-2, :] + difference[..., 2:, :]) * 3 + difference[..., 1:-1, :] * 10


def _interior(mask: Tensor) -> Tensor:
    """Erode by one pixel: a gradient looks one pixel each way. Beyond the image counts as data (it is replicated)."""
    return F.max_pool2d((~mask).float(), 3, 1, 1) == 0


def _box_sum(values: Tensor, window: int) -> Tensor:
    """Return the sums over window x window pixels around each (B x 1 x H x W), nothing being outside the image."""
    before, after = window // 2 + 1, window // 2
    return box_sums(F.pad(values, (before, after, before, after)), window, window).to(values.dtype)
