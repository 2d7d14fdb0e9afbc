"""Images as the network takes them: tensors padded to whole cells, with masks, as they are or warped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.dense.masked_image import MaskedImage
from matcher.dense.resident import Homography, on_host, sampled
from matcher.images import RGBImage
from matcher.mapglue.config import GRAPH_STRIDE, STRIDE
from matcher.mapglue.extractor import Features, SaliencyEnhancedSuperPoint
from matcher.precision import mixed_precision
from raster.homography import Matrix
from raster.pixels import resizing
from raster.warp import antialiased, shrinkage

LONGEST_SIDE = 1024
"""Longest side in pixels; larger images are reduced to it before they are encoded."""

LEARNED_SHARE = 0.5
"""Share of the learned descriptor in the similarity of two cells; the rest is that of the gradient histograms."""

PATCH = 13
"""Cells on a side of the gradient histograms."""


@dataclass
class EncodedImage:
    """An encoded image.

    Attributes:
        features: What the extractor computes of it.
        cells: h x w bool, which cells hold data and structure.
    """

    features: Features
    cells: Tensor

    @cached_property
    def descriptors(self) -> Tensor:
        """Return the unit vectors of all cells: the learned descriptor beside the gradient histograms of the cells
        around.

        Returns:
            D x h x w float32 for h x w cells of `STRIDE` pixels, D that of both together.
        """
        share = LEARNED_SHARE**0.5
        structure = structure_descriptor(self.cell_gradients)
        return torch.cat([self.features.descriptors[0] * share, structure * (1 - share**2) ** 0.5])

    @cached_property
    def cell_gradients(self) -> Tensor:
        """Return the oriented gradients averaged over each cell.

        Returns:
            O x h x w float32.
        """
        return F.avg_pool2d(self.features.gradients, STRIDE)[0]

    @property
    def matchable(self) -> Tensor:
        """Return the probability that a cell has a keypoint.

        Returns:
            h x w float32 in [0, 1].
        """
        return 1 - self.features.detection[0].softmax(0)[-1]


def structure_descriptor(cells: Tensor) -> Tensor:
    """Return O * PATCH^2 x h x w unit vectors: the oriented gradients of the cells around each cell.

    These are the histograms of oriented gradients (Dalal and Triggs, 2005) that classical map matching uses, with
    soft-binned orientations and without any training.

    Args:
        cells: O x h x w float32, the oriented gradients of each cell.

    Returns:
        (O * PATCH^2) x h x w; zeros where nothing varies around a cell. Beyond the border gradients count as zero.
    """
    patches = F.unfold(cells[None], PATCH, padding=PATCH // 2)
    patches = F.normalize(patches - patches.mean(1, keepdim=True), dim=1)
    return patches[0].unflatten(1, (cells.shape[1], cells.shape[2]))


class Encoder:
    """Runs the extractor on images of any size, one at a time: mixed precision, channels last, no gradients."""

    def __init__(self, extractor: SaliencyEnhancedSuperPoint, device: torch.device) -> None:
        """Make an encoder.

        Args:
            extractor: In evaluation mode and on the device already.
            device: Where images are encoded.
        """
        self.extractor, self.device = extractor, device

    @torch.inference_mode()
    def __call__(self, image: RGBImage, mask: npt.NDArray[np.bool_] | None = None) -> EncodedImage:
        """Encode an image.

        Args:
            image: H x W x 3 uint8 RGB, of any size; it is not reduced here.
            mask: H x W bool, true where the image holds data; None for everywhere.

        Returns:
            Of the padded image, whose sides are multiples of 32 pixels.
        """
        return self.tensors(*(each.to(self.device) for each in padded(image, mask)))

    @torch.inference_mode()
    def tensors(self, tensor: Tensor, inside: Tensor) -> EncodedImage:
        """Encode an image that lies on the device.

        Args:
            tensor: 1 x 3 x H x W in [0, 1], sides multiples of 32.
            inside: 1 x 1 x H x W bool, true where the image holds data.
        """
        with mixed_precision(self.device):
            features = self.extractor(tensor, inside)
        return EncodedImage(features, self.extractor.structure(features, inside)[0, 0])


def padded(image: RGBImage, mask: npt.NDArray[np.bool_] | None = None) -> tuple[Tensor, Tensor]:
    """Return an image as 1 x 3 x H' x W' in [0, 1], and its mask as 1 x 1 x H' x W' bool, padded to multiples of 32.

    Args:
        image: H x W x 3 uint8 RGB.
        mask: H x W bool, true where the image holds data; None for everywhere.

    Returns:
        Float32 and bool on the CPU. The image is continued by its last rows and columns, the mask by false.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
    inside = torch.ones(image.shape[:2], dtype=torch.bool) if mask is None else torch.from_numpy(mask)
    return _whole_cells(tensor, inside[None, None])


def _whole_cells(tensor: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Pad an image and its mask, see `padded`."""
    below, right = (-length % GRAPH_STRIDE for length in tensor.shape[-2:])
    return F.pad(tensor, (0, right, 0, below), mode="replicate"), F.pad(inside, (0, right, 0, below))


def reduced(image: RGBImage, longest: int = LONGEST_SIDE) -> tuple[RGBImage, Matrix]:
    """Return the image with its longest side at most `longest`, and the matrix from its pixels to the original's.

    Args:
        image: H x W x 3 uint8 RGB.
        longest: Pixels; a smaller image is returned as it is, with the identity.

    Returns:
        The image by area average, and a 3 x 3 float64 matrix; pixel (0, 0) is the centre of the top-left pixel in both.
    """
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1.0:
        return image, np.eye(3)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, resizing(width / size[0], height / size[1])


def encode_warped(encode: Encoder, image: MaskedImage, at: Homography, size: tuple[int, int]) -> EncodedImage:
    """Encode a warped image, continued beyond its border; only what the image shows counts as data.

    Args:
        encode: What encodes it.
        image: The image; its mask is not looked at.
        at: The result's pixels -> the image's.
        size: Width and height of the result, pixels.
    """
    shrink = shrinkage(at.known, *size)
    if not on_host(encode.device):
        return encode.tensors(*_whole_cells(*sampled(image.smoothed(shrink), at.values, size, "border")))
    smooth = antialiased(image.image, shrink)
    inverse = cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(
        smooth, at.known, size, flags=cv2.INTER_LINEAR | inverse, borderMode=cv2.BORDER_REPLICATE
    )
    whole = np.full(smooth.shape[:2], 255, np.uint8)
    inside = cv2.warpPerspective(whole, at.known, size, flags=cv2.INTER_NEAREST | inverse, borderValue=0)
    return encode(np.asarray(warped, np.uint8), inside > 0)
