"""The stages of training as modules whose call on a batch gives its losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from matcher.dense.feature_map import ENERGY_FLOOR, FeatureMapNetwork
from matcher.dense.matcher import DenseMatcher
from matcher.mapglue.config import MapGlueConfig
from matcher.mapglue.extractor import Features, Keypoints
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.model import GraphInput, MapGlue
from matcher.training.assignment_loss import assignment_loss, true_assignment
from matcher.training.batches import Batch
from matcher.training.config import TrainingConfig
from matcher.training.feature_map_loss import feature_map_losses
from matcher.training.losses import extractor_losses
from matcher.types import Matcher

INITIAL_TEMPERATURE, MAX_TEMPERATURE = 15.0, 50.0
"""Of the similarities of descriptors."""

WINDOW_TEMPERATURE, HOMOGRAPHY_TEMPERATURE = 40.0, 200.0
"""Initial temperatures of a window's correlation and of the mean of all windows'."""

MATCHER_KEYPOINTS = 384
"""Keypoints an image in the matcher stage: a crop's share of what an image has at inference."""


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


class MatcherStage(ExtractorStage):
    """Extractor and graphs together: the extractor keeps its own losses while the graphs are trained on its output."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            batch: P pairs of crops, on the module's device.

        Returns:
            As `losses` returns them, with the "assignment" of the graphs, which "total" then includes, and their
            "recall": the share of keypoints with a partner for which it is found.
        """
        features = self.model.extractor(batch.images)
        losses = self.losses(features, batch)
        keypoints = self.model.extractor.keypoints(features, MATCHER_KEYPOINTS, batch.masks)
        first, second = halves(keypoints)
        tokens0, tokens1 = features.tokens.chunk(2)
        masks0, masks1 = batch.masks.chunk(2)
        truth = true_assignment((first, second), batch.homographies, (masks0, masks1))
        layers = self.model.every_layer(GraphInput(first, tokens0), GraphInput(second, tokens1))
        assignment = torch.stack([assignment_loss(*layer, truth) for layer in layers]).mean()
        final = layers[-1][0]
        right = truth.partners.gather(2, final.argmax(2, keepdim=True))[..., 0]
        partnered = truth.partners.any(2)
        recall = (right & partnered).sum() / partnered.sum().clamp(min=1)
        return {**losses, "assignment": assignment, "recall": recall, "total": losses["total"] + assignment}


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
    return (MatcherStage if config.stage == "matcher" else ExtractorStage)(config.model())


def halves(keypoints: Keypoints) -> tuple[Keypoints, Keypoints]:
    """Split the keypoints of the first crops and of the second ones."""
    first, second = zip(*(value.chunk(2) for value in vars(keypoints).values()), strict=True)
    return Keypoints(*first), Keypoints(*second)
