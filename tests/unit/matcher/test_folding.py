"""Batch normalisations folded into convolutions change nothing but the number of modules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from matcher.dense.feature_map import FeatureMapConfig, FeatureMapNetwork
from matcher.folding import folded
from matcher.mapglue.config import MapGlueConfig
from matcher.mapglue.model import MapGlue

pytestmark = pytest.mark.unit


def trained(network: nn.Module) -> nn.Module:
    """Return it with statistics and weights of normalisations that are not those of a new one."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                values.uniform_(0.5, 1.5)
    return network.eval()


@torch.no_grad()
def test_folded_networks_compute_the_same() -> None:
    torch.manual_seed(0)
    image, mask = torch.rand(1, 3, 64, 96), torch.ones(1, 1, 64, 96, dtype=torch.bool)
    feature_map = trained(FeatureMapNetwork(FeatureMapConfig(width=8)))
    extractor = trained(
        MapGlue(MapGlueConfig("tiny", stem=(8, 16), width=16, dilations=(1, 2), descriptor=16))
    ).extractor
    torch.testing.assert_close(folded(feature_map)(image, mask), feature_map(image, mask), atol=1e-4, rtol=1e-4)
    found, expected = folded(extractor)(image), extractor(image)
    torch.testing.assert_close(found.descriptors, expected.descriptors, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.detection, expected.detection, atol=1e-4, rtol=1e-4)
    for network in (feature_map, extractor):
        assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(network).modules())
