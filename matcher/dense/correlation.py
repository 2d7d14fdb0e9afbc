"""Correlation of two feature maps at every shift by FFT, and the sub-pixel place of its peak."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from raster.box import box_sums
from raster.peak import vertex


def correlate(template: Tensor, search: Tensor, floor: float = 0.0) -> Tensor:
    """Return the normalised correlation of a template at every place inside a search window.

    Features are expected to have zero mean, and are zero where there is no data.

    Args:
        template: B x C x h x w.
        search: B x C x H x W.
        floor: Energy a pixel that is added to the energies of both. Windows of much less energy then have low
            correlations; without it all windows count alike.

    Returns:
        B x (H - h + 1) x (W - w + 1) in [-1, 1]: at [y, x] the inner product of the template with the part of `search`
        whose top-left pixel is (x, y), over the root of the product of both energies; 0 where either has none.
    """
    (rows, columns), (height, width) = template.shape[-2:], search.shape[-2:]
    size = next_fast_len(height, real=True), next_fast_len(width, real=True)
    spectrum = (torch.fft.rfft2(template, s=size).conj() * torch.fft.rfft2(search, s=size)).sum(1)
    product = torch.fft.irfft2(spectrum, s=size)[:, : height - rows + 1, : width - columns + 1]
    energies = search.square().sum(1)
    energy1 = box_sums(F.pad(energies, (1, 0, 1, 0)), rows, columns).to(product.dtype)
    energy0 = template.square().sum((1, 2, 3)).view(-1, 1, 1)
    extra = floor * rows * columns
    norm = ((energy0 + extra) * (energy1 + extra)).clamp(min=1e-30).sqrt()
    valid = (energy1 > 1e-6 * energies.sum((1, 2), keepdim=True)) & (energy0 > 0)
    return torch.where(valid, product / norm, 0.0).clamp(-1, 1)


class Peak(NamedTuple):
    """The highest point of each correlation surface.

    Attributes:
        place: (B, 2), (x, y) with sub-pixels.
        value: (B,), its height.
        margin: (B,), peak margin: its height above the highest point outside its neighbourhood.
    """

    place: Tensor
    value: Tensor
    margin: Tensor


def find_peak(surface: Tensor, exclusion: int = 6) -> Peak:
    """Find the peak of each surface; its sub-pixel part is the vertex of the parabolas through its neighbours.

    Args:
        surface: B x H x W. On its border a coordinate stays whole, as a neighbour is missing.
        exclusion: Half the side, in pixels, of the square around a peak that its margin leaves out.
    """
    batch, height, width = surface.shape
    value, index = surface.flatten(1).max(1)
    y, x = index // width, index % width
    items = torch.arange(batch, device=surface.device)

    left, right = surface[items, y, (x - 1).clamp(min=0)], surface[items, y, (x + 1).clamp(max=width - 1)]
    above, below = surface[items, (y - 1).clamp(min=0), x], surface[items, (y + 1).clamp(max=height - 1), x]
    place = torch.stack(
        [
            x + vertex(left, value, right) * ((x > 0) & (x < width - 1)),
            y + vertex(above, value, below) * ((y > 0) & (y < height - 1)),
        ],
        dim=1,
    )
    rows = torch.arange(height, device=surface.device).view(1, -1, 1)
    columns = torch.arange(width, device=surface.device).view(1, 1, -1)
    near = ((rows - y.view(-1, 1, 1)).abs() <= exclusion) & ((columns - x.view(-1, 1, 1)).abs() <= exclusion)
    rival = surface.masked_fill(near, -1.0).flatten(1).max(1).values
    return Peak(place, value, value - rival)
