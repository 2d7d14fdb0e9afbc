"""Image encoders as TorchScript files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from retrieval.benchmark import Modality
from retrieval.encoders.base import Encoder, Image
from retrieval.encoders.clip import digest_of
from retrieval.errors import RetrievalError
from retrieval.pixels import as_tensor
from retrieval.vectors import Float32

DEFAULT_SIDE = 224
"""Side of the square that images are resized to, if the module has no attribute `image_size`."""


class TorchScript(Encoder):
    """A module that maps images (N, 3, S, S) float32 RGB in [0, 1] to vectors (N, D)."""

    modalities = frozenset[Modality]({"ground", "satellite"})

    def __init__(self, name: str, argument: str, device: str = "cpu") -> None:
        """Load the file.

        Raises:
            RetrievalError: It is missing or no TorchScript.
        """
        self.name, self._device, path = name, device, Path(argument)
        if not path.is_file():
            raise RetrievalError(f"{name}: no such file: {path}")
        try:
            self._module = torch.jit.load(str(path), map_location=device).eval()
        except (RuntimeError, ValueError) as error:
            raise RetrievalError(f"{name}: is no TorchScript file ({str(error).partition(chr(10))[0]})") from error
        self._side = int(getattr(self._module, "image_size", DEFAULT_SIDE))
        self.identity = f"torchscript {digest_of(path)}"

    def encode_images(self, images: Sequence[Image], modality: Modality) -> Float32:
        """Embed images, resized to a square; see `Encoder`."""
        size = (self._side, self._side)
        squares = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
        with torch.no_grad():
            try:
                vectors = self._module(as_tensor(np.asarray(squares, np.uint8)).to(self._device))
            except RuntimeError as error:
                raise RetrievalError(f"{self.name}: failed on images of {self._side} px ({error})") from error
        return np.asarray(vectors.float().cpu().numpy(), np.float32)
