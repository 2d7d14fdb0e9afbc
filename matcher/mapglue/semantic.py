"""Semantic context: the kind of land cover of each part of an image, added to the descriptors of that part.

The paper states that semantic context joins a dual graph for global-to-local interaction. Ours: tokens of 16 px that
attend to each other over the whole image and are supervised with the label rasters of synthetic scenes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from matcher.mapglue.config import SEMANTIC_STRIDE, MapGlueConfig
from matcher.mapglue.layers import Attention, RotaryPositions, convolution
from raster.pixels import rescaled


class SemanticContext(nn.Module):
    """From the descriptor grid (stride 8) to semantic tokens (stride 16), and back to the grid as context."""

    def __init__(self, config: MapGlueConfig) -> None:
        super().__init__()
        width = config.width
        self.down = convolution(width, width, stride=2)
        self.positions = RotaryPositions(width // config.heads)
        self.layers = nn.ModuleList(Attention(width, config.heads) for _ in range(config.semantic_layers))
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, config.classes)
        self.back = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.back.weight)
        assert self.back.bias is not None
        nn.init.zeros_(self.back.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gather context from all over the image, by attention among coarse tokens.

        Args:
            features: B x C x h x w at stride `STRIDE`, h and w even.

        Returns:
            The context to add to the features, B x C x h x w; the tokens, B x C x h/2 x w/2; and their class logits, B
            x classes x h/2 x w/2.
        """
        grid = self.down(features)
        height, width = grid.shape[-2:]
        rotation = self.positions(cell_centres(height, width, SEMANTIC_STRIDE, grid.device)[None])
        tokens = grid.flatten(2).transpose(1, 2)  # B x T x C
        for layer in self.layers:
            tokens = layer(tokens, tokens, rotations=(rotation, rotation))
        tokens = self.norm(tokens)
        logits = self.classify(tokens).transpose(1, 2).unflatten(2, (height, width))
        tokens = tokens.transpose(1, 2).unflatten(2, (height, width))
        context = F.interpolate(self.back(tokens), scale_factor=2.0, mode="bilinear", align_corners=False)
        return context, tokens, logits


def cell_centres(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """Return the pixel (x, y) of the centres of height x width cells, row by row: (height * width) x 2 float32.

    Args:
        height: Cells in a column.
        width: Cells in a row.
        stride: Pixels to a side of a cell; 1 gives the pixels themselves.
        device: Of the result.

    Returns:
        (height * width) x 2 float32, (0, 0) the centre of the top-left pixel: that of the first cell is (stride - 1) /
        2.
    """
    rows = torch.arange(height, device=device, dtype=torch.float32)
    columns = torch.arange(width, device=device, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).reshape(-1, 2)
    return rescaled(grid, stride)
