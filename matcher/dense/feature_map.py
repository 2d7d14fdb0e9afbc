"""A learned feature map, in which a map and an image of the same ground correlate better than in harmonics of
gradients.

A small network on oriented gradients. It weighs the harmonics (letters, symbols and building lean can be left out)
and adds channels of its own, which may combine several edges. Feature maps are compared by correlation of windows, and
the network is trained for that alone: the correlation of two windows shall peak at the true shift
(`training/feature_map_loss.py`). Ours; in the manner of the learned correlation of optical and SAR images (Hughes et
al., 2020; Fang et al., 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from matcher.gradients import oriented_gradients
from matcher.mapglue.config import FEATURE_MAP

STRIDE = 2
"""Pixels of an image to a pixel of its feature map."""

ENERGY_FLOOR = 0.02
"""Energy floor (see `correlate`) of the correlations: with it the network can give a place more or less weight."""

ORIENTATIONS = 8
COARSEST = 16
"""Pixels to a cell of the coarsest layer."""


@dataclass(frozen=True)
class FeatureMapConfig:
    """Width of the network: channels at stride 2, and channels of the feature map beside the harmonics."""

    name: str = FEATURE_MAP
    width: int = 32
    channels: int = 12


class FeatureMapNetwork(nn.Module):
    """The feature map network.

    The first four channels are harmonics cos 2t, sin 2t, cos 4t, sin 4t, weighed pixel by pixel. All are zero where
    there is no data. A pixel (x, y) of the feature map covers four of the image about (2 x + 0.5, 2 y + 0.5); the
    learned channels are centred on (2 x, 2 y), in both images alike, so that shifts between feature maps are exact.
    """

    def __init__(self, config: FeatureMapConfig = FeatureMapConfig()) -> None:
        super().__init__()
        self.config, width = config, config.width
        angles = torch.arange(ORIENTATIONS) * (2 * math.pi / ORIENTATIONS)
        harmonics = torch.stack([angles.cos(), angles.sin(), (2 * angles).cos(), (2 * angles).sin()])
        self.harmonics: Tensor
        taps = torch.tensor([1.0, 2.0, 2.0, 1.0]) / 6  # means over three pixels, then over two
        self.register_buffer("harmonics", harmonics[..., None, None] * taps[:, None] * taps, persistent=False)
        self.stem = nn.Sequential(_block(ORIENTATIONS, width, STRIDE), _block(width, width))
        widths = [width * (level + 1) for level in range(4)]  # at strides 2, 4, 8, 16
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(_block(fine, coarse, 2), _block(coarse, coarse)) for fine, coarse in steps
        )
        self.lateral = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.merge = nn.ModuleList(_block(fine, fine) for fine, _ in steps)
        self.head = nn.Conv2d(width, config.channels + 2, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.01)  # at first: plain harmonics
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Return the feature maps of images.

        Args:
            image: B x 3 x H x W in [0, 1], of any size.
            mask: B x 1 x H x W bool, true where there is data.

        Returns:
            B x C x (H // 2) x (W // 2) float32: edges by orientation, weighed by what the network makes of their
            surroundings, beside learned channels. Zero where a cell of 2 x 2 pixels is not all data, so that
            correlations need no mask.
        """
        height, width = image.shape[-2] // STRIDE, image.shape[-1] // STRIDE
        below, right = -image.shape[-2] % COARSEST, -image.shape[-1] % COARSEST
        image = F.pad(image, (0, right, 0, below), mode="replicate")
        mask = F.pad(mask, (0, right, 0, below))
        gradients = oriented_gradients(image, ORIENTATIONS, mask=mask)
        levels = [self.stem(gradients)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels[-1]
        for level in reversed(range(len(self.down))):
            above = F.interpolate(self.lateral[level](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.merge[level](levels[level] + above)
        weights, learned = self.head(x).float().split([2, self.config.channels], 1)
        with torch.autocast(image.device.type, enabled=False):  # the network weighs the harmonics; they stay float32
            edges = F.conv2d(gradients, self.harmonics, stride=STRIDE, padding=1)
        weighed = edges * F.softplus(weights).repeat_interleave(2, 1)
        inside = F.avg_pool2d(mask.float(), STRIDE) > 0.99
        return (torch.cat([weighed, learned], 1) * inside)[..., :height, :width]


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.GELU())
