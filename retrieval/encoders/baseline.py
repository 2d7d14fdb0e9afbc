"""The trained baseline as an encoder: towers, the frozen encoders that they read, and the calibration, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from raster.disk import atomic_path
from raster.strict_json import parse_json
from retrieval.benchmark import Modality
from retrieval.encoders.base import Encoder, Image
from retrieval.errors import RetrievalError
from retrieval.model import Towers
from retrieval.pixels import as_tensor, thumbnail
from retrieval.training.config import PIXELS_NAME
from retrieval.vectors import Float32

SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "baseline.safetensors"
"""Weights that come with the package; see the card beside them."""

_FORMAT = "mapdata retrieval baseline 1"
_ABOUT = {"inputs", "dimensions", "components", "encoders", "calibration"}
"""What is told beside the weights."""


class Baseline(Encoder):
    """Ground, aerial, text and coordinates in one space.

    Attributes:
        towers: The trained networks.
        calibration: Numbers by which `retrieval.answers` turns scores into probabilities, by modality of the question.
        file: Where it was read.
    """

    def __init__(self, name: str = "baseline", argument: str = "", device: str = "cpu") -> None:
        """Read a file of weights.

        Args:
            name: By which it was asked for.
            argument: The file; empty for the shipped one.
            device: A torch device.

        Raises:
            RetrievalError: The file is missing, damaged, or no baseline.
        """
        from retrieval.encoders.registry import load_encoder

        self.name, self.file, self._device = name, Path(argument) if argument else SHIPPED, device
        about, weights = _read(self.file)
        self.calibration: Mapping[str, Mapping[str, float]] = about["calibration"]
        self._frozen = {
            modality: None if encoder == PIXELS_NAME else load_encoder(encoder, device)
            for modality, encoder in about["encoders"].items()
        }
        self.towers = Towers(about["inputs"], about["dimensions"], about["components"])
        try:
            self.towers.load_state_dict(weights)
        except RuntimeError as error:
            raise RetrievalError(f"{self.file}: its weights are of another shape ({error})") from error
        self.towers.to(device).eval()
        self.modalities = frozenset[Modality]([*about["inputs"], "coordinates"])
        kept = [encoder.identity for encoder in self._frozen.values() if encoder is not None]
        self.identity = " ".join(["baseline", blake3(self.file.read_bytes()).hexdigest(), *kept])

    def encode_images(self, images: Sequence[Image], modality: Modality) -> Float32:
        """Embed images; see `Encoder`."""
        if modality not in self._frozen:
            raise self._cannot(modality)
        frozen = self._frozen[modality]
        if frozen is None:
            return self._embed(modality, as_tensor(np.stack([thumbnail(image, modality) for image in images])))
        return self._embed(modality, torch.from_numpy(frozen.encode_images(images, modality)))

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Embed texts; see `Encoder`."""
        frozen = self._frozen.get("text")
        if frozen is None:
            raise self._cannot("text")
        return self._embed("text", torch.from_numpy(frozen.encode_texts(texts)))

    def encode_places(self, lonlat: npt.NDArray[np.float64]) -> Float32:
        """Embed places; see `Encoder`."""
        return self._embed("coordinates", torch.from_numpy(np.asarray(lonlat, np.float32)))

    def _embed(self, modality: Modality, values: torch.Tensor) -> Float32:
        with torch.no_grad():
            return np.asarray(self.towers(modality, values.to(self._device)).cpu().numpy(), np.float32)


def save_baseline(
    path: Path,
    towers: Towers,
    encoders: Mapping[Modality, str],
    components: int,
    calibration: Mapping[str, Mapping[str, float]],
) -> None:
    """Write a file that `Baseline` reads; what was learned is stored as float16, fixed numbers as float32.

    Args:
        path: The file to write.
        towers: The trained networks.
        encoders: Name of the encoder of each modality's features, or `pixels`.
        components: With which the towers were made.
        calibration: See `Baseline`.
    """
    about = {
        "format": _FORMAT,
        "inputs": towers.inputs,
        "dimensions": towers.towers["coordinates"].dimensions,
        "components": components,
        "encoders": dict(encoders),
        "calibration": calibration,
    }
    learned = {name for name, _ in towers.named_parameters()}
    weights = {
        name: (value.half() if name in learned else value).contiguous().cpu()
        for name, value in towers.state_dict().items()
    }
    with atomic_path(path) as temporary:
        save_file(weights, temporary, {"about": json.dumps(about)})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise RetrievalError(f"{path}: no such weights; `mapdata train` writes them")
    try:
        with safe_open(path, "pt") as file:
            about = parse_json((file.metadata() or {}).get("about", "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise RetrievalError(f"{path}: cannot be read ({error}); train again or fetch the file anew") from error
    if not isinstance(about, dict) or about.get("format") != _FORMAT or not about.keys() >= _ABOUT:
        raise RetrievalError(f"{path}: holds no baseline of this version; `mapdata train` writes one")
    return about, {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
