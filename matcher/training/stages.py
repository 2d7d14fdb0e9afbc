"""The stages of training as modules whose call on a batch gives its losses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from matcher.dense.feature_map import ENERGY_FLOOR, FeatureMapNetwork
from matcher.dense.matcher import DenseMatcher
from matcher.mapglue.config import MapGlueConfig
from matcher.mapglue.extractor import Features, Keypoints
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.model import REACH, GraphInput, MapGlue
from matcher.training.assignment_loss import TrueAssignment, assignment_loss, true_assignment
from matcher.training.batches import Batch
from matcher.training.config import TrainingConfig
from matcher.training.feature_map_loss import feature_map_losses
from matcher.training.losses import extractor_losses
from matcher.types import Matcher

INITIAL_TEMPERATURE, MAX_TEMPERATURE = 15.0, 50.0
"""Of the similarities of descriptors."""

WINDOW_TEMPERATURE, HOMOGRAPHY_TEMPERATURE = 40.0, 200.0
"""Initial temperatures of a window's correlation and of the mean of all windows'."""

MATCHER_KEYPOINTS, GRAPH_KEYPOINTS = 384, 256
"""Keypoints an image in the stages matcher and graphs: a crop's share of what an image has at inference."""


class ExtractorStage(nn.Module):
    """The extractor with the temperature of its descriptors' similarities. The graphs are not trained."""

    def __init__(self, config: MapGlueConfig) -> None:
        super().__init__()
        self.model = MapGlue(config)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(INITIAL_TEMPERATURE)))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            batch: P pairs of crops, on the module's device.

        Returns:
            As `losses` returns them.
        """
        return self.losses(self.model.extractor(batch.images), batch)

    def matcher(self, device: torch.device) -> Matcher:
        """Return the matcher for validation: the network alone, on images that are rotated and scaled little."""
        return MapGlueMatcher("validation", device, mode="network", search=False, network=self.model)

    def losses(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return the extractor's losses.

        Args:
            features: What the extractor computed of the batch's 2P crops.
            batch: P pairs of crops.

        Returns:
            Scalars: the parts of `ExtractorLosses`, their weighted sum as "total", and the "temperature", for the
            record.
        """
        temperature = self.log_temperature.exp().clamp(max=MAX_TEMPERATURE)
        with torch.autocast(batch.images.device.type, enabled=False):
            losses = extractor_losses(features, batch.homographies, batch.masks, batch.labels, temperature)
        return {**vars(losses), "total": losses.total(), "temperature": temperature}


@dataclass
class GraphBatch:
    """What the graphs are trained on: the keypoints and tokens of both crops of each pair, and the true assignment."""

    first: GraphInput
    second: GraphInput
    truth: TrueAssignment


class MatcherStage(ExtractorStage):
    """Extractor and graphs together: the extractor keeps its own losses while the graphs are trained on its output."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            batch: P pairs of crops, on the module's device.

        Returns:
            As `losses` and `graph_losses` return them; "total" includes the "assignment".
        """
        features = self.model.extractor(batch.images)
        losses = self.losses(features, batch)
        graphs = graph_losses(self.model, self.graph_batch(features, batch, MATCHER_KEYPOINTS))
        return {**losses, **graphs, "total": losses["total"] + graphs["assignment"]}

    def graph_batch(self, features: Features, batch: Batch, count: int) -> GraphBatch:
        """Return what the graphs see of a batch.

        Args:
            features: What the extractor computed of the batch's 2P crops.
            batch: P pairs of crops.
            count: Most keypoints a crop.
        """
        first, second = halves(self.model.extractor.keypoints(features, count, batch.masks))
        tokens0, tokens1 = features.tokens.chunk(2)
        masks0, masks1 = batch.masks.chunk(2)
        truth = true_assignment((first, second), batch.homographies, (masks0, masks1))
        return GraphBatch(GraphInput(first, tokens0), GraphInput(second, tokens1), truth)


class GraphStage(MatcherStage):
    """The graphs alone, on crops that are nearly aligned, as the search leaves them: the extractor is frozen.

    Where the schedule repeats batches, what the extractor computed of each is kept in memory, some 2 MB a batch.
    """

    def __init__(self, config: MapGlueConfig, *, repeated: bool) -> None:
        """Make the stage.

        Args:
            config: Of the network.
            repeated: Whether batches come again.
        """
        super().__init__(config)
        self.log_temperature.requires_grad_(False)
        self.model.extractor.requires_grad_(False)
        self.repeated = repeated
        self.known: dict[int, GraphBatch] = {}

    def train(self, mode: bool = True) -> GraphStage:
        """Set the mode of the graphs; the extractor keeps the statistics of its batch normalisation."""
        super().train(mode)
        self.model.extractor.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            batch: P pairs of crops, on the module's device.

        Returns:
            As `graph_losses` returns them; "total" is the "assignment".
        """
        graphs = self.known.get(batch.number) or self._seen(batch)
        if self.repeated:
            self.known[batch.number] = graphs
        losses = graph_losses(self.model, graphs, REACH)
        return {**losses, "total": losses["assignment"]}

    @torch.no_grad()
    def _seen(self, batch: Batch) -> GraphBatch:
        found = self.graph_batch(self.model.extractor(batch.images, batch.masks), batch, GRAPH_KEYPOINTS)
        points0, points1 = found.first.keypoints.points, found.second.keypoints.points
        found.truth.partners &= torch.cdist(points0, points1) <= REACH
        return found


def graph_losses(model: MapGlue, batch: GraphBatch, reach: float | None = None) -> dict[str, Tensor]:
    """Return the losses of the graphs.

    Args:
        model: The network; its extractor is not used.
        batch: What the graphs see.
        reach: See `MapGlue.forward`.

    Returns:
        Scalars: the "assignment" loss, and the "recall": the share of keypoints with a partner for which it is found.
    """
    layers = model.every_layer(batch.first, batch.second, reach)
    assignment = torch.stack([assignment_loss(*layer, batch.truth) for layer in layers]).mean()
    final, partners = layers[-1][0], batch.truth.partners
    right = partners.gather(2, final.argmax(2, keepdim=True))[..., 0]
    partnered = partners.any(2)
    recall = (right & partnered).sum() / partnered.sum().clamp(min=1)
    return {"assignment": assignment, "recall": recall}


class FeatureMapStage(nn.Module):
    """The feature map network with the temperatures of its correlations."""

    def __init__(self) -> None:
        super().__init__()
        self.model = FeatureMapNetwork()
        self.log_temperature = nn.Parameter(torch.tensor(math.log(WINDOW_TEMPERATURE)))
        self.log_homography_temperature = nn.Parameter(torch.tensor(math.log(HOMOGRAPHY_TEMPERATURE)))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            batch: P pairs of crops, on the module's device.

        Returns:
            Scalars: the parts of `FeatureMapLosses`, the sum of both losses as "total", and the "temperature" of
            homographies.
        """
        features = self.model(batch.images, batch.masks)
        temperatures = self.log_temperature.exp(), self.log_homography_temperature.exp()
        with torch.autocast(batch.images.device.type, enabled=False):
            losses = feature_map_losses(features.float(), batch.masks, batch.homographies, *temperatures)
        return {**vars(losses), "total": losses.window + losses.homography, "temperature": temperatures[1]}

    def matcher(self, device: torch.device) -> Matcher:
        """Return the matcher for validation: the dense matcher on the feature maps."""
        return DenseMatcher(device, self.model, ENERGY_FLOOR)


TrainingStage = ExtractorStage | FeatureMapStage


def build_stage(config: TrainingConfig) -> TrainingStage:
    """Return the stage that a configuration asks for, with random weights."""
    if config.stage == "feature-map":
        return FeatureMapStage()
    if config.stage == "graphs":
        return GraphStage(config.model(), repeated=config.schedule.distinct is not None)
    return (MatcherStage if config.stage == "matcher" else ExtractorStage)(config.model())


def halves(keypoints: Keypoints) -> tuple[Keypoints, Keypoints]:
    """Split the keypoints of the first crops and of the second ones."""
    first, second = zip(*(value.chunk(2) for value in vars(keypoints).values()), strict=True)
    return Keypoints(*first), Keypoints(*second)
