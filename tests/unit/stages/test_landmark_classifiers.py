"""Classifiers of photographs: the rule of the demo, the zero-shot one, and one from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.stage import RunView
from stages.landmarks import classifiers
from stages.landmarks.classifiers import ColourRule, OutdoorClassifier, ZeroShot
from stages.landmarks.outdoor import OutdoorParams, OutdoorStage

pytestmark = pytest.mark.unit


def meadow() -> np.ndarray:
    image = np.zeros((120, 160, 3), np.uint8)
    image[:60] = (150, 190, 240)
    image[60:] = (70, 130, 60)
    return image


def room() -> np.ndarray:
    draw = np.random.default_rng(1)
    image = np.full((120, 160, 3), (110, 80, 55), np.int64)
    image[60:] += 50
    return np.clip(image + draw.integers(-25, 25, image.shape), 0, 255).astype(np.uint8)


def test_the_rule_tells_a_sky_from_a_room() -> None:
    outdoors, indoors = ColourRule().scores([meadow(), room()])
    assert outdoors > 0.7
    assert indoors < 0.4


class Colours(OutdoorClassifier):
    """A classifier of another package."""

    kind: Literal["test_landmark_classifiers:Colours"] = "test_landmark_classifiers:Colours"

    def scores(self, images: Sequence[Any]) -> np.ndarray:
        return np.array([image[..., 2].mean() / 255 for image in images])


class _Encoder:
    """Red, green and blue as an embedding; texts are colours."""

    batch = 2
    asked: int = 0

    def encode_images(self, images: Sequence[np.ndarray], modality: str) -> np.ndarray:
        assert modality == "ground"
        assert len(images) <= self.batch
        return np.stack([image.reshape(-1, 3).mean(axis=0) for image in images]).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        colours = {"blue": (0, 0, 1), "green": (0, 1, 0), "red": (1, 0, 0)}
        return np.array([colours[text] for text in texts], np.float32)


def test_zero_shot_is_the_share_of_the_descriptions_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "loaded_encoder", lambda name: _Encoder())
    images = [np.full((4, 4, 3), colour, np.uint8) for colour in ((0, 0, 9), (0, 9, 0), (9, 0, 0), (9, 9, 0))]
    model = ZeroShot(encoder="any", outdoor=("blue", "green"), other=("red",), sharpness=10)
    scores = model.scores(images)
    # By hand: similarities 1 to one text and 0 to the others; the last is as near to green as to red.
    weight = np.exp(10)
    expected = [(weight + 1) / (weight + 2), (weight + 1) / (weight + 2), 2 / (weight + 2)]
    assert scores[:3] == pytest.approx(expected)
    tie = np.exp(10 / np.sqrt(2))
    assert scores[3] == pytest.approx((tie + 1) / (2 * tie + 1))


def test_the_weights_are_part_of_the_identity(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1")
    model = ZeroShot(encoder=f"transformers:{tmp_path / 'model'}")
    before = model.identity()
    (tmp_path / "model" / "weights").write_bytes(b"2")
    assert model.identity() != before


def test_unknown_classifiers_are_told_what_there_is() -> None:
    with pytest.raises(ValidationError, match="did you mean 'colour-rule'"):
        OutdoorParams.model_validate({"classifier": {"kind": "color-rule"}})


def test_without_photographs_nothing_is_planned(tmp_path: Path) -> None:
    stage = OutdoorStage(OutdoorParams(classifier=ColourRule()))
    assert stage.plan(RunView(tmp_path, 0, {})) == []
