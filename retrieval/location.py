"""Encoding places on the globe (GeoCLIP; Vivanco Cepeda, Nayak and Shah, NeurIPS 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
"""Coefficients of the Equal Earth projection (Savric, Patterson and Jenny, 2018)."""
_SCALE = 66.50336
"""GeoCLIP's factor from radians of the projected plane to the inputs of its Fourier features, over 180."""


def equal_earth(lonlat: Tensor) -> Tensor:
    """Project places by Equal Earth, scaled as GeoCLIP's encoder expects it.

    Args:
        lonlat: (N, 2) degrees.

    Returns:
        (N, 2), about -1 to 1 along each axis.
    """
    lon, lat = torch.deg2rad(lonlat[:, 0]), torch.deg2rad(lonlat[:, 1])
    sine = math.sqrt(3) / 2 * torch.sin(lat)
    theta = torch.asin(sine)
    squared = theta * theta
    sixth = squared**3
    denominator = 3 * (9 * _A4 * sixth * squared + 7 * _A3 * sixth + 3 * _A2 * squared + _A1)
    x = 2 * math.sqrt(3) * lon * torch.cos(theta) / denominator
    y = _A4 * theta**9 + _A3 * theta**7 + _A2 * theta**3 + _A1 * theta
    return torch.stack([x, y], dim=1) * (_SCALE / 180)


class LocationEncoder(nn.Module):
    """Random Fourier features of several scales, each through a network of its own, summed."""

    def __init__(self, dimensions: int, scales: tuple[float, ...] = (1.0, 16.0, 256.0), features: int = 128) -> None:
        """Draw the frequencies.

        Args:
            dimensions: Length of an embedding.
            scales: Standard deviation of the frequencies of each part; a greater one tells nearer places apart.
            features: Frequencies of each part.
        """
        super().__init__()
        self.dimensions = dimensions
        self.parts = nn.ModuleList(
            nn.Sequential(
                nn.Linear(2 * features, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, dimensions)
            )
            for _ in scales
        )
        for number, scale in enumerate(scales):
            generator = torch.Generator().manual_seed(number)
            frequencies = torch.randn((2, features), generator=generator) * scale
            self.register_buffer(f"frequencies{number}", frequencies)

    def forward(self, lonlat: Tensor) -> Tensor:
        """Encode places (N, 2) in degrees: (N, dimensions).

        Args:
            lonlat: (N, 2) longitude and latitude, degrees, WGS84.

        Returns:
            (N, dimensions), not of unit length.
        """
        plane = equal_earth(lonlat)
        total: Tensor | None = None
        for number, part in enumerate(self.parts):
            angles = 2 * math.pi * plane @ getattr(self, f"frequencies{number}")
            encoded = part(torch.cat([torch.cos(angles), torch.sin(angles)], dim=1))
            total = encoded if total is None else total + encoded
        assert total is not None
        return total
