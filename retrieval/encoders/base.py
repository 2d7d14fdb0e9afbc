"""What an encoder is."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retrieval.benchmark import Modality
from retrieval.errors import RetrievalError
from retrieval.vectors import Float32

Image = npt.NDArray[np.uint8]


class Encoder(ABC):
    """Turns items of some modalities into vectors. A subclass overrides the methods of its modalities.

    Attributes:
        name: By which it was asked for.
        modalities: Those that it encodes; vectors of all of them lie in one space.
        identity: Changes whenever the vectors may: names the code's version and the digest of the weights.
        batch: Items that are encoded at once.
    """

    name: str
    modalities: frozenset[Modality]
    identity: str
    batch: int = 64

    def encode_images(self, images: Sequence[Image], modality: Modality) -> Float32:
        """Encode images.

        Args:
            images: Each (H, W, 3) uint8 RGB, of any size.
            modality: "ground" or "satellite".

        Returns:
            (N, D) float32.

        Raises:
            RetrievalError: The encoder reads no images.
        """
        raise self._cannot(modality)

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Encode texts: (N, D) float32. Raises RetrievalError if the encoder reads no texts."""
        raise self._cannot("text")

    def encode_places(self, lonlat: npt.NDArray[np.float64]) -> Float32:
        """Encode longitudes and latitudes (N, 2) in degrees: (N, D) float32.

        Raises:
            RetrievalError: The encoder reads no coordinates.
        """
        raise self._cannot("coordinates")

    def _cannot(self, modality: Modality) -> RetrievalError:
        known = ", ".join(sorted(self.modalities))
        return RetrievalError(f"the encoder {self.name} does not encode {modality}; it encodes {known}")
