"""An encoder that notes in a file, named by the environment, how many items it was asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrieval.benchmark import Modality
from retrieval.encoders import Encoder

LOG, WAIT = "WATCHED_LOG", "WATCHED_WAIT"


class Watched(Encoder):
    """The mean colour of an image, the length of a text."""

    modalities = frozenset[Modality]({"ground", "satellite", "text"})
    identity = "watched 1"
    batch = 8

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts."""
        self._note(len(texts))
        return np.array([[len(text), 1.0, 1.0] for text in texts], np.float32)

    def encode_images(self, images: Sequence[np.ndarray], modality: Modality) -> np.ndarray:
        """Encode images."""
        self._note(len(images))
        return np.array([image.mean(axis=(0, 1)) for image in images], np.float32)

    def _note(self, count: int) -> None:
        time.sleep(float(os.environ.get(WAIT, "0")))
        with Path(os.environ[LOG]).open("a") as file:
            file.write(f"{count}\n")


def asked(log: Path) -> int:
    """Return how many items were asked for since the last look."""
    total = sum(map(int, log.read_text().split())) if log.exists() else 0
    log.unlink(missing_ok=True)
    return total
