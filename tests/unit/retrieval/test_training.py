"""Training of the heads: the projection, the loss, resuming, and that it learns what there is to learn."""

from __future__ import annotations

import math
import multiprocessing
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from pyproj import Proj

from retrieval.benchmark import Modality
from retrieval.errors import RetrievalError
from retrieval.image_features import describe, dimensions, views
from retrieval.location import LocationEncoder, equal_earth
from retrieval.model import contrastive_loss
from retrieval.train import Features, TrainingConfig, train
from retrieval.words import DIMENSIONS, describe_text

pytestmark = pytest.mark.unit

LANDMARKS = 40


def corpus(seed: int = 0) -> tuple[dict[Modality, Features], np.ndarray]:
    """Features of two modalities that are different linear images of what each landmark is."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(LANDMARKS, 6))
    features: dict[Modality, Features] = {}
    for name, length in (("ground", 20), ("satellite", 24)):
        landmarks = np.repeat(np.arange(LANDMARKS), 3)
        values = truth[landmarks] @ rng.normal(size=(6, length)) + 0.1 * rng.normal(size=(len(landmarks), length))
        features[name] = Features(values[:, None].astype(np.float32), landmarks)  # type: ignore[index]
    return features, rng.uniform([-120, 30], [-80, 45], (LANDMARKS, 2))


def test_equal_earth_is_that_of_proj() -> None:
    lonlat = np.random.default_rng(0).uniform([-180, -89], [180, 89], (200, 2))
    x, y = Proj(proj="eqearth", R=1)(lonlat[:, 0], lonlat[:, 1])
    ours = equal_earth(torch.from_numpy(lonlat)).numpy() * 180 / 66.50336
    assert np.abs(ours - np.stack([x, y], axis=1)).max() < 1e-6


def test_places_nearby_are_alike_at_the_coarse_scale() -> None:
    torch.manual_seed(0)
    encoder = LocationEncoder(16, scales=(1.0,))
    with torch.no_grad():
        here, near, far = encoder(torch.tensor([[-74.0, 40.7], [-74.1, 40.7], [10.0, -30.0]]))
    assert float((here - near).norm()) < float((here - far).norm()) / 5


def test_the_loss_by_hand() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    landmarks = (torch.tensor([0, 1]), torch.tensor([0, 1, 1]))
    # Rows: the first has scores 2, 0, 0; the second 0, 2, 2 with two right answers. Columns likewise.
    rows = [-2 + math.log(math.exp(2) + 2), -2 + math.log(1 + 2 * math.exp(2))]
    columns = [-2 + math.log(math.exp(2) + 1)] * 3
    expected = (np.mean(rows) + np.mean(columns)) / 2
    assert float(contrastive_loss(first, second, landmarks, torch.tensor(2.0))) == pytest.approx(expected, rel=1e-6)


def test_it_learns_what_the_modalities_share(tmp_path: Path) -> None:
    features, lonlat = corpus()
    validation = np.arange(30, LANDMARKS)
    config = TrainingConfig(steps=120, validate_every=30)
    found = {}
    for shuffled in (False, True):
        settings = TrainingConfig(steps=120, validate_every=30, shuffled=shuffled)
        heads = train(features, lonlat, validation, settings, tmp_path / str(shuffled)).heads
        held_out = [features[name].of(validation) for name in ("ground", "satellite")]  # type: ignore[index]
        with torch.no_grad():
            ground, aerial = (
                heads(name, torch.from_numpy(each.values[:, 0]))
                for name, each in zip(("ground", "satellite"), held_out, strict=True)
            )
        best = held_out[1].landmarks[(ground @ aerial.T).argmax(dim=1).numpy()]
        found[shuffled] = float((best == held_out[0].landmarks).mean())
    assert config.seed == 0
    assert found[False] > 0.5
    assert found[False] > 2 * found[True], "a control trained on wrong correspondence learns nothing"


def test_the_same_seed_gives_the_same_losses(tmp_path: Path) -> None:
    features, lonlat = corpus()
    config = TrainingConfig(steps=20, validate_every=5)
    first, second = (train(features, lonlat, np.arange(30, 40), config, tmp_path / name) for name in "ab")
    assert first.history == second.history


def _train(folder: Path, config: TrainingConfig) -> None:
    features, lonlat = corpus()
    train(features, lonlat, np.arange(30, 40), config, folder)


def test_a_killed_training_goes_on_to_the_same_state(tmp_path: Path) -> None:
    config = TrainingConfig(steps=400, validate_every=10)
    process = multiprocessing.get_context("spawn").Process(target=_train, args=(tmp_path / "killed", config))
    process.start()
    while process.is_alive() and not (tmp_path / "killed" / "checkpoint.pt").exists():
        process.join(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it was still at work"
    features, lonlat = corpus()
    resumed = train(features, lonlat, np.arange(30, 40), config, tmp_path / "killed")
    whole = train(features, lonlat, np.arange(30, 40), config, tmp_path / "whole")
    assert resumed.history == whole.history
    for name, value in whole.heads.state_dict().items():
        assert torch.equal(value, resumed.heads.state_dict()[name]), name


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    features, lonlat = corpus()
    train(features, lonlat, np.arange(30, 40), TrainingConfig(steps=5, validate_every=5), tmp_path)
    with pytest.raises(RetrievalError, match="other settings"):
        train(features, lonlat, np.arange(30, 40), TrainingConfig(steps=6, validate_every=5), tmp_path)


def test_features_of_images_and_texts() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (120, 160, 3), np.uint8)
    features = describe(image)
    assert features.shape == (dimensions(),)
    assert np.isfinite(features).all()
    assert len(views(image, "satellite", 4, 1)) == 4
    assert np.array_equal(views(image, "ground", 4, 1)[3], views(image, "ground", 4, 1)[3])
    red = describe(np.full((64, 64, 3), (200, 30, 30), np.uint8))
    blue = describe(np.full((64, 64, 3), (30, 30, 200), np.uint8))
    assert np.linalg.norm(red - blue) > 1
    assert describe_text("A brick church.").shape == (DIMENSIONS,)
    assert float(describe_text("red brick church") @ describe_text("a church of red brick")) > 0.3
    assert not describe_text("").any()
