"""The extractor through torch.compile beside the same extractor without it."""

from __future__ import annotations

import os
import shutil
from copy import deepcopy

import pytest
import torch
from rectangles import scene

from matcher.mapglue.config import MapGlueConfig
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.model import MapGlue

COMPILER = os.environ.get("CXX", "g++")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C++ compiler: {COMPILER} is not installed"),
]

CPU = torch.device("cpu")
TINY = MapGlueConfig(
    "fast-mapglue",
    stem=(8, 16),
    width=16,
    dilations=(),
    descriptor=16,
    semantic_layers=1,
    graph_width=16,
    graph_layers=1,
)
SIZES = (128, 192), (190, 256)
"""Height and width, padded to 192 x 256. In float32 on a CPU torch convolves up to 20,480 values by other code, and
compiles again beyond: both images' layers lie on the same sides of that."""
FLOAT32 = {"gradients": 1e-5, "saliency": 1e-5}
"""Largest difference of what is computed in float32. The rest may be computed in bfloat16, whose 8 binary digits
the compiled code rounds in other places: 3% of a feature's largest value."""


def test_the_compiled_extractor_gives_the_features_of_the_eager_one_at_any_size() -> None:
    torch.manual_seed(0)
    network = MapGlue(TINY)
    eager = MapGlueMatcher("tiny", CPU, network=deepcopy(network))
    compiled = MapGlueMatcher("tiny", CPU, compiled=True, network=network)
    images = [scene(width)[:height] for height, width in SIZES]
    compiled.encode(images[0])
    with torch.compiler.set_stance("fail_on_recompile"):
        features = [vars(compiled.encode(image).features) for image in images]
    for image, found in zip(images, features, strict=True):
        for name, expected in vars(eager.encode(image).features).items():
            tolerance = FLOAT32.get(name, 0.03 * float(expected.abs().max()))
            torch.testing.assert_close(found[name], expected, atol=tolerance, rtol=0)
