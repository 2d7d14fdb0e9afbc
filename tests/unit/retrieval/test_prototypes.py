"""One vector a landmark, and probabilities that are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.benchmark import Modality
from retrieval.prototypes import Calibration, fit_calibration, leave_one_out, prototypes

pytestmark = pytest.mark.unit

DIMENSIONS = 24


def embedded(count: int, noise: float, seed: int) -> dict[Modality, tuple[np.ndarray, np.ndarray]]:
    """Items of landmarks with random directions: three photographs, one aerial image, one place each."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(count, DIMENSIONS))
    found: dict[Modality, tuple[np.ndarray, np.ndarray]] = {}
    copies: dict[Modality, int] = {"ground": 3, "satellite": 1, "coordinates": 1}
    for name, each in copies.items():
        landmarks = np.repeat(np.arange(count), each)
        vectors = truth[landmarks] + noise * rng.normal(size=(len(landmarks), DIMENSIONS))
        found[name] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), landmarks
    return found


def test_a_prototype_is_the_mean_over_modalities_not_over_items() -> None:
    along, across = np.eye(2, dtype=np.float32)
    given: dict[Modality, tuple[np.ndarray, np.ndarray]] = {
        "ground": (np.stack([along, along, along]), np.array([0, 0, 0])),
        "satellite": (across[None], np.array([0])),
    }
    made = prototypes(given, 2)
    assert np.allclose(made[0], [np.sqrt(0.5), np.sqrt(0.5)])
    assert not made[1].any(), "nothing is known of the second landmark"


def test_the_item_that_asks_is_left_out_of_its_own_prototype() -> None:
    given = embedded(8, 0.8, 0)
    scores, right = leave_one_out(given, "ground", 8)
    for position in (0, 5, 23):
        vectors, landmarks = given["ground"]
        others = dict(given) | {"ground": (np.delete(vectors, position, 0), np.delete(landmarks, position))}
        expected = prototypes(others, 8)[landmarks[position]] @ vectors[position]
        assert scores[position, right[position]] == pytest.approx(expected, abs=1e-6)
    others = np.setdiff1d(np.arange(8), right[0])
    assert np.allclose(scores[0, others], (prototypes(given, 8) @ given["ground"][0][0])[others], atol=1e-6)


def test_probabilities_are_calibrated_on_landmarks_never_seen() -> None:
    fitted = Calibration(**fit_calibration(embedded(150, 1.5, 0), 150)["ground"])
    scores, right = leave_one_out(embedded(150, 1.5, 1), "ground", 150)
    asked = np.arange(len(scores))
    found = []
    for known in (True, False):
        shown = scores.copy()
        if not known:
            shown[asked, right] = -1.0
        probabilities = fitted.probabilities(shown)
        first = probabilities[:, :-1].argmax(axis=1)
        found.append((probabilities[asked, first], (first == right) & known))
    chance, correct = (np.concatenate(each) for each in zip(*found, strict=True))
    assert 0.1 < correct.mean() < 0.9, "neither trivial nor hopeless"
    for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 1.0)):
        inside = (chance >= low) & (chance < high)
        assert inside.sum() > 20
        assert correct[inside].mean() == pytest.approx(chance[inside].mean(), abs=0.12)


def test_none_is_likelier_where_the_landmark_is_absent() -> None:
    fitted = Calibration(**fit_calibration(embedded(60, 0.8, 2), 60)["ground"])
    scores, right = leave_one_out(embedded(60, 0.8, 3), "ground", 60)
    absent = scores.copy()
    absent[np.arange(len(scores)), right] = -1
    assert fitted.probabilities(absent)[:, -1].mean() > 2 * fitted.probabilities(scores)[:, -1].mean()
    assert np.allclose(fitted.probabilities(scores).sum(axis=1), 1)
