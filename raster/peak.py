"""The sub-pixel place of a peak between three samples."""

from __future__ import annotations

import torch
from torch import Tensor


def vertex(before: Tensor, centre: Tensor, after: Tensor) -> Tensor:
    """Return where the parabola through three samples has its highest point.

    Args:
        before: Samples one step before `centre`, of any shape.
        centre: Samples of the peaks, of the same shape.
        after: Samples one step after `centre`.

    Returns:
        The places relative to the centre, in steps, within -0.5 to 0.5; 0 where the samples have no peak.
    """
    curvature = before - 2 * centre + after
    offset = torch.where(curvature < 0, (before - after) / (2 * curvature), torch.zeros_like(centre))
    return offset.clamp(-0.5, 0.5)
