"""The few layers that the network is made of: convolution blocks, rotary positions, attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a 3 x 3 convolution, batch normalisation and GELU.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: 1 keeps the resolution, 2 halves it (rounded up).
        dilation: Pixels between the taps; the padding keeps the size.
    """
    conv = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.GELU())


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a skip; the second is zero at first, so a new block is the identity."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        """Make a block that changes nothing yet.

        Args:
            width: Channels in and out.
            dilation: Of the first convolution, pixels.
        """
        super().__init__()
        self.first = convolution(width, width, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape.

        Args:
            x: B x width x H x W.

        Returns:
            B x width x H x W.
        """
        return F.gelu(x + self.norm(self.second(self.first(x))))


class RotaryPositions(nn.Module):
    """Rotary encoding of 2-D positions with learned frequencies (as in LightGlue): attention sees differences only."""

    UNIT = 64.0
    """Pixels that turn a frequency of 1 by one radian."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.frequencies = nn.Linear(2, head_width // 2, bias=False)
        nn.init.normal_(self.frequencies.weight, std=1.0)

    def forward(self, points: Tensor) -> Tensor:
        """Return the cosines and sines, 2 x B x 1 x N x D/2, of points B x N x 2 in pixels.

        Args:
            points: B x N x 2, x, y in pixels; any origin does, for attention sees differences only.

        Returns:
            2 x B x 1 x N x D/2 in the type of the points, D the width of a head.
        """
        angles = F.linear(points / self.UNIT, self.frequencies.weight.to(points.dtype))[:, None]
        return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn the pairs (x[d], x[d + D/2]) of B x heads x N x D by the angles of `RotaryPositions`.

    Args:
        x: B x heads x N x D queries or keys.
        rotation: 2 x B x 1 x N x D/2 cosines and sines.

    Returns:
        The shape and type of `x`.
    """
    cosine, sine = rotation.to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)


class Attention(nn.Module):
    """Multi-head attention from `x` to `source` and a feed-forward update of `x`; starts as the identity.

    Self-attention is `source is x` with rotary positions on both; cross-attention has them only where the images are
    nearly aligned, as positions of others do not compare. `mask` (B x M bool) says which sources are real; with no real
    source the message is zero.
    """

    def __init__(self, width: int, heads: int) -> None:
        """Make a layer that changes nothing yet.

        Args:
            width: Channels C of `x` and of the sources.
            heads: A divisor of the width.
        """
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        last = nn.Linear(2 * width, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.update = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.LayerNorm(2 * width), nn.GELU(), last)

    def forward(
        self,
        x: Tensor,
        source: Tensor,
        mask: Tensor | None = None,
        rotations: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the updated x.

        Args:
            x: B x N x C.
            source: B x M x C.
            mask: B x M bool, which sources are no padding.
            rotations: Positions of `x` and of the sources, see `RotaryPositions`.

        Returns:
            B x N x C.
        """
        query, key, value = self._split(self.query(x)), self._split(self.key(source)), self._split(self.value(source))
        if rotations is not None:
            query, key = rotate(query, rotations[0]), rotate(key, rotations[1])
        allowed = None if mask is None else mask[:, None, None, :]
        message = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        if mask is not None:
            message = message.nan_to_num()
        message = self.output(message.transpose(1, 2).flatten(2))
        return x + self.update(torch.cat([x, message], -1))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B x heads x N x D
