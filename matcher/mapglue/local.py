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
from matcher.mapglue.semantic import cell_centres
from raster.peak import vertex


def correlation_volume(grid0: Tensor, grid1: Tensor, mask1: Tensor, radius: int) -> Tensor:
    """Compare every cell with the cells of the other image around its own place.

    Args:
        grid0: D x h x w descriptors of image 0.
        grid1: D x h x w descriptors of image 1.
        mask1: h x w bool, cells of image 1 with data.
        radius: Radius of the search, cells.

    Returns:
        (2 radius + 1)^2 x h x w similarities at shifts (dy, dx) in [-radius, radius], row by row; -1 without data.
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
    volume = torch.stack(bands).permute(0, 3, 1, 2).flatten(0, 1)
    real = F.pad(mask1, (radius,) * 4).unfold(0, height, 1).unfold(1, width, 1).flatten(0, 1)
    return volume.masked_fill(~real, -1.0)


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


def local_matches(
    grids: tuple[Tensor, Tensor], masks: tuple[Tensor, Tensor], weight: Tensor, radius: int, support: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Match two nearly aligned images cell by cell.

    Args:
        grids: D x h x w descriptors of each image.
        masks: h x w bool of each image, cells with data.
        weight: h x w, weights of the cells of image 0.
        radius: Radius of the search, cells.
        support: Side of the neighbourhood over which similarities are averaged, cells.

    Returns:
        Points in image 0 and in image 1 (N x 2 pixels), and scores (N), which are peak margins.
    """
    volume = correlation_volume(*grids, masks[1], radius)
    volume = aggregate(volume, masks[0], weight, support)
    moved, margin, inside = displacements(volume, radius)
    height, width = masks[0].shape
    kept = (masks[0] & inside & (margin > 0)).flatten()
    centres = cell_centres(height, width, STRIDE, moved.device)
    points1 = centres + moved.flatten(0, 1)
    return centres[kept], points1[kept], margin.flatten()[kept]
