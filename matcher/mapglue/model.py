"""MapGlue: the extractor, the semantic graph, the keypoint graph and the assignment, in one module."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from matcher.mapglue.assignment import Assignment
from matcher.mapglue.config import GRAPH_STRIDE, MapGlueConfig
from matcher.mapglue.extractor import Keypoints, SaliencyEnhancedSuperPoint, sample
from matcher.mapglue.graphs import KeypointLayer, KeypointStates, SemanticGraph, node_agreement, node_at
from matcher.mapglue.layers import RotaryPositions

EXIT_SHARE = 0.95
"""Stop early when this share of the keypoints is confident whether it has a match."""

CONFIDENT = 0.95
"""A keypoint is confident if it is matchable, or not matchable, with at least this probability."""

PRUNED_BELOW = 0.05
"""A keypoint less matchable than this is dropped between layers."""

MIN_TO_PRUNE = 512
"""Pruning fewer keypoints takes longer than it saves."""

REACH = 32.0
"""Most pixels between the places of a match in two images that the search has aligned."""


@dataclass
class GraphInput:
    """One image of each pair of a batch.

    Attributes:
        keypoints: Its keypoints.
        tokens: B x C x h x w semantic tokens at stride 16.
    """

    keypoints: Keypoints
    tokens: Tensor


@dataclass
class Assigned:
    """The assignment of two sets of keypoints.

    Attributes:
        log_probability: B x M0 x M1.
        index0: B x M0, keypoints of image 0 that were not pruned.
        index1: B x M1, keypoints of image 1 that were not pruned.
        layers: How many layers ran.
    """

    log_probability: Tensor
    index0: Tensor
    index1: Tensor
    layers: int


class MapGlue(nn.Module):
    """The network: `extractor` describes images one by one, the rest matches two sets of keypoints."""

    def __init__(self, config: MapGlueConfig) -> None:
        super().__init__()
        self.config = config
        self.extractor = SaliencyEnhancedSuperPoint(config)
        self.enter = nn.Linear(config.descriptor, config.graph_width)
        if config.descriptor == config.graph_width:
            nn.init.eye_(self.enter.weight)
            nn.init.zeros_(self.enter.bias)
        self.positions = RotaryPositions(config.graph_width // config.heads)
        self.semantic_graph = SemanticGraph(config)
        self.layers = nn.ModuleList(KeypointLayer(config) for _ in range(config.graph_layers))
        self.assignments = nn.ModuleList(Assignment(config.graph_width) for _ in range(config.graph_layers))
        self.guidance = nn.Parameter(torch.zeros(()))

    def forward(self, image0: GraphInput, image1: GraphInput, reach: float | None = None) -> Assigned:
        """Match the images of pairs; stops early and prunes if the configuration says so and the batch is one pair.

        Args:
            image0: First image of each pair, its keypoints padded to N0.
            image1: Second image of each pair, its keypoints padded to N1.
            reach: Of images that are nearly aligned: keypoints whose places differ by more pixels do not match.

        Returns:
            Log-probabilities of the keypoints that are left; `index0` and `index1` say which these are.
        """
        sides, bias = self.begin(image0, image1, reach)
        index = [torch.arange(side.states.shape[1], device=side.states.device)[None] for side in sides]
        index = [i.expand(len(side.states), -1) for i, side in zip(index, sides, strict=True)]
        may_prune = self.config.early_exit and len(sides[0].states) == 1
        for number, (layer, assignment) in enumerate(zip(self.layers, self.assignments, strict=True), 1):
            assert isinstance(assignment, Assignment)
            sides[0].states, sides[1].states = layer(*sides)
            if number == len(self.layers) or not may_prune:
                continue
            matchable = [assignment.matchability(side.states) for side in sides]
            if self._confident(matchable):
                break
            for side, probability in enumerate(matchable):
                kept = (probability[0] > PRUNED_BELOW).nonzero()[:, 0][None]
                if probability.shape[1] > MIN_TO_PRUNE and 0 < kept.shape[1] < probability.shape[1]:
                    sides[side] = sides[side].keep(kept)
                    index[side] = index[side].gather(1, kept)
                    if bias is not None:
                        bias = bias.index_select(side + 1, kept[0])
        masks = sides[0].mask, sides[1].mask
        log_probability = self.assignments[number - 1](sides[0].states, sides[1].states, masks, bias)
        return Assigned(log_probability, index[0], index[1], number)

    def every_layer(
        self, image0: GraphInput, image1: GraphInput, reach: float | None = None
    ) -> list[tuple[Tensor, tuple[Tensor, Tensor]]]:
        """Return what each layer would answer, for the loss; nothing is pruned.

        Args:
            image0: First image of each pair, its keypoints padded to N0.
            image1: Second image of each pair, its keypoints padded to N1.
            reach: As for `forward`.

        Returns:
            For each layer the log-probabilities, B x N0 x N1, and both images' matchability logits, B x N0 and B x N1.
        """
        sides, bias = self.begin(image0, image1, reach)
        masks = sides[0].mask, sides[1].mask
        found = []
        for layer, assignment in zip(self.layers, self.assignments, strict=True):
            assert isinstance(assignment, Assignment)
            sides[0].states, sides[1].states = layer(*sides)
            states0, states1 = sides[0].states, sides[1].states
            matchable = assignment.matchable(states0)[..., 0].float(), assignment.matchable(states1)[..., 0].float()
            found.append((assignment(states0, states1, masks, bias), matchable))
        return found

    def begin(
        self, image0: GraphInput, image1: GraphInput, reach: float | None = None
    ) -> tuple[list[KeypointStates], Tensor | None]:
        """Return both images' keypoints before the first layer, and the bias (B x N0 x N1) of their similarities.

        Args:
            image0: First image of each pair, its keypoints padded to N0.
            image1: Second image of each pair, its keypoints padded to N1.
            reach: As for `forward`.

        Returns:
            States of image 0 and of image 1, and B x N0 x N1 float32, -inf beyond reach; None without a semantic graph
            and a reach.
        """
        sides, bias = self._guided(image0, image1)
        if reach is not None:
            distance = torch.cdist(image0.keypoints.points, image1.keypoints.points)
            bias = (torch.zeros_like(distance) if bias is None else bias).masked_fill(distance > reach, -torch.inf)
        return sides, bias

    def _guided(self, image0: GraphInput, image1: GraphInput) -> tuple[list[KeypointStates], Tensor | None]:
        """Return both images' keypoints and the bias of their similarities by the semantic graph, if there is one."""
        images = image0, image1
        if not self.config.semantic_graph:
            return [self._side(image.keypoints, None) for image in images], None
        nodes0, nodes1, agreement = self.semantic_graph(image0.tokens, image1.tokens)
        sides, nodes = [], []
        for image, grid in zip(images, (nodes0, nodes1), strict=True):
            points = image.keypoints.points
            sides.append(self._side(image.keypoints, sample(grid.float(), points, GRAPH_STRIDE)))
            nodes.append(node_at(points, grid.shape[-1], grid.shape[-1] * grid.shape[-2]))
        return sides, self.guidance * node_agreement(agreement.float(), nodes[0], nodes[1])

    def _side(self, keypoints: Keypoints, guidance: Tensor | None) -> KeypointStates:
        states = self.enter(keypoints.descriptors)
        return KeypointStates(states, keypoints.mask, self.positions(keypoints.points), guidance)

    @staticmethod
    def _confident(matchable: list[Tensor]) -> bool:
        decided = torch.cat([(p > CONFIDENT) | (p < 1 - CONFIDENT) for p in matchable], 1)
        return bool(decided.float().mean() > EXIT_SHARE)
