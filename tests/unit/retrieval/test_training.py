"""Training of the heads: the projection, the loss, resuming, and that it learns what there is to learn."""

from __future__ import annotations

import math
import multiprocessing
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pyproj import Proj

from retrieval.benchmark import Modality
from retrieval.encoders.colour_texture import describe, dimensions, views
from retrieval.encoders.shapes import from_above, from_the_ground
from retrieval.encoders.words import DIMENSIONS, describe_text
from retrieval.errors import RetrievalError
from retrieval.location import LocationEncoder, equal_earth
from retrieval.metrics import great_circle_km
from retrieval.model import FeatureTower, contrastive_loss, same_group
from retrieval.pixels import altered
from retrieval.training.config import Schedule, Validation
from retrieval.training.features import Features
from retrieval.training.sampler import Sampler
from retrieval.training.separation import kept_aside
from retrieval.training.trainer import Trained, TrainingSet, mean_log_rank, train

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


def test_other_landmarks_of_the_category_share_the_target() -> None:
    landmarks = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2])
    groups = torch.tensor([7, 7, 8]), torch.tensor([7, 7, 8])
    related = same_group(groups, landmarks, 0.6)
    assert torch.allclose(related, torch.tensor([[0, 0.6, 0], [0.6, 0, 0], [0, 0, 0]]))
    vectors = torch.eye(3)
    scores = torch.tensor(2.0) * torch.eye(3)
    target = torch.tensor([[0.4, 0.6, 0], [0.6, 0.4, 0], [0, 0, 1]])
    expected = -(torch.log_softmax(scores, 1) * target).sum(1).mean()
    found = contrastive_loss(vectors, vectors, landmarks, torch.tensor(2.0), related)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_ranks_choose_the_best_step_by_hand() -> None:
    embedded: dict[Modality, tuple[torch.Tensor, torch.Tensor]] = {
        "ground": (torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])),
        "satellite": (torch.tensor([[0.0, 1.0], [0.6, 0.8]]), torch.tensor([0, 1])),
    }
    # From the ground: scores (0, 0.6) and (1, 0.8), both right answers second. From above: (0, 1) and (0.6, 0.8).
    assert mean_log_rank(embedded) == pytest.approx((1 + (1 + 0) / 2) / 2)


def trained(folder: Path, schedule: Schedule, given: TrainingSet | None = None) -> Trained:
    features, lonlat = corpus()
    return train(given or TrainingSet(features, lonlat, np.arange(30), np.arange(30, LANDMARKS)), schedule, 0, folder)


def settings(**given: object) -> Schedule:
    return Schedule.model_validate({"landmarks_per_step": 24, "items_per_landmark": 2, **given})


def test_it_learns_what_the_modalities_share(tmp_path: Path) -> None:
    features, _ = corpus()
    found = {}
    for shuffled in (False, True):
        schedule = settings(steps=120, validate_every=30, shuffled=shuffled)
        towers = trained(tmp_path / str(shuffled), schedule).towers
        held_out = [features[name].of(np.arange(30, LANDMARKS)) for name in ("ground", "satellite")]  # type: ignore[index]
        with torch.no_grad():
            ground, aerial = (
                towers(name, torch.from_numpy(each.values[:, 0]))
                for name, each in zip(("ground", "satellite"), held_out, strict=True)
            )
        best = held_out[1].landmarks[(ground @ aerial.T).argmax(dim=1).numpy()]
        found[shuffled] = float((best == held_out[0].landmarks).mean())
    assert found[False] > 0.5
    assert found[False] > 2 * found[True], "a control trained on wrong correspondence learns nothing"


def test_the_same_seed_gives_the_same_losses(tmp_path: Path) -> None:
    first, second = (trained(tmp_path / name, settings(steps=20, validate_every=5)) for name in "ab")
    assert first.history == second.history


def pixels() -> TrainingSet:
    """Thumbnails whose colour tells the landmark, and the features of `corpus`."""
    features, lonlat = corpus()
    colours = np.random.default_rng(1).integers(0, 255, (LANDMARKS, 3), np.uint8)
    landmarks = np.repeat(np.arange(LANDMARKS), 2)
    values = np.broadcast_to(colours[landmarks][:, None, None, None], (len(landmarks), 1, 32, 32, 3)).copy()
    features["satellite"] = Features(values, landmarks)
    return TrainingSet(features, lonlat, np.arange(30), np.arange(30, LANDMARKS), ["even", "odd"] * (LANDMARKS // 2))


def test_pixels_give_the_same_losses_again_and_are_altered(tmp_path: Path) -> None:
    schedule = settings(steps=4, validate_every=2, landmarks_per_step=8, hard_share=0.5)
    first, second = (trained(tmp_path / name, schedule, pixels()) for name in "ab")
    assert first.history == second.history
    images = torch.rand(3, 3, 32, 32)
    changed = altered(images, "satellite", np.random.default_rng(0))
    assert changed.shape == images.shape
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    assert not torch.allclose(changed, images, atol=0.1)
    assert torch.equal(changed, altered(images, "satellite", np.random.default_rng(0)))


def test_hard_batches_are_of_one_category() -> None:
    given = pixels()
    sampler = Sampler(
        given.features, given.lonlat, given.training, settings(landmarks_per_step=10, hard_share=1.0), 0, given.groups
    )
    for step in range(5):
        landmarks = sampler.batch(step)["ground"][1]
        assert len({int(number) % 2 for number in landmarks}) == 1


def test_whitened_features_have_unit_variance() -> None:
    rng = np.random.default_rng(0)
    values = torch.from_numpy((rng.normal(size=(200, 12)) * np.geomspace(1e-2, 1e2, 12) + 5).astype(np.float32))
    tower = FeatureTower(12, 6, 8, 16, 0.0)
    tower.whiten(values)
    white = (values - tower.mean) @ tower.matrix
    assert torch.allclose(white.mean(0), torch.zeros(6), atol=1e-3)
    assert torch.allclose(torch.cov(white.T), torch.eye(6), atol=1e-2)


def test_landmarks_kept_aside_lie_apart() -> None:
    lonlat = np.random.default_rng(0).uniform([-100, 30], [-98, 32], (400, 2))
    given = Validation(share=0.2, cell_km=25, distance_km=3)
    training, aside = kept_aside(lonlat, given, 0)
    assert 0.1 < len(aside) / 400 < 0.3
    distances = great_circle_km(lonlat[training][:, None], lonlat[aside][None])
    assert distances.min() >= 3
    assert not set(training) & set(aside)
    everything, none = kept_aside(lonlat, Validation(share=0), 0)
    assert len(everything) == 400
    assert not len(none)


def _train(folder: Path, schedule: Schedule) -> None:
    trained(folder, schedule)


def test_a_killed_training_goes_on_to_the_same_state(tmp_path: Path) -> None:
    schedule = settings(steps=120, validate_every=5)
    process = multiprocessing.get_context("spawn").Process(target=_train, args=(tmp_path / "killed", schedule))
    process.start()
    while process.is_alive() and not (tmp_path / "killed" / "checkpoint.pt").exists():
        process.join(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it was still at work"
    resumed = trained(tmp_path / "killed", schedule)
    whole = trained(tmp_path / "whole", schedule)
    assert resumed.history == whole.history
    for name, value in whole.towers.state_dict().items():
        assert torch.equal(value, resumed.towers.state_dict()[name]), name


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, settings(steps=5, validate_every=5))
    with pytest.raises(RetrievalError, match="other settings"):
        trained(tmp_path, settings(steps=6, validate_every=5))


def test_too_little_to_train_on_is_said(tmp_path: Path) -> None:
    features, lonlat = corpus()
    given = TrainingSet({}, lonlat, np.arange(9), np.arange(0))
    with pytest.raises(RetrievalError, match="two modalities at least"):
        train(given, settings(), 0, tmp_path)
    with pytest.raises(RetrievalError, match="two landmarks at least"):
        train(TrainingSet(features, lonlat, np.arange(1), np.arange(0)), settings(), 0, tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    trained(tmp_path, settings(steps=5, validate_every=5))
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    for broken in (b"", b"something else", whole[: len(whole) // 2]):
        (tmp_path / "checkpoint.pt").write_bytes(broken)
        with pytest.raises(RetrievalError, match=r"checkpoint\.pt: cannot be read"):
            trained(tmp_path, settings(steps=5, validate_every=5))


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


def test_shapes_do_not_change_when_an_aerial_image_is_turned_or_a_photograph_mirrored() -> None:
    image = np.full((160, 160, 3), 90, np.uint8)
    cv2.rectangle(image, (60, 70), (100, 90), (220, 200, 180), -1)
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D((79.5, 79.5), 37, 1), (160, 160), borderValue=(90, 90, 90))
    square = np.full((160, 160, 3), 90, np.uint8)
    cv2.rectangle(square, (65, 65), (95, 95), (220, 200, 180), -1)
    here, there, other = (from_above(np.asarray(each, np.uint8)) for each in (image, turned, square))
    assert np.linalg.norm(here - there) < 0.4 * np.linalg.norm(here - other)
    tower = np.full((120, 160, 3), 230, np.uint8)
    cv2.rectangle(tower, (40, 20), (60, 119), (90, 80, 70), -1)
    outline = slice(-48, None)
    first, second = (from_the_ground(each)[outline] for each in (tower, np.ascontiguousarray(tower[:, ::-1])))
    assert np.abs(first - second).mean() < 0.06
