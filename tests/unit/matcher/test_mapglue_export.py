"""The exported file beside the model, and what early exit and pruning leave unchanged."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rectangles import scene

from matcher.mapglue.export import export_torchscript
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.model import MapGlue
from matcher.mapglue.weights import load_model

pytestmark = pytest.mark.unit


def in_whole(network: MapGlue) -> MapGlue:
    """The same weights, every layer run on every keypoint."""
    whole = MapGlue(replace(network.config, early_exit=False)).eval()
    whole.load_state_dict(network.state_dict())
    return whole


def ends(network: MapGlue, image0: np.ndarray, image1: np.ndarray, count: int) -> np.ndarray:
    """Return the single pass's matches as sorted rows x0, y0, x1, y1."""
    matcher = MapGlueMatcher(network.config.name, torch.device("cpu"), count, mode="single-pass", network=network)
    found = matcher.match(image0, image1)
    rows = np.hstack([found.points0, found.points1])
    return rows[np.lexsort(rows.T)]


def test_the_exported_file_gives_the_matches_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file computes in float32, the matcher in bf16 where it may: without autocast both give the same matches."""
    network = load_model("fast-mapglue")
    export_torchscript(network, tmp_path / "fast-mapglue.pt")
    exported = torch.jit.load(str(tmp_path / "fast-mapglue.pt"))
    image0, image1 = scene(224), cv2.warpAffine(scene(224), np.array([[1, 0.05, 3], [-0.05, 1, 6.0]]), (250, 230))
    found = exported(torch.from_numpy(image0), torch.from_numpy(image1), 256).numpy()
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    expected = ends(in_whole(network), image0, image1, 256)
    assert len(expected) > 50
    np.testing.assert_allclose(found[np.lexsort(found.T)], expected, atol=0.05)


def test_pruning_and_early_exit_keep_the_matches() -> None:
    """What is pruned has no match: nine matches in ten are the same within half a pixel."""
    network = load_model("fast-mapglue")
    image0, image1 = scene(512, 1), cv2.warpAffine(scene(512, 1), np.array([[1, 0.05, 3], [-0.05, 1, 6.0]]), (512, 512))
    pruned, whole = (ends(model, image0, image1, 1024) for model in (network, in_whole(network)))
    nearest = np.abs(pruned[:, None] - whole[None]).max(2).min(1)
    assert abs(len(pruned) - len(whole)) <= 0.1 * len(whole)
    assert (nearest < 0.5).mean() > 0.9
