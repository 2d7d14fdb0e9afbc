"""The Saliency-Enhanced SuperPoint (SES): keypoints where structure is salient and matchable, and their descriptors.

The paper states: SuperPoint, a saliency map, adaptive non-maximum suppression. Ours: the input is locally normalised
oriented gradients instead of grey values (colour and brightness transfer nothing between a map and an image), the
encoder's dilations, and a detection head whose labels come from what two modalities agree on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from matcher.gradients import oriented_gradients
from matcher.mapglue.anms import strongest_points, suppress, suppression_radius
from matcher.mapglue.config import STRIDE, MapGlueConfig
from matcher.mapglue.layers import ResidualBlock, convolution
from matcher.mapglue.saliency import saliency_map
from matcher.mapglue.semantic import SemanticContext

BORDER = 4
"""Pixels at an image's border without keypoints: half of what a descriptor there describes lies outside."""

FILLED = 0.9
"""Least share of data in a cell that takes part."""

FLAT = 0.05
"""Largest saliency within two cells of a cell that is left out for lack of structure."""

SALIENCY_SHARE = 0.3
"""The score of a pixel without salience, as a share of that of a fully salient one."""


@dataclass
class Features:
    """What the extractor computes of a batch of images (B x 3 x H x W; h = H / 8, w = W / 8)."""

    descriptors: Tensor
    """B x D x h x w, of unit length."""
    detection: Tensor
    """B x 65 x h x w logits: the 64 pixels of a cell, row by row, and 'no keypoint'."""
    saliency: Tensor
    """B x 1 x H x W in [0, 1)."""
    tokens: Tensor
    """B x C x h/2 x w/2 semantic tokens."""
    semantics: Tensor
    """B x classes x h/2 x w/2 logits."""

    gradients: Tensor
    """B x O x H x W oriented gradients: the network's input."""


@dataclass
class Keypoints:
    """N keypoints in each image, padded.

    Attributes:
        points: B x N x 2, pixels (x, y).
        scores: B x N.
        descriptors: B x N x D, of unit length.
        mask: B x N bool, which keypoints are no padding.
    """

    points: Tensor
    scores: Tensor
    descriptors: Tensor
    mask: Tensor


class SaliencyEnhancedSuperPoint(nn.Module):
    """Encoder, descriptor head, detection head and semantic context."""

    def __init__(self, config: MapGlueConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter = config.stem
        self.stem = nn.Sequential(
            convolution(config.orientations, half, stride=2),
            convolution(half, quarter, stride=2),
            ResidualBlock(quarter),
        )
        blocks = [ResidualBlock(config.width, dilation) for dilation in config.dilations]
        self.encoder = nn.Sequential(convolution(quarter, config.width, stride=2), *blocks)
        self.semantic = SemanticContext(config)
        self.describe = nn.Sequential(
            convolution(config.width, config.width), nn.Conv2d(config.width, config.descriptor, 1)
        )
        self.detect = nn.Sequential(
            convolution(config.width, config.width // 2), nn.Conv2d(config.width // 2, STRIDE**2 + 1, 1)
        )

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Features:
        """Encode images.

        Args:
            image: B x 3 x H x W in [0, 1], sides multiples of 32.
            mask: B x 1 x H x W bool, true where there is data: elsewhere gradients and saliency are zero. None for
                everywhere.

        Returns:
            In float32 also under autocast.
        """
        with torch.autocast(image.device.type, enabled=False):
            gradients = oriented_gradients(image.float(), self.config.orientations, mask=mask)
            saliency = saliency_map(image.float())
        if mask is not None:
            saliency = saliency * mask
        encoded = self.encoder(self.stem(gradients.contiguous(memory_format=torch.channels_last)))
        context, tokens, semantics = self.semantic(encoded)
        if self.config.semantics:
            encoded = encoded + context
        descriptors = F.normalize(self.describe(encoded).float(), dim=1)
        detection = self.detect(encoded).float()
        return Features(descriptors, detection, saliency, tokens.float(), semantics.float(), gradients)

    def keypoints(self, features: Features, count: int, mask: Tensor | None = None) -> Keypoints:
        """Return keypoints by score and adaptive non-maximum suppression, with descriptors.

        Args:
            features: What the extractor computed.
            count: Most keypoints an image; those of the highest scores are kept.
            mask: B x 1 x H x W bool, where keypoints may lie; None for everywhere.
        """
        score = self.surviving(features, mask)
        points, scores, real = strongest_points(score, score > 0, count)
        return Keypoints(points, scores, sample(features.descriptors, points), real)

    def surviving(self, features: Features, mask: Tensor | None = None) -> Tensor:
        """Return the scores, B x 1 x H x W, of pixels that survive suppression within `mask`, and 0 elsewhere.

        Args:
            features: What the extractor computed.
            mask: B x 1 x H x W bool, where keypoints may lie; None for everywhere. Nearer than `BORDER` pixels to the
                border none lies.

        Returns:
            Float32; positive where a keypoint may be taken.
        """
        score = F.pad(self.score(features)[..., BORDER:-BORDER, BORDER:-BORDER], (BORDER,) * 4)
        if mask is not None:
            score = score * mask
        return score * suppress(score, suppression_radius(features.saliency))

    def structure(self, features: Features, mask: Tensor) -> Tensor:
        """Return B x 1 x h x w bool: cells of data (`mask`, B x 1 x H x W bool) near which anything is salient.

        Args:
            features: What the extractor computed, saliency masked.
            mask: B x 1 x H x W bool, true where there is data.

        Returns:
            B x 1 x h x w bool, one for each cell of `STRIDE` pixels.
        """
        salient = F.max_pool2d(F.max_pool2d(features.saliency, STRIDE), 5, 1, 2) > FLAT
        return salient & (F.avg_pool2d(mask.float(), STRIDE) > FILLED)

    def score(self, features: Features) -> Tensor:
        """Return the keypoint score of every pixel, B x 1 x H x W: SuperPoint's heat map, raised where salient.

        Args:
            features: What the extractor computed.

        Returns:
            Float32 in [0, 1]; the saliency counts only where the configuration has it.
        """
        heat = F.pixel_shuffle(features.detection.softmax(1)[:, :-1], STRIDE)
        if not self.config.saliency:
            return heat
        return heat * (SALIENCY_SHARE + (1 - SALIENCY_SHARE) * features.saliency)


def sample(grid: Tensor, points: Tensor, stride: int = STRIDE) -> Tensor:
    """Return the unit vectors, B x N x D, of a grid B x D x h x w at pixels B x N x 2, bilinearly between cells.

    Args:
        grid: B x D x h x w, one value for each cell of `stride` pixels.
        points: B x N x 2, x, y in pixels, (0, 0) the centre of the top-left pixel; beyond the centres of the outer
            cells the border is continued.
        stride: Pixels to a side of a cell.

    Returns:
        B x N x D of unit length.
    """
    height, width = grid.shape[-2:]
    x = (2 * points[..., 0] + 1) / (width * stride) - 1  # cell and pixel edges coincide: align_corners=False
    y = (2 * points[..., 1] + 1) / (height * stride) - 1
    normalised = torch.stack([x, y], -1)
    found = F.grid_sample(grid, normalised[:, None], mode="bilinear", padding_mode="border", align_corners=False)
    return F.normalize(found[:, :, 0].transpose(1, 2), dim=-1)
