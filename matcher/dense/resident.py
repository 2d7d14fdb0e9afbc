"""Values that stay where they were computed: homographies, warps by them, and results that are fetched together.

On the host whatever is computed is known at once, and OpenCV warps fastest. Any other device goes on while the host
waits for nothing: homographies remain there, and so do the warps by them. Sizes, which the host must know, are then
chosen by the last homography that it has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raster.homography import FloatArray, Matrix, inverse, normalised

T = TypeVar("T")

HOST = "cpu"
"""The kind of device whose values are known without a copy."""


def on_host(device: torch.device) -> bool:
    """Return whether values on a device are known without a copy.

    Args:
        device: Where they are.
    """
    return device.type == HOST


@dataclass(frozen=True, eq=False)
class Homography:
    """A homography that the host may not know yet.

    Attributes:
        values: 3 x 3 float64, where it was computed.
        known: The last one before it that the host knows; on the host the homography itself.
    """

    values: Tensor
    known: Matrix

    @classmethod
    def at(cls, matrix: Matrix, device: torch.device) -> Homography:
        """Return a homography that the host knows, on a device.

        Args:
            matrix: 3 x 3.
            device: Where it is needed.
        """
        return cls(torch.from_numpy(np.asarray(matrix, np.float64)).to(device), matrix)

    def after(self, change: Tensor, frame: Matrix) -> Homography:
        """Return this homography followed by a change.

        Args:
            change: 3 x 3 float64, between pixels of `frame`.
            frame: 3 x 3, to these pixels from those to which this homography leads.
        """
        if on_host(self.values.device):
            return Homography.at(normalised(inverse(frame) @ change.numpy() @ (frame @ self.known)), change.device)
        to_frame, back = (torch.from_numpy(matrix).to(change.device) for matrix in (frame, inverse(frame)))
        values = back @ change @ to_frame @ self.values
        return Homography(values / values[2, 2], self.known)

    def unless(self, flag: Tensor, other: Homography) -> Homography:
        """Return this homography, or another one where a flag is true.

        Args:
            flag: Bool of no dimension, where both homographies are.
            other: Between the same images.
        """
        if on_host(flag.device):
            return other if flag else self
        return replace(self, values=torch.where(flag, other.values, self.values))


@dataclass(frozen=True, eq=False)
class Deferred(Generic[T]):
    """A result whose values are not fetched yet.

    Attributes:
        values: All that the host needs, N float64.
        finish: Makes the result of the fetched values.
    """

    values: Tensor
    finish: Callable[[FloatArray], T]

    @classmethod
    def of(cls, result: T) -> Deferred[T]:
        """Return a result that the host has already.

        Args:
            result: What `finish` shall return.
        """
        return cls(torch.zeros(0, dtype=torch.float64), lambda _: result)


def fetched(*results: Deferred[Any]) -> tuple[Any, ...]:
    """Return results, all fetched by one copy to the host.

    Args:
        results: Of any kinds, on one device.
    """
    if not results:
        return ()
    values = torch.cat([result.values for result in results]).cpu().numpy()
    ends = np.cumsum([len(result.values) for result in results])
    parts = np.split(values, ends[:-1])
    return tuple(result.finish(part) for result, part in zip(results, parts, strict=True))


def sampled(image: Tensor, to_source: Tensor, size: tuple[int, int], padding: str = "zeros") -> tuple[Tensor, Tensor]:
    """Sample an image at the places to which a homography leads, bilinearly.

    Args:
        image: 1 x C x H x W float.
        to_source: 3 x 3 float64, pixels of the result -> pixels of the image.
        size: Width and height of the result, pixels.
        padding: What lies beyond the image, see `torch.nn.functional.grid_sample`.

    Returns:
        1 x C x h x w, and 1 x 1 x h x w bool: whether the pixel nearest to the place is one of the image.
    """
    height, width = image.shape[-2:]
    y, x = (torch.arange(length, dtype=torch.float64, device=image.device) for length in size[::-1])
    rows = torch.stack([*torch.meshgrid(x, y, indexing="xy"), torch.ones(len(y), len(x)).to(y)], -1) @ to_source.T
    places = torch.where(rows[..., 2:] > 0, rows[..., :2] / rows[..., 2:], -1e6)
    extent = places.new_tensor([width, height])
    inside = ((places > -0.5) & (places < extent - 0.5)).all(-1)
    grid = ((2 * places + 1) / extent - 1).clamp(-9, 9).to(image.dtype)
    return F.grid_sample(image, grid[None], padding_mode=padding, align_corners=False), inside[None, None]
