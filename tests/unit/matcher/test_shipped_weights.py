"""The shipped weights load, match, and leave the final pairs alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from matcher import load_matcher
from matcher.mapglue.weights import SHIPPED

pytestmark = pytest.mark.unit


def test_fast_mapglue_loads_and_matches_an_image_with_itself() -> None:
    matcher = load_matcher("fast-mapglue", "cpu")
    image = np.kron(np.random.default_rng(0).integers(0, 255, (14, 14, 3)), np.ones((14, 14, 1))).astype(np.uint8)
    matches = matcher.match(image, image)
    assert len(matches) > 100
    assert np.median(np.linalg.norm(matches.points0 - matches.points1, axis=1)) < 2


def test_the_shipped_weights_are_small_and_their_data_is_recorded() -> None:
    files = list(SHIPPED.glob("*.safetensors"))
    assert files
    assert sum(path.stat().st_size for path in files) < 30e6
    record = json.loads((SHIPPED / "training-data.json").read_text())
    for path in files:
        assert (SHIPPED / f"{path.stem}.md").is_file()
        assert "SRIF" in record[path.stem]["never"]
        for tiles in record[path.stem]["tiles"]:
            eastern = {16: 34519, 17: 69038, 18: 138076}[tiles["zoom"]]  # Landquart's validation part
            landquart = tiles["y"][0] < 92300 >> (18 - tiles["zoom"])
            assert not landquart or tiles["x"][1] < eastern
