"""Encoders that need no training and no package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.benchmark import Modality
from retrieval.encoders import colour_texture, shapes, words
from retrieval.encoders.base import Encoder, Image
from retrieval.vectors import Float32

_COLOURS_FROM_ABOVE = np.float32(0.3)
"""Factor on the colours of an aerial image, most of which are those of the surroundings, so that shapes outweigh
them."""


class ColourTexture(Encoder):
    """Colours, oriented gradients and texture of a pyramid of cells; see `colour_texture`."""

    name = "colour-texture"
    modalities = frozenset[Modality]({"ground", "satellite"})
    identity = "colour-texture 1"

    def encode_images(self, images: Sequence[Image], modality: Modality) -> Float32:
        """Describe images; see `Encoder`."""
        return np.stack([colour_texture.describe(image) for image in images])


class ColourShape(Encoder):
    """Colours and textures as of `colour-texture`, and the landmark's shape; see `shapes`."""

    name = "colour-shape"
    modalities = frozenset[Modality]({"ground", "satellite"})
    identity = "colour-shape 1"

    def encode_images(self, images: Sequence[Image], modality: Modality) -> Float32:
        """Describe images; see `Encoder`."""
        shape = shapes.from_above if modality == "satellite" else shapes.from_the_ground
        colours = _COLOURS_FROM_ABOVE if modality == "satellite" else 1.0
        return np.stack([np.concatenate([colours * colour_texture.describe(image), shape(image)]) for image in images])


class HashedWords(Encoder):
    """Hashed words and pairs of words; see `words`."""

    name = "hashed-words"
    modalities = frozenset[Modality]({"text"})
    identity = "hashed-words 1"

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Describe texts; see `Encoder`."""
        return words.describe_texts(texts)
