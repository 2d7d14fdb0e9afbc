"""Encoders that need no training and no package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.benchmark import Modality
from retrieval.encoders import colour_texture, words
from retrieval.encoders.base import Encoder, Image
from retrieval.vectors import Float32


class ColourTexture(Encoder):
    """Colours, oriented gradients and texture of a pyramid of cells; see `colour_texture`."""

    name = "colour-texture"
    modalities = frozenset[Modality]({"ground", "satellite"})
    identity = "colour-texture 1"

    def encode_images(self, images: Sequence[Image], modality: Modality) -> Float32:
        """Describe images; see `Encoder`."""
        return np.stack([colour_texture.describe(image) for image in images])


class HashedWords(Encoder):
    """Hashed words and pairs of words; see `words`."""

    name = "hashed-words"
    modalities = frozenset[Modality]({"text"})
    identity = "hashed-words 1"

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Describe texts; see `Encoder`."""
        return words.describe_texts(texts)
