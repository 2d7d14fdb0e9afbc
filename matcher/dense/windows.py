"""The fine step: where does each small window of one field lie in the other, when both are nearly aligned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.dense.correlation import correlate, find_peak

BATCH_VALUES = 8_000_000
"""Values of one batch of windows, all channels: bounds memory (some 200 MB of transforms)."""


@dataclass(frozen=True, eq=False)
class WindowShifts:
    """How far field 0's content must move to lie on field 1's, window by window.

    centres: (N, 2) float64 (x, y) of the windows; shifts: (N, 2) float64 in pixels; scores: (N,) the correlation at the
    peak; margins: (N,) its height above the next best place; returns: (N,) pixels between a window's shift and that of
    the same ground found the other way round (forward-backward error).
    """

    centres: npt.NDArray[np.float64]
    shifts: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    margins: npt.NDArray[np.float64]
    returns: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centres)


def window_grid(height: int, width: int, size: int, step: int) -> npt.NDArray[np.intp]:
    """Return the top-left pixels (N, 2) as (x, y) of windows covering an image evenly, about `step` pixels apart."""

    def starts(length: int) -> npt.NDArray[np.intp]:
        count = max(1, -(-(length - size) // step) + 1) if length > size else 1
        return np.round(np.linspace(0, max(0, length - size), count)).astype(np.intp)

    xs, ys = np.meshgrid(starts(width), starts(height))
    return np.stack([xs.ravel(), ys.ravel()], axis=1)


def correlation_surfaces(
    field0: Tensor, field1: Tensor, corners: npt.NDArray[np.intp], size: int, radius: int, floor: float = 0.0
) -> Tensor:
    """Correlate each `size` x `size` window of `field0` (C x H x W) with `field1` (same shape) around its own place.

    `corners` (N, 2) are the windows' top-left pixels (x, y). Result: N x (2 radius + 1) squared; the middle is no
    shift. Beyond the fields there is no data. `floor`: see `correlate`.
    """
    template_field = F.pad(field0, (0, size, 0, size))
    search_field = F.pad(field1, (radius, radius + size, radius, radius + size))
    reach = size + 2 * radius
    per_batch = max(1, BATCH_VALUES // (field0.shape[0] * reach**2))
    parts = [field0.new_empty(0, 2 * radius + 1, 2 * radius + 1)]
    for start in range(0, len(corners), per_batch):
        batch = corners[start : start + per_batch].tolist()
        templates = torch.stack([template_field[:, y : y + size, x : x + size] for x, y in batch])
        searches = torch.stack([search_field[:, y : y + reach, x : x + reach] for x, y in batch])
        parts.append(correlate(templates, searches, floor))
    return torch.cat(parts)


def match_windows(
    field0: Tensor, field1: Tensor, corners: npt.NDArray[np.intp], size: int, radius: int, min_margin: float
) -> WindowShifts:
    """Find each window of `field0` in `field1` within `radius` pixels (see `correlation_surfaces`), and back where the
    margin is `min_margin` or more: elsewhere the way back is not gone, and its error infinite."""
    forward = find_peak(correlation_surfaces(field0, field1, corners, size, radius))
    sure = forward.margin >= min_margin
    backward = find_peak(correlation_surfaces(field1, field0, corners[sure.cpu().numpy()], size, radius))
    returns = torch.full_like(forward.value, torch.inf)
    returns[sure] = (forward.place[sure] + backward.place - 2 * radius).norm(dim=1)
    shifts = forward.place.double().cpu().numpy() - radius
    scores, margins, back = (values.double().cpu().numpy() for values in (forward.value, forward.margin, returns))
    return WindowShifts(corners.astype(np.float64) + (size - 1) / 2, shifts, scores, margins, back)
