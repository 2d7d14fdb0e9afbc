"""Features of frozen encoders: kept on disk by content, made in parts, and made anew where they are damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrieval.benchmark import Items, Modality
from retrieval.encoders import Encoder
from retrieval.errors import RetrievalError
from retrieval.training.features import make_features

pytestmark = pytest.mark.unit

COPIES = 2


class Mean(Encoder):
    """The mean colour; stops at the image of which it is told."""

    name = "mean"
    modalities = frozenset[Modality]({"ground", "text"})
    identity = "mean 1"

    def __init__(self, stop_at: int = -1) -> None:
        self.asked, self._stop_at = 0, stop_at

    def encode_images(self, images: Sequence[np.ndarray], modality: Modality) -> np.ndarray:
        if self.asked == self._stop_at:
            raise KeyboardInterrupt
        self.asked += 1
        return np.array([image.mean(axis=(0, 1)) for image in images], np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), np.nan if text == "bad" else 1.0] for text in texts], np.float32)


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Items:
    monkeypatch.setattr("retrieval.training.features._PART", 2)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((8, 8, 3), 40 * number + 10, np.uint8))
    return Items([path.stem for path in paths], np.arange(5), None, paths.__getitem__)


def made(items: Items, encoder: Encoder | None, folder: Path) -> np.ndarray:
    return np.array(make_features({"ground": items}, {"ground": encoder}, COPIES, folder)["ground"].values)


def test_they_are_kept_and_those_of_other_contents_are_not_taken(photographs: Items, tmp_path: Path) -> None:
    first = made(photographs, Mean(), tmp_path / "features")
    assert first.shape == (5, COPIES, 3)
    assert first[:, 0, 0].tolist() == [10, 50, 90, 130, 170]
    again = Mean()
    assert np.array_equal(made(photographs, again, tmp_path / "features"), first)
    assert again.asked == 0
    assert photographs.content is not None
    cv2.imwrite(str(photographs.content(1)), np.full((8, 8, 3), 250, np.uint8))
    assert made(photographs, Mean(), tmp_path / "features")[:, 0, 0].tolist() == [10, 250, 90, 130, 170]
    assert made(photographs, None, tmp_path / "features").shape == (5, 1, 64, 64, 3)


def test_a_stopped_run_goes_on_to_the_same_values(photographs: Items, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(photographs, Mean(stop_at=3), tmp_path / "features")
    rest = Mean()
    found = made(photographs, rest, tmp_path / "features")
    assert rest.asked == 3, "the part that was begun, and the last"
    assert np.array_equal(found, made(photographs, Mean(), tmp_path / "whole"))
    (kept,) = (tmp_path / "features").iterdir()
    kept.write_bytes(kept.read_bytes()[:-7])
    assert np.array_equal(made(photographs, Mean(), tmp_path / "features"), found), "what is damaged is made anew"


def test_what_cannot_be_a_feature_is_said(photographs: Items, tmp_path: Path) -> None:
    none = Items([], np.zeros(0, np.int64))
    with pytest.raises(RetrievalError, match="no ground items to train on"):
        made(none, Mean(), tmp_path)
    texts = ["a tower", "bad"]
    items = Items(["a", "b"], np.arange(2), None, texts.__getitem__)
    with pytest.raises(RetrievalError, match="not finite"):
        make_features({"text": items}, {"text": Mean()}, 1, tmp_path)
    assert photographs.content is not None
    Path(photographs.content(0)).unlink()
    with pytest.raises(RetrievalError, match=r"0\.png: cannot be read"):
        made(photographs, Mean(), tmp_path)
