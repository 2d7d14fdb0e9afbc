"""The dual graph: a semantic graph over coarse tokens guides a graph over keypoints.

The paper states a dual graph-guided mechanism for global-to-local interaction. Ours: the nodes (tokens of 32 px;
keypoints), attention within and across the two images in both, and the two ways of guidance: the state of a keypoint's
semantic node is added to its own, and pairs of keypoints whose nodes agree are preferred in the assignment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from matcher.mapglue.config import GRAPH_STRIDE, MapGlueConfig
from matcher.mapglue.layers import Attention, RotaryPositions
from matcher.mapglue.semantic import cell_centres
from raster.pixels import to_corner


class SemanticGraph(nn.Module):
    """The global graph: attention within and across the semantic tokens of two images."""

    def __init__(self, config: MapGlueConfig) -> None:
        super().__init__()
        width = config.graph_width
        self.cross_positions = config.cross_positions
        self.enter = nn.Linear(config.width, width)
        self.positions = RotaryPositions(width // config.heads)
        self.within = nn.ModuleList(Attention(width, config.heads) for _ in range(config.semantic_graph_layers))
        self.across = nn.ModuleList(Attention(width, config.heads) for _ in range(config.semantic_graph_layers))
        self.agree = nn.Linear(width, width)

    def forward(self, tokens0: Tensor, tokens1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the nodes of both images, B x C x t x t' each, and their agreement, B x T0 x T1, a logit.

        Tokens are B x C x h x w at stride 16; nodes are means of 2 x 2 of them.

        Args:
            tokens0: B x C x h x w of image 0, at stride `SEMANTIC_STRIDE`, h and w even.
            tokens1: B x C x h' x w' of image 1, of any size.
        """
        (nodes0, shape0, rotation0), (nodes1, shape1, rotation1) = self._nodes(tokens0), self._nodes(tokens1)
        there = (rotation0, rotation1) if self.cross_positions else None
        back = (rotation1, rotation0) if self.cross_positions else None
        for within, across in zip(self.within, self.across, strict=True):
            nodes0, nodes1 = (
                within(nodes0, nodes0, rotations=(rotation0, rotation0)),
                within(nodes1, nodes1, rotations=(rotation1, rotation1)),
            )
            nodes0, nodes1 = across(nodes0, nodes1, rotations=there), across(nodes1, nodes0, rotations=back)
        first, second = self.agree(nodes0), self.agree(nodes1)
        agreement = first @ second.transpose(1, 2) / math.sqrt(first.shape[-1])
        return (
            nodes0.transpose(1, 2).unflatten(2, shape0),
            nodes1.transpose(1, 2).unflatten(2, shape1),
            agreement,
        )

    def _nodes(self, tokens: Tensor) -> tuple[Tensor, tuple[int, int], Tensor]:
        pooled = F.avg_pool2d(tokens, 2)
        height, width = pooled.shape[-2:]
        rotation = self.positions(cell_centres(height, width, GRAPH_STRIDE, tokens.device)[None])
        return self.enter(pooled.flatten(2).transpose(1, 2)), (height, width), rotation


class KeypointLayer(nn.Module):
    """A layer of the local graph: guidance by the semantic nodes, then attention within the image, then to the
    other."""

    def __init__(self, config: MapGlueConfig) -> None:
        super().__init__()
        width = config.graph_width
        self.cross_positions = config.cross_positions
        self.guide = nn.Linear(width, width)
        self.within = Attention(width, config.heads)
        self.across = Attention(width, config.heads)
        nn.init.zeros_(self.guide.weight)
        nn.init.zeros_(self.guide.bias)

    def forward(self, first: KeypointStates, second: KeypointStates) -> tuple[Tensor, Tensor]:
        """Update the states of both images' keypoints.

        Args:
            first: N0 keypoints of image 0; read only.
            second: N1 keypoints of image 1; read only.

        Returns:
            New states, B x N0 x C and B x N1 x C; those of padding mean nothing.
        """
        guided = (
            side.states if side.guidance is None else side.states + self.guide(side.guidance)
            for side in (first, second)
        )
        states0, states1 = (
            self.within(states, states, side.mask, (side.rotation, side.rotation))
            for states, side in zip(guided, (first, second), strict=True)
        )
        there = (first.rotation, second.rotation) if self.cross_positions else None
        back = (second.rotation, first.rotation) if self.cross_positions else None
        return self.across(states0, states1, second.mask, there), self.across(states1, states0, first.mask, back)


@dataclass
class KeypointStates:
    """The keypoints of one image between the layers of the graph.

    Attributes:
        states: B x N x C.
        mask: B x N bool, which keypoints are no padding.
        rotation: Their positions, see `RotaryPositions`.
        guidance: B x N x C, states of their semantic nodes; None without a semantic graph.
    """

    states: Tensor
    mask: Tensor
    rotation: Tensor
    guidance: Tensor | None

    def keep(self, index: Tensor) -> KeypointStates:
        """Return only some keypoints.

        Args:
            index: B x M, positions among the N; the order is taken over.
        """

        def chosen(x: Tensor) -> Tensor:
            return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))

        rotation = self.rotation.gather(3, index[None, :, None, :, None].expand(2, -1, 1, -1, self.rotation.shape[-1]))
        guidance = None if self.guidance is None else chosen(self.guidance)
        return KeypointStates(chosen(self.states), self.mask.gather(1, index), rotation, guidance)


def node_at(points: Tensor, width: int, count: int) -> Tensor:
    """Return the index, B x N, of the semantic node (of `count`, `width` in a row) in which each pixel B x N x 2
    lies.

    Args:
        points: B x N x 2, x, y in pixels of the padded image, (0, 0) the centre of the top-left pixel.
        width: Nodes in a row.
        count: Nodes in all; a point outside gets a node that is there.

    Returns:
        B x N int64, nodes counted row by row.
    """
    cell = torch.div(to_corner(points), GRAPH_STRIDE, rounding_mode="floor").long()
    return (cell[..., 1] * width + cell[..., 0]).clamp(0, count - 1)


def node_agreement(agreement: Tensor, index0: Tensor, index1: Tensor) -> Tensor:
    """Return, B x N0 x N1, the agreement (B x T0 x T1) of the nodes `index0`, B x N0, and `index1`, B x N1.

    Args:
        agreement: B x T0 x T1 logits, for the nodes of both images.
        index0: B x N0, the node of each keypoint of image 0.
        index1: B x N1, the node of each keypoint of image 1.
    """
    rows = agreement.gather(1, index0[..., None].expand(-1, -1, agreement.shape[2]))
    return rows.gather(2, index1[:, None].expand(-1, rows.shape[1], -1))
