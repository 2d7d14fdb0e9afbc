"""Adaptive non-maximum suppression (ANMS): keypoints dense where gradients are strong, sparse where they are weak.

The paper states that the radius depends on the local gradient magnitude. Ours: the radii and their linear dependence,
and that it runs as a few maxima of shifted views, so that it stays on the device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_RADIUS, LARGEST_RADIUS = 2, 6
"""Half the side, in pixels, of the square in which a keypoint suppresses weaker ones."""


def suppression_radius(strength: Tensor) -> Tensor:
    """Return integer radii, B x 1 x H x W, from LARGEST (strength 0) down to SMALLEST (strength 1).

    Args:
        strength: B x 1 x H x W, such as saliency; beyond [0, 1] it is cut off.

    Returns:
        B x 1 x H x W int64, pixels: crowded where structure is strong, sparse where it is weak.
    """
    span = LARGEST_RADIUS - SMALLEST_RADIUS
    return (LARGEST_RADIUS - span * strength.clamp(0, 1)).round().long()


def suppress(score: Tensor, radius: Tensor) -> Tensor:
    """Return B x 1 x H x W bool: pixels whose score is positive and the largest within their own radius.

    Args:
        score: B x 1 x H x W; 0 where there is no keypoint.
        radius: B x 1 x H x W integers, `SMALLEST_RADIUS` to `LARGEST_RADIUS`, pixels; a neighbourhood is a square of
            side 2 r + 1.

    Returns:
        B x 1 x H x W bool; of equal scores that lie close together all are kept.
    """
    kept = torch.zeros_like(score, dtype=torch.bool)
    largest = score
    for r in range(1, LARGEST_RADIUS + 1):
        largest = widened_maximum(largest)
        if r >= SMALLEST_RADIUS:
            kept |= (radius == r) & (score == largest)
    return kept & (score > 0)


def widened_maximum(values: Tensor) -> Tensor:
    """Return the maximum over 3 x 3 pixels around each; applied r times, over (2r + 1) x (2r + 1).

    By shifted views: on a CPU an order of magnitude faster than a maximum pooling.

    Args:
        values: B x C x H x W float.

    Returns:
        The same shape; beyond the border there is nothing that could be larger.
    """
    values = F.pad(values, (1, 1, 1, 1), value=-torch.inf)
    rows = torch.maximum(torch.maximum(values[..., :-2, :], values[..., 1:-1, :]), values[..., 2:, :])
    return torch.maximum(torch.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def strongest_points(score: Tensor, kept: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels of the highest scores.

    Args:
        score: B x 1 x H x W.
        kept: B x 1 x H x W bool, pixels to choose from.
        count: Most pixels an image.

    Returns:
        Points B x N x 2 (x, y), their scores B x N, and B x N bool, which of them are no padding. N is `count` or the
        number of pixels; ties are broken by position, so that the result is the same on every device.
    """
    width = score.shape[-1]
    flat = score.masked_fill(~kept, 0).flatten(1)
    values, index = flat.topk(min(count, flat.shape[1]), dim=1)
    points = torch.stack([index % width, index // width], -1).to(score.dtype)
    return points, values, values > 0
