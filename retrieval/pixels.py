"""Images as small arrays of one size, as the networks that learn from pixels take them, and altered copies of them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from retrieval.benchmark import Modality

Image = npt.NDArray[np.uint8]

STORED = 64
"""Pixels of the side of a stored thumbnail."""
_CENTRE = 0.75
"""Share of an aerial image's side that is kept: the landmark stands in its centre."""


def thumbnail(image: Image, modality: Modality) -> Image:
    """Reduce an image to the size that is stored.

    Args:
        image: (H, W, 3) RGB.
        modality: Of an aerial image ("satellite") the centre is kept; a photograph is squeezed to a square.

    Returns:
        (`STORED`, `STORED`, 3).
    """
    if modality == "satellite":
        height, width = image.shape[:2]
        side = max(1, round(min(height, width) * _CENTRE))
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(image, (STORED, STORED), interpolation=cv2.INTER_AREA), np.uint8)


def as_tensor(images: Image) -> Tensor:
    """Return thumbnails (N, H, W, 3) as a tensor (N, 3, H, W), float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def altered(images: Tensor, modality: Modality, random: np.random.Generator) -> Tensor:
    """Return copies of images that were moved and recoloured at random, for training.

    A photograph is cropped, moved and mirrored; an aerial image is turned by any angle as well. Brightness, contrast
    and the balance of colours change.

    Args:
        images: (N, 3, S, S) in [0, 1].
        modality: "ground" or "satellite".
        random: Decides the alterations.
    """
    count = len(images)
    share = random.uniform(0.7, 1.0, count) if modality == "ground" else random.uniform(0.8, 1.1, count)
    angle = random.uniform(-0.06, 0.06, count) if modality == "ground" else random.uniform(0, 2 * np.pi, count)
    mirrored = np.where(random.random(count) < 0.5, -1.0, 1.0)
    room = np.maximum(1 - share, 0.06)
    shift = random.uniform(-1, 1, (count, 2)) * room[:, None]
    turn = np.stack(
        [
            np.stack([share * np.cos(angle) * mirrored, -share * np.sin(angle), shift[:, 0]], axis=1),
            np.stack([share * np.sin(angle) * mirrored, share * np.cos(angle), shift[:, 1]], axis=1),
        ],
        axis=1,
    )
    grid = F.affine_grid(torch.from_numpy(turn).float(), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    gain = random.uniform(0.8, 1.2, (count, 1)) * random.uniform(0.93, 1.07, (count, 3))
    contrast = torch.from_numpy(random.uniform(0.8, 1.2, (count, 1, 1, 1))).float()
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    coloured = ((moved - mean) * contrast + mean) * torch.from_numpy(gain).float()[:, :, None, None]
    return coloured.clamp(0, 1)
