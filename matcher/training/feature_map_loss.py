"""Losses of the feature map network: every window's correlation surface shall peak at the window's true shift, and all
windows together shall agree best under the true homography.

The second is what the matcher maximises (`matcher.dense.pooling`). Errors of neighbouring windows are correlated, as a
map's generalisation is, and distort the homography that fits them all; a loss of single windows does not see that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.dense.feature_map import ENERGY_FLOOR, STRIDE
from matcher.dense.pooling import GENERATORS
from matcher.dense.windows import correlation_surfaces, window_grid
from matcher.training.losses import look_up, project
from raster.pixels import rescaled

WINDOW, STEP, RADIUS = 48, 20, 7
"""Side of the windows, their distance, and the radius of the search, in pixels of the feature map."""

MIN_DATA = 0.5
"""Share of a window that must hold data in both crops."""

COARSE = 8
"""Pixels to a pixel of the masks on which that share is counted."""

CLOSE_PX = 2.0
"""A window counts as found when its peak lies this close to the truth, in pixels of the image."""

RIVALS = 64
"""Wrong homographies a pair that compete with the true one."""

ERROR_SIGMA = (2.0, 2.0, 1.5, 1.5, 1.0, 1.0, 3.0, 3.0)
"""Standard deviations of their errors: shift, scale and rotation, aspect and shear, perspective, in pixels of the
feature map at its border. All are divided by a random factor of up to four."""

MIN_WINDOWS = 6
"""Windows of a pair whose homography counts: fewer fit most wrong homographies alike."""


@dataclass
class FeatureMapLosses:
    """The losses of windows and of homographies, and the shares of windows that peak close to the truth (`accuracy`)
    and of pairs whose true homography wins (`right`)."""

    window: Tensor
    accuracy: Tensor
    homography: Tensor
    right: Tensor


def feature_map_losses(
    features: Tensor, masks: Tensor, homographies: Tensor, temperature: Tensor, homography_temperature: Tensor
) -> FeatureMapLosses:
    """Return the losses of P pairs. Only windows count that move by less than RADIUS and hold data in both crops.

    Args:
        features: 2P x C x h x w feature maps, the first crop of each pair, then the second of each.
        masks: 2P x 1 x H x W bool, true where there is data.
        homographies: P x 3 x 3, in pixels of the crops.
        temperature: Of the windows' correlations.
        homography_temperature: Of the mean correlations of homographies.

    Returns:
        Scalars; 0 where no window counts.
    """
    corners = window_grid(features.shape[2], features.shape[3], WINDOW, STEP)
    surfaces = torch.stack(
        [
            correlation_surfaces(features0, features1, corners, WINDOW, RADIUS, ENERGY_FLOOR)
            for features0, features1 in zip(*features.chunk(2), strict=True)
        ]
    )
    centres = torch.from_numpy(corners + (WINDOW - 1) / 2).to(features)
    pixels = rescaled(centres, STRIDE).expand(len(homographies), -1, -1)
    moved = project(homographies, pixels)
    shifts = (moved - pixels) / STRIDE
    data = [
        look_up(held, rescaled(points, 1 / COARSE))[..., 0]
        for held, points in zip(_held(masks).chunk(2), (pixels, moved), strict=True)
    ]
    valid = (shifts.abs() < RADIUS - 0.5).all(-1) & (torch.minimum(*data) >= MIN_DATA)
    window, accuracy = surface_losses(surfaces[valid], shifts[valid], temperature)
    enough = valid.sum(1) >= MIN_WINDOWS
    homography, right = homography_losses(
        surfaces[enough], shifts[enough], valid[enough], centres, homography_temperature
    )
    return FeatureMapLosses(window, accuracy, homography, right)


def surface_losses(surfaces: Tensor, shifts: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of single windows.

    Args:
        surfaces: N x D x D correlation surfaces.
        shifts: N x 2 true shifts.
        temperature: Of the correlations.

    Returns:
        The cross-entropy against the four places around each true shift, weighted bilinearly, and the share of surfaces
        that peak close to it.
    """
    side = surfaces.shape[-1]
    places = shifts + side // 2
    steps = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], device=places.device)
    corners = places.floor()[:, None] + steps  # N x 4 x 2
    weights = (1 - (places[:, None] - corners).abs()).prod(-1)
    x, y = corners.long().unbind(-1)
    flat = temperature * surfaces.flatten(1)
    loss = -(weights * flat.log_softmax(1).gather(1, y * side + x)).sum(1)
    best = surfaces.detach().flatten(1).argmax(1)
    found = torch.stack([best % side, torch.div(best, side, rounding_mode="floor")], -1)
    close = (found - places).norm(dim=1) * STRIDE <= CLOSE_PX
    count = max(1, len(loss))
    return loss.sum() / count, close.sum() / count


def homography_losses(
    surfaces: Tensor, shifts: Tensor, valid: Tensor, centres: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of the true homography among `RIVALS` random ones around it, by the mean of the surfaces
    under each, and the share of pairs where it wins.

    Args:
        surfaces: P x N x D x D correlation surfaces.
        shifts: P x N x 2 true shifts of the windows.
        valid: P x N bool, windows that count.
        centres: N x 2 centres of the windows.
        temperature: Of the means.

    Returns:
        Two scalars; 0 for no pairs.
    """
    pairs, windows, side, _ = surfaces.shape
    if not pairs:
        return surfaces.sum(), surfaces.sum()
    origin = centres.mean(0)
    extent = (centres - origin).abs().max()
    unit = F.pad((centres - origin) / extent, (0, 1), value=1.0)
    steps = unit @ unit.new_tensor(GENERATORS).transpose(1, 2)  # 8 x N x 3
    derivatives = steps[..., :2] - unit[:, :2] * steps[..., 2:]
    sizes = surfaces.new_tensor(ERROR_SIGMA) * 4 ** -torch.rand(pairs, RIVALS, 1, device=surfaces.device)
    errors = F.pad(sizes * torch.randn(pairs, RIVALS, 8, device=surfaces.device), (0, 0, 1, 0))  # the first is true
    places = shifts[:, None] + torch.einsum("pke,enc->pknc", errors, derivatives)  # P x K x N x 2
    grid = (places * 2 / (side - 1)).permute(0, 2, 1, 3).reshape(pairs * windows, 1, RIVALS + 1, 2)
    heights = F.grid_sample(surfaces.reshape(-1, 1, side, side), grid, align_corners=True)
    heights = heights.view(pairs, windows, RIVALS + 1) * valid[..., None]
    mean = heights.sum(1) / valid.sum(1, keepdim=True)
    return -(temperature * mean).log_softmax(1)[:, 0].mean(), (mean.argmax(1) == 0).float().mean()


def _held(masks: Tensor) -> Tensor:
    """Return, every `COARSE` pixels, the share of a window there that holds data."""
    side = WINDOW * STRIDE // COARSE
    return F.avg_pool2d(F.avg_pool2d(masks.float(), COARSE), side + 1, 1, side // 2, count_include_pad=False)
