"""The coarse step: over which rotation, scale and shift do two images agree best, looking at small versions of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from matcher.dense.harmonics import CHANNELS, orientation_harmonics, turn_harmonics
from raster.homography import Matrix, inverse, resizing

Mask = npt.NDArray[np.bool_]

BATCH = 12
"""Rotations correlated at once: enough to fill a processor, few enough to stay in its caches."""

PERIOD = 0.75
"""Of the length at which no correlation wraps round."""


@dataclass(frozen=True, eq=False)
class Pose:
    """A similarity from image 0 to image 1 in their pixels, `matrix` (3 x 3), and how well the images agree under it:
    `score`, the cosine between both whole fields, in [-1, 1]. `angle` in radians (x towards y); `scale` as asked."""

    score: float
    angle: float
    scale: float
    matrix: Matrix


@dataclass(frozen=True, eq=False)
class View:
    """An image with its mask (True where it holds data), on the device that the work runs on."""

    image: npt.NDArray[np.uint8]
    mask: Mask
    device: torch.device

    def resized(self, scale: float) -> tuple[Tensor, Tensor, Matrix]:
        """Return image (1 x 3 x H x W in [0, 1]) and mask, resized by `scale`, and the matrix to their pixels."""
        height, width = self.image.shape[:2]
        size = max(8, round(width * scale)), max(8, round(height * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = torch.from_numpy(cv2.resize(self.image, size, interpolation=method)).to(self.device)
        mask = torch.from_numpy(cv2.resize(self.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)
        matrix = resizing(size[0] / width, size[1] / height)
        return image.permute(2, 0, 1)[None].float() / 255, mask[None, None].to(self.device), matrix

    def field(self, scale: float, saturated: bool = False) -> tuple[Tensor, Matrix]:
        """Return the harmonics (1 x 4 x H x W) of the image resized by `scale`, and the matrix to its pixels."""
        image, mask, matrix = self.resized(scale)
        return orientation_harmonics(image, mask, saturated=saturated), matrix


def search_poses(
    view0: View, view1: View, angles: npt.NDArray[np.float64], scales: Sequence[float], side: int
) -> list[Pose]:
    """Correlate image 0 at every rotation and scale with image 1 at every shift. Return the best shift of every pose,
    best pose first.

    Both images are shrunk as if the longer side of image 1 were `side` pixels, and further where image 0 at the scale
    of the pose is larger than image 1: by the root of how much. The score divides by the energy of both whole fields,
    not of their overlap: a sliver that happens to agree can not outdo an overlap that fills the images.
    """
    longest0, longest1 = max(view0.image.shape[:2]), max(view1.image.shape[:2])
    poses = []
    for scale in scales:
        shrink = side / longest1 / math.sqrt(max(1.0, scale * longest0 / longest1))
        field0, to_small0 = view0.field(shrink * scale, saturated=True)
        field1, to_small1 = view1.field(shrink, saturated=True)
        poses += _rotations(field0, field1, angles, scale, (to_small0, inverse(to_small1)))
    return sorted(poses, key=lambda pose: -pose.score)


def _rotations(
    field0: Tensor, field1: Tensor, angles: npt.NDArray[np.float64], scale: float, frames: tuple[Matrix, Matrix]
) -> list[Pose]:
    """Correlate `field0` at all `angles` with `field1`; `frames` lead from image 0 and to image 1."""
    height, width = field1.shape[-2:]
    diagonal = math.ceil(math.hypot(*field0.shape[-2:]))
    size = _period(diagonal, height), _period(diagonal, width)
    spectrum1 = torch.fft.rfft2(field1, s=size)
    energy1 = field1.square().sum().clamp(min=1e-12)
    poses = []
    for start in range(0, len(angles), BATCH):
        batch = angles[start : start + BATCH]
        turned, centring = rotated(field0, batch, diagonal)
        product = (torch.fft.rfft2(turned, s=size).conj() * spectrum1).sum(1)
        surface = torch.fft.irfft2(product, s=size).flatten(1)
        scores, places = (surface / (turned.square().sum((1, 2, 3)) * energy1).clamp(min=1e-12).sqrt()[:, None]).max(1)
        for angle, score, place, turn in zip(batch, scores.tolist(), places.tolist(), centring, strict=True):
            y, x = divmod(place, size[1])
            shift = np.eye(3)
            shift[:2, 2] = _nearest(x, size[1], width - diagonal), _nearest(y, size[0], height - diagonal)
            poses.append(Pose(score, float(angle), scale, frames[1] @ shift @ turn @ frames[0]))
    return poses


def _period(length0: int, length1: int) -> int:
    """Return after how many pixels of shift the correlation may repeat itself: only the corners of the squares that
    hold rotated fields, mostly empty, and slivers of overlap wrap round into other shifts."""
    return int(next_fast_len(max(length0, length1, math.ceil(PERIOD * (length0 + length1))), real=True))


def _nearest(place: int, period: int, twice_middle: int) -> int:
    """Return, of the shifts that repeat as `place`, the one that brings the fields' centres closest together."""
    return place if abs(2 * place - twice_middle) <= abs(2 * (place - period) - twice_middle) else place - period


def rotated(field: Tensor, angles: npt.NDArray[np.float64], side: int) -> tuple[Tensor, list[Matrix]]:
    """Rotate one field (1 x 4 x H x W) about its centre by each angle onto squares of `side` pixels (B x 4 x S x S).

    Also returns, for each, the matrix from the field's pixels to the square's. Outside the field is zero.
    """
    height, width = field.shape[-2:]
    matrices, samplings = [], []
    for angle in angles:
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        matrix = np.eye(3)
        matrix[:2, :2] = turn
        matrix[:2, 2] = (side - 1) / 2 - turn @ [(width - 1) / 2, (height - 1) / 2]
        matrices.append(matrix)
        # affine_grid wants the way back, in coordinates where an image spans -1..1
        samplings.append(
            [[cosine * side / width, sine * side / width, 0], [-sine * side / height, cosine * side / height, 0]]
        )
    theta = torch.tensor(samplings, dtype=field.dtype, device=field.device)
    grid = F.affine_grid(theta, [len(angles), CHANNELS, side, side], align_corners=False)
    sampled = F.grid_sample(field.expand(len(angles), -1, -1, -1), grid, align_corners=False)
    return turn_harmonics(sampled, torch.from_numpy(np.asarray(angles)).to(field.device)), matrices
