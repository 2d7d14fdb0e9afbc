"""Matching of two images that are nearly aligned: correlation of descriptor cells within a small window.

Once the homography of a pair is roughly known, image 1 is warped by it and every cell of image 0 is compared with the
few cells around its own place. Neighbours have similar shifts, so similarities are averaged over neighbouring cells
before the peak is taken: far more precise and complete than matching without a prior. Ours, not the paper's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.mapglue.config import STRIDE
from matcher.mapglue.encoding import LEARNED_SHARE, PATCH, EncodedImage
from raster.box import box_sums
from raster.peak import vertex

FLAT_ENERGY = 1e-6
"""Energy of a patch of gradients, less its mean, below which it is flat: far above the rounding of running sums."""


def correlation_volume(view0: EncodedImage, view1: EncodedImage, radius: int) -> Tensor:
    """Compare every cell with the cells of the other image around its own place.

    The similarities are the products of `EncodedImage.descriptors`. Those of the gradient histograms, nine tenths of
    their length, are not made: at each shift they are sums, over the cells around, of products of the cells' gradients.

    Args:
        view0: Image 0, encoded.
        view1: Image 1, encoded, as large as image 0.
        radius: Radius of the search, cells.

    Returns:
        (2 radius + 1)^2 x h x w similarities at shifts (dy, dx) in [-radius, radius], row by row; -1 where image 1 has
        no data.
    """
    learned = shifted_products(view0.features.descriptors[0], view1.features.descriptors[0], radius)
    structure = structure_similarities(view0.cell_gradients, view1.cell_gradients, radius)
    volume = LEARNED_SHARE * learned + (1 - LEARNED_SHARE) * structure
    return volume.masked_fill(~_shifted(view1.cells, radius), -1.0)


def structure_similarities(cells0: Tensor, cells1: Tensor, radius: int) -> Tensor:
    """Return the products of the structure descriptors of every cell and of those around its own place.

    Args:
        cells0: O x h x w, the oriented gradients of each cell of image 0.
        cells1: O x h x w, the same of image 1.
        radius: Radius of the search, cells.

    Returns:
        (2 radius + 1)^2 x h x w, as `shifted_products` of what `structure_descriptor` returns.
    """
    count = len(cells0) * PATCH**2
    mean0, mean1 = (_patch_sums(cells.sum(0)) / count for cells in (cells0, cells1))
    scale0, scale1 = (
        (_patch_sums(cells.square().sum(0)) - count * mean.square()).clamp(min=FLAT_ENERGY).rsqrt()
        for cells, mean in ((cells0, mean0), (cells1, mean1))
    )
    products = _patch_sums(shifted_products(cells0, cells1, radius)) - count * mean0 * _shifted(mean1, radius)
    return (products * scale0 * _shifted(scale1, radius)).float()


def _patch_sums(values: Tensor) -> Tensor:
    """Return the sums of ... x h x w over the `PATCH` x `PATCH` values around each, float64, nothing being outside."""
    before, after = PATCH // 2 + 1, PATCH // 2
    return box_sums(F.pad(values, (before, after, before, after)), PATCH, PATCH)


def _shifted(values: Tensor, radius: int) -> Tensor:
    """Return h x w values at every shift (dy, dx) in [-radius, radius], (2 radius + 1)^2 x h x w; zero beyond them."""
    height, width = values.shape
    return F.pad(values, (radius,) * 4).unfold(0, height, 1).unfold(1, width, 1).flatten(0, 1)


def shifted_products(grid0: Tensor, grid1: Tensor, radius: int) -> Tensor:
    """Return the inner products of every cell and of the cells of the other image around its own place.

    Args:
        grid0: D x h x w of image 0.
        grid1: D x h x w of image 1.
        radius: Largest shift in x and y, cells.

    Returns:
        (2 radius + 1)^2 x h x w at shifts (dy, dx) in [-radius, radius], row by row; 0 beyond the border of image 1.
    """
    height, width = grid0.shape[-2:]
    side = 2 * radius + 1
    cells0 = grid0.permute(1, 2, 0).contiguous()  # h x w x D
    cells1 = F.pad(grid1, (radius,) * 4).permute(1, 0, 2).contiguous()  # rows x D x columns
    bands = []
    for dy in range(side):  # Only a band of the rows' products is wanted; whole ones are faster.
        products = cells0 @ cells1[dy : dy + height]
        row, column, _ = products.stride()
        bands.append(products.as_strided((height, width, side), (row, column + 1, 1)))
    return torch.stack(bands).permute(0, 3, 1, 2).flatten(0, 1)


def aggregate(volume: Tensor, mask0: Tensor, weight: Tensor, side: int) -> Tensor:
    """Average the similarities of each shift over neighbouring cells.

    Cells without a partner at a shift (-1) do not count; otherwise peaks near a border would be biased inwards.

    Args:
        volume: S x h x w similarities.
        mask0: h x w bool, cells of image 0 that count.
        weight: h x w, their weights.
        side: Side of the neighbourhood, cells, odd.

    Returns:
        S x h x w; -1 where a cell has no partner at a shift.
    """
    real = volume > -1
    share = weight * mask0 * real
    kernel = volume.new_ones(1, 1, side, side)
    total = F.conv2d((volume * share)[:, None], kernel, padding=side // 2)[:, 0]
    mean = total / F.conv2d(share[:, None], kernel, padding=side // 2)[:, 0].clamp(min=1e-6)
    return torch.where(real, mean, -1.0)


def displacements(volume: Tensor, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the similarities of each cell peak.

    Args:
        volume: S x h x w similarities, see `correlation_volume`.
        radius: Radius of the search, cells.

    Returns:
        Displacements h x w x 2 (x, y) in pixels, sub-cell; peak margins h x w over the best similarity at least two
        cells away; and h x w bool, whether the peak lies inside the search window.
    """
    side = 2 * radius + 1
    shape = volume.shape[1:]
    flat = volume.flatten(1)  # S x P
    peak, index = flat.max(0)
    y, x = torch.div(index, side, rounding_mode="floor"), index % side
    inside = (y > 0) & (y < side - 1) & (x > 0) & (x < side - 1)
    row, column = y.clamp(1, side - 2), x.clamp(1, side - 2)
    cell = torch.arange(flat.shape[1], device=flat.device)
    centre = flat[row * side + column, cell]
    offset_x = vertex(flat[row * side + column - 1, cell], centre, flat[row * side + column + 1, cell])
    offset_y = vertex(flat[(row - 1) * side + column, cell], centre, flat[(row + 1) * side + column, cell])
    shifts = torch.arange(side, device=flat.device)
    near = ((shifts[:, None] - y).abs() <= 1)[:, None] & ((shifts[:, None] - x).abs() <= 1)[None]
    rival = flat.masked_fill(near.flatten(0, 1), -1.0).amax(0)
    moved = torch.stack([x - radius + offset_x * inside, y - radius + offset_y * inside], -1) * STRIDE
    return moved.unflatten(0, shape), (peak - rival).unflatten(0, shape), inside.unflatten(0, shape)


def cell_shifts(view0: EncodedImage, view1: EncodedImage, radius: int, support: int) -> tuple[Tensor, Tensor, Tensor]:
    """Match two nearly aligned images cell by cell.

    Args:
        view0: Image 0, encoded; its matchable cells weigh more than others.
        view1: Image 1, encoded, as large as image 0.
        radius: Radius of the search, cells.
        support: Side of the neighbourhood over which similarities are averaged, cells.

    Returns:
        For each cell of image 0 its shift to image 1, h x w x 2 (x, y) in pixels, and its score, h x w, which is a peak
        margin; and h x w bool, whether it has data and a peak that lies inside the search window.
    """
    volume = aggregate(correlation_volume(view0, view1, radius), view0.cells, view0.matchable, support)
    moved, margin, inside = displacements(volume, radius)
    return moved, margin, view0.cells & inside & (margin > 0)
