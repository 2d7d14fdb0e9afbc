"""The saliency map of the Saliency-Enhanced SuperPoint (SES), and the local gradient magnitude that spaces keypoints.

The paper states: Sobel derivatives and a non-linear contrast adjustment. Ours: which channel, the local normalisation
and the curve.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTHING = 2
"""Side in pixels of the means whose derivatives are taken: image noise is not structure, and it saves three quarters of
the work."""

NEIGHBOURHOOD = 17
"""Side, in smoothed pixels, of the box over which a gradient is compared with its surroundings."""

CONTRAST = 1.5
"""Exponent of the contrast curve: above 1, weak gradients get weaker and strong ones saturate."""

FLOOR = 0.004
"""One grey level: a flat area has no salient point, however strong its noise is beside its surroundings."""


def saliency_map(image: Tensor) -> Tensor:
    """Return the saliency in [0, 1), B x 1 x H x W, of B x 3 x H x W in [0, 1] (even sides).

    It is r^c / (1 + r^c), where r compares the Sobel magnitude with its local mean and c is CONTRAST.

    Args:
        image: B x 3 x H x W float32 in [0, 1], H and W even.

    Returns:
        B x 1 x H x W float32, computed at half the resolution; 0.5 where the gradient is as strong as around it.
    """
    magnitude = sobel_magnitude(F.avg_pool2d(image, SMOOTHING))
    adjusted = (magnitude / (box_mean(magnitude, NEIGHBOURHOOD) + FLOOR)).pow(CONTRAST)
    saliency = adjusted / (1 + adjusted)
    return F.interpolate(saliency, scale_factor=float(SMOOTHING), mode="bilinear", align_corners=False)


def sobel_magnitude(image: Tensor) -> Tensor:
    """Return the Sobel gradient magnitude, B x 1 x H x W, of the strongest colour channel of B x C x H x W.

    Args:
        image: B x C x H x W in [0, 1]; beyond the border it is continued.

    Returns:
        B x 1 x H x W, difference of values a pixel.
    """
    batch, channels, height, width = image.shape
    kernel = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    padded = F.pad(image.reshape(batch * channels, 1, height, width), (1, 1, 1, 1), mode="replicate")
    derivatives = F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None])  # BC x 2 x H x W
    squared = derivatives.square().sum(1).reshape(batch, channels, height, width)
    return squared.amax(1, keepdim=True).sqrt()


def box_mean(values: Tensor, side: int) -> Tensor:
    """Return the mean over side x side pixels (odd) around each of B x 1 x H x W, counting only what is inside.

    Args:
        values: B x 1 x H x W float.
        side: Of the box in pixels, odd.

    Returns:
        B x 1 x H x W.
    """
    column = values.new_ones(1, 1, side, 1)

    def box_sum(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, column, padding=(side // 2, 0)), column.transpose(-1, -2), padding=(0, side // 2))

    return box_sum(values) / box_sum(torch.ones_like(values[:1]))
