"""An image with the mask of its data, at any resolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from matcher.dense.harmonics import orientation_harmonics
from matcher.dense.resident import Homography, on_host, sampled
from matcher.images import RGBImage
from raster.homography import Matrix, inverse
from raster.pixels import resizing
from raster.warp import COVERED, antialiased, shrinkage, warp

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

    @cached_property
    def image_tensor(self) -> Tensor:
        """The image as it is, 1 x 3 x H x W in [0, 1]."""
        return image_tensor(self.image.copy(), self.device)

    @cached_property
    def mask_tensor(self) -> Tensor:
        """The mask as it is, 1 x 1 x H x W bool."""
        return torch.from_numpy(self.mask.copy()).to(self.device)[None, None]

    def warped(self, at: Homography, to_result: Matrix, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the image (1 x 3 x h x w in [0, 1], black where there is nothing) and its mask (1 x 1 x h x w, true
        where all that a pixel is interpolated from has data) warped, averaged where that shrinks them.

        Args:
            at: This image's pixels -> those of another image.
            to_result: 3 x 3, that image's pixels -> those of the result.
            size: Width and height of the result, pixels.
        """
        known = to_result @ at.known
        if on_host(self.device):
            image, mask = warp(self.image, self.mask, known, *size)
            return image_tensor(image, self.device), torch.from_numpy(mask)[None, None]
        layers = torch.cat([self.smoothed(shrinkage(inverse(known), *size)), self.mask_tensor], 1)
        to_source = torch.linalg.inv_ex(torch.from_numpy(to_result).to(self.device) @ at.values).inverse
        found, _ = sampled(layers, to_source, size)
        return found[:, :3], found[:, 3:] > COVERED / 255

    def smoothed(self, shrink: float) -> Tensor:
        """Return the image, 1 x 3 x H x W in [0, 1], ready to be sampled at every `shrink`-th pixel.

        Args:
            shrink: Pixels, see `antialiased`.
        """
        smooth = antialiased(self.image, shrink)
        return self.image_tensor if smooth is self.image else image_tensor(smooth, self.device)

    def resized(self, scale: float) -> tuple[Tensor, Tensor, Matrix]:
        """Return the image (1 x 3 x H x W in [0, 1]) and its mask (1 x 1 x H x W) resized by `scale`, at least 8 pixels
        wide and high, and the matrix from this image's pixels to theirs.

        Args:
            scale: New size over old size.
        """
        height, width = self.image.shape[:2]
        size = max(8, round(width * scale)), max(8, round(height * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = image_tensor(np.asarray(cv2.resize(self.image, size, interpolation=method), np.uint8), self.device)
        mask = torch.from_numpy(cv2.resize(self.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)
        matrix = resizing(size[0] / width, size[1] / height)
        return image, mask[None, None].to(self.device), matrix

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


def image_tensor(image: RGBImage, device: torch.device) -> Tensor:
    """Return an image as 1 x 3 x H x W float32 in [0, 1] on a device.

    Args:
        image: H x W x 3 uint8.
        device: Where it is needed.
    """
    return torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float().div_(255)


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
