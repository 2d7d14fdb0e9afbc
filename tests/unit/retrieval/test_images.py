"""Images that are read, and those that are refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from retrieval.errors import RetrievalError
from retrieval.images import read_image

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_an_image_that_is_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"Zürich 東京{suffix}"
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8), (0, 0), 2)
    whole = cv2.imencode(suffix, image)[1].tobytes()
    path.write_bytes(whole)
    assert read_image(path).shape == (90, 120, 3)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RetrievalError, match=path.name):
        read_image(path)


def test_channels_are_red_green_and_blue(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((4, 4, 3), (0, 0, 255), np.uint8))
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]
    for missing in (tmp_path / "nowhere.png", tmp_path):
        with pytest.raises(RetrievalError, match="no such image"):
            read_image(missing)
