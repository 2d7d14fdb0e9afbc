"""Sums over windows by running sums, whose cost does not grow with the window."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def box_sums(values: Tensor, rows: int, columns: int) -> Tensor:
    """Sum over every window of rows x columns values.

    Args:
        values: (..., 1 + H, 1 + W): the first row and column precede the first window and are in none.
        rows: Height of the windows.
        columns: Width of the windows.

    Returns:
        (..., H - rows + 1, W - columns + 1) float64, which keeps differences of running sums exact enough: at [y, x]
        the sum of the window whose first value is `values[..., y + 1, x + 1]`.
    """
    total = values.cumsum(-1, dtype=torch.float64).cumsum_(-2)
    strip = total[..., rows:, :] - total[..., :-rows, :]
    return strip[..., columns:] - strip[..., :-columns]


def window_means(values: Tensor, corners: NDArray[np.intp], size: int) -> Tensor:
    """Return the means (N,) of H x W values over windows of size x size with given top-left corners (N, 2), (x, y).

    What of a window lies beyond the values counts as zero.

    Args:
        values: (H, W) of any type that adds up, booleans among them, on any device.
        corners: (N, 2) first column and row of each window, each 0 or more; not from the outer edge.
        size: Side of a window in pixels; every sum is divided by its square, also at the edge.

    Returns:
        (N,) float64, on the device of the values.
    """
    height, width = values.shape
    total = F.pad(values, (1, 0, 1, 0)).cumsum(-1, dtype=torch.float64).cumsum_(-2)
    x0, y0 = torch.from_numpy(corners).to(values.device).T
    x1, y1 = (x0 + size).clamp(max=width), (y0 + size).clamp(max=height)
    return (total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]) / size**2
