"""CLIP models of open_clip and transformers: files, or names of models that are published."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from blake3 import blake3
from PIL import Image as Pictures
from safetensors import SafetensorError

from retrieval.benchmark import Modality
from retrieval.encoders.base import Encoder, Image
from retrieval.encoders.hub import folder_of
from retrieval.errors import RetrievalError
from retrieval.vectors import Float32

_MODALITIES = frozenset[Modality]({"ground", "satellite", "text"})
_FAULTS = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, SafetensorError)
"""What the packages raise for files that they cannot understand."""


class OpenClip(Encoder):
    """A model of open_clip: a folder as it saves them, or an architecture with weights."""

    batch = 32
    modalities = _MODALITIES

    def __init__(self, name: str, argument: str, device: str = "cpu") -> None:
        """Load the model.

        Args:
            name: By which it was asked for.
            argument: A folder with open_clip_config.json, OWNER/NAME of one on the Hugging Face hub, or the name of an
                architecture, "@" and a file of weights or a published tag.
            device: A torch device.

        Raises:
            RetrievalError: The package, the folder or the file is missing, or cannot be understood.
        """
        self.name, self._device = name, device
        architecture, _, weights = argument.partition("@")
        published = bool(weights) and not Path(weights).is_file()
        source = Path(weights) if weights else folder_of(name, argument)
        if not weights and not (source / "open_clip_config.json").is_file():
            raise RetrievalError(
                f"{name}: {source} holds no open_clip_config.json; give a folder that open_clip saved, OWNER/NAME of "
                "the Hugging Face hub, or open_clip:ARCHITECTURE@FILE"
            )
        open_clip = _package(name, "open_clip", "open_clip_torch")
        if published:
            source = self._published(open_clip, architecture, weights)
        called = architecture if weights else f"local-dir:{source}"
        try:
            made = open_clip.create_model_from_pretrained(called, pretrained=weights or None, device=device)
            self._tokenizer: Any = open_clip.get_tokenizer(called)
        except _FAULTS as error:
            raise RetrievalError(f"{name}: open_clip cannot load it ({error})") from error
        self._model, self._prepare = made
        self._model.eval()
        # A published tag says how images are prepared, too; where a file lies says nothing.
        told = argument if published else architecture if weights else ""
        self.identity = f"open_clip {told} {digest_of(source)}"

    def _published(self, open_clip: Any, architecture: str, tag: str) -> Path:
        """Return the file of weights that open_clip knows by a tag; it is fetched unless it is in the cache."""
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        if tag not in tags:
            raise RetrievalError(
                f"{self.name}: no such file of weights: {tag}; nor is it a tag that open_clip knows of {architecture}: "
                f"{', '.join(tags) or 'it knows none'}"
            )
        try:
            return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(architecture, tag)))
        except Exception as error:  # what its clients of HTTP raise has no common base
            first = str(error).strip().partition("\n")[0]
            raise RetrievalError(f"{self.name}: its weights could not be fetched ({first}); give a file") from error

    def encode_images(self, images: Sequence[Image], modality: Modality) -> Float32:
        """Embed images; see `Encoder`."""
        batch = torch.stack([self._prepare(Pictures.fromarray(image)) for image in images]).to(self._device)
        with torch.no_grad():
            return _unit(self._model.encode_image(batch))

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Embed texts, cut at the model's longest; see `Encoder`."""
        with torch.no_grad():
            return _unit(self._model.encode_text(self._tokenizer(list(texts)).to(self._device)))


class TransformersClip(Encoder):
    """A CLIP model of transformers: a folder with the model and its processor."""

    batch = 32
    modalities = _MODALITIES

    def __init__(self, name: str, argument: str, device: str = "cpu") -> None:
        """Load the model.

        Args:
            name: By which it was asked for.
            argument: A folder with config.json, or OWNER/NAME of one on the Hugging Face hub.
            device: A torch device.

        Raises:
            RetrievalError: The package or the folder is missing, or holds no CLIP model.
        """
        self.name, self._device, folder = name, device, folder_of(name, argument)
        if not (folder / "config.json").is_file():
            raise RetrievalError(
                f"{name}: {folder} holds no config.json; give a folder that transformers saved, or OWNER/NAME of the "
                "Hugging Face hub"
            )
        transformers = _package(name, "transformers", "transformers")
        try:
            self._model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).to(device).eval()
            self._processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except _FAULTS as error:
            raise RetrievalError(f"{name}: transformers cannot load it ({error})") from error
        if not hasattr(self._model, "get_image_features"):
            raise RetrievalError(f"{name}: holds a {type(self._model).__name__}, which has no image and text features")
        self.identity = f"transformers {digest_of(folder)}"

    def encode_images(self, images: Sequence[Image], modality: Modality) -> Float32:
        """Embed images; see `Encoder`."""
        batch = self._processor(images=[Pictures.fromarray(image) for image in images], return_tensors="pt")
        with torch.no_grad():
            return _unit(_features(self._model.get_image_features(**batch.to(self._device))))

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Embed texts, cut at the model's longest; see `Encoder`."""
        longest = getattr(getattr(self._model.config, "text_config", None), "max_position_embeddings", None)
        batch = self._tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        with torch.no_grad():
            return _unit(_features(self._model.get_text_features(**batch.to(self._device))))


def digest_of(source: Path) -> str:
    """Return the BLAKE3 digest of a file, or of the names and contents of a folder's files."""
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    whole = blake3()
    for path in files:
        whole.update(str(path.relative_to(source) if source.is_dir() else "").encode())
        whole.update_mmap(path)
    return str(whole.hexdigest())


def _features(given: Any) -> torch.Tensor:
    """Return the features; some versions of transformers wrap them with what they were made of."""
    return torch.as_tensor(given if isinstance(given, torch.Tensor) else given.pooler_output)


def _unit(features: torch.Tensor) -> Float32:
    return np.asarray(torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy(), np.float32)


def _package(name: str, module: str, package: str) -> Any:
    """Import a package and what it needs of torchvision. Raises RetrievalError if it is not installed."""
    try:
        import_torchvision()
        return import_module(module)
    except ImportError as error:
        raise RetrievalError(
            f"{name}: needs the package {package}; install it with: pip install 'mapdata[encoders]' ({error})"
        ) from error


def import_torchvision() -> None:
    """Import torchvision, also where its compiled operators cannot be loaded.

    Beside a build of torch without CUDA, pip installs a torchvision that was compiled for CUDA. Importing it fails for
    want of its operators. The transformations of images need none of them, so it is enough to declare those that the
    import asks for.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)
        import_module("torchvision")


_LIBRARIES: list[torch.library.Library] = []
"""Declarations last as long as their library."""
