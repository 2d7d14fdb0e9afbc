"""Windows of one feature map found in another, when both are nearly aligned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.dense.correlation import correlate, find_peak

BATCH_VALUES = {"cpu": 1_000_000}
"""Values of one batch of windows, all channels, by device: their transforms stay in a processor's caches."""

BATCH_VALUES_ELSEWHERE = 8_000_000
"""The same of other devices: this bounds memory, to some 200 MB of transforms."""


@dataclass(frozen=True, eq=False)
class WindowShifts:
    """How far each window of feature map 0 must move to lie on feature map 1.

    Attributes:
        centres: (N, 2) float64, centres (x, y) of the windows.
        shifts: (N, 2) float64, pixels.
        scores: (N,) float64, correlation at the peak.
        margins: (N,) float64, peak margin: height of the peak above the best place away from it.
        forward_backward: (N,) float64, forward-backward error: pixels between a window's shift and that of the same
            ground found from image 1 to image 0. Infinite where it was not measured.
    """

    centres: npt.NDArray[np.float64]
    shifts: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    margins: npt.NDArray[np.float64]
    forward_backward: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centres)


def window_grid(height: int, width: int, size: int, step: int) -> npt.NDArray[np.intp]:
    """Return the top-left pixels, (N, 2) as (x, y), of windows that cover an image evenly.

    Args:
        height: Height of the image, pixels.
        width: Width of the image, pixels.
        size: Side of the windows, pixels.
        step: Largest distance between neighbours, pixels.
    """

    def starts(length: int) -> npt.NDArray[np.intp]:
        count = max(1, -(-(length - size) // step) + 1) if length > size else 1
        return np.round(np.linspace(0, max(0, length - size), count)).astype(np.intp)

    xs, ys = np.meshgrid(starts(width), starts(height))
    return np.stack([xs.ravel(), ys.ravel()], axis=1)


def correlation_surfaces(
    features0: Tensor, features1: Tensor, corners: npt.NDArray[np.intp], size: int, radius: int, floor: float = 0.0
) -> Tensor:
    """Correlate each window of one feature map with the other around its own place.

    Args:
        features0: C x H x W; beyond it there is no data.
        features1: C x H x W.
        corners: (N, 2) top-left pixels (x, y) of the windows.
        size: Side of the windows, pixels.
        radius: Largest shift in x and y, pixels.
        floor: Energy floor, see `correlate`.

    Returns:
        N x (2 radius + 1) x (2 radius + 1) correlations; the middle is no shift.
    """
    templates_from = F.pad(features0, (0, size, 0, size))
    searches_from = F.pad(features1, (radius, radius + size, radius, radius + size))
    reach = size + 2 * radius
    values = BATCH_VALUES.get(features0.device.type, BATCH_VALUES_ELSEWHERE)
    per_batch = max(1, values // (features0.shape[0] * reach**2))
    parts = [features0.new_empty(0, 2 * radius + 1, 2 * radius + 1)]
    for start in range(0, len(corners), per_batch):
        batch = corners[start : start + per_batch].tolist()
        templates = torch.stack([templates_from[:, y : y + size, x : x + size] for x, y in batch])
        searches = torch.stack([searches_from[:, y : y + reach, x : x + reach] for x, y in batch])
        parts.append(correlate(templates, searches, floor))
    return torch.cat(parts)


def match_windows(
    features0: Tensor,
    features1: Tensor,
    corners: npt.NDArray[np.intp],
    size: int,
    radius: int,
    min_margin: float,
    exclusion: int = 6,
) -> WindowShifts:
    """Find each window of one feature map in the other, and back again.

    Args:
        features0: As for `correlation_surfaces`.
        features1: As for `correlation_surfaces`.
        corners: As for `correlation_surfaces`.
        size: As for `correlation_surfaces`.
        radius: As for `correlation_surfaces`.
        min_margin: Least peak margin of the windows whose forward-backward error is measured.
        exclusion: Pixels around a peak that its margin leaves out, see `find_peak`.

    Returns:
        The windows' shifts.
    """
    forward = find_peak(correlation_surfaces(features0, features1, corners, size, radius), exclusion)
    clear = forward.margin >= min_margin
    backward = find_peak(correlation_surfaces(features1, features0, corners[clear.cpu().numpy()], size, radius))
    errors = torch.full_like(forward.value, torch.inf)
    errors[clear] = (forward.place[clear] + backward.place - 2 * radius).norm(dim=1)
    shifts = forward.place.double().cpu().numpy() - radius
    scores, margins, back = (values.double().cpu().numpy() for values in (forward.value, forward.margin, errors))
    return WindowShifts(corners.astype(np.float64) + (size - 1) / 2, shifts, scores, margins, back)
