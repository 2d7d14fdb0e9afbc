"""An image with the mask of its data, at any resolution."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matcher.dense.harmonics import orientation_harmonics
from matcher.images import RGBImage
from raster.homography import Matrix
from raster.pixels import resizing

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MaskedImage:
    """An image, where it holds data, and where the work on it is done.

    Attributes:
        image: H x W x 3 uint8 RGB.
        mask: H x W, True where the image holds data.
        device: Device of the tensors that are made of it.
    """

    image: RGBImage
    mask: Mask
    device: torch.device

    def resized(self, scale: float) -> tuple[Tensor, Tensor, Matrix]:
        """Return the image (1 x 3 x H x W in [0, 1]) and its mask (1 x 1 x H x W) resized by `scale`, at least 8 pixels
        wide and high, and the matrix from this image's pixels to theirs.

        Args:
            scale: New size over old size.
        """
        height, width = self.image.shape[:2]
        size = max(8, round(width * scale)), max(8, round(height * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = torch.from_numpy(cv2.resize(self.image, size, interpolation=method)).to(self.device)
        mask = torch.from_numpy(cv2.resize(self.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)
        matrix = resizing(size[0] / width, size[1] / height)
        return image.permute(2, 0, 1)[None].float().div_(255), mask[None, None].to(self.device), matrix

    def harmonics(self, scale: float, saturated: bool = False) -> tuple[Tensor, Matrix]:
        """Return the harmonics (1 x 4 x H x W, see `orientation_harmonics`) of the image resized by `scale`, and the
        matrix from this image's pixels to theirs.

        Args:
            scale: New size over old size; see `resized`.
            saturated: Let edges count nearly alike, see `orientation_harmonics`.

        Returns:
            1 x 4 x H x W float32, zero where the image holds no data, and a 3 x 3 float64 matrix.
        """
        image, mask, matrix = self.resized(scale)
        return orientation_harmonics(image, mask, saturated=saturated), matrix


def data_mask(image: RGBImage) -> Mask:
    """Return a guess of where an image without a mask holds data: all but black areas that reach its border.

    Args:
        image: H x W x 3 uint8.

    Returns:
        H x W bool.
    """
    black = (image == 0).all(axis=2)
    if not black.any():
        return ~black
    _, labels = cv2.connectedComponents(black.astype(np.uint8))
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return ~np.isin(labels, border[border > 0])
