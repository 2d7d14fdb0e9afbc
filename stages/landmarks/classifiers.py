"""What tells photographs taken outdoors from others: the base of every classifier, and those that are built in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.config import ChosenFrom
from pipeline.files import digest_bytes, digest_file
from pipeline.registry import Registry
from raster.image import Image
from stages.encoders import loaded_encoder

_SIDE = 96


class OutdoorClassifier(BaseModel, ABC):
    """Gives each photograph a score. A subclass adds `kind: Literal[...]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def scores(self, images: Sequence[Image]) -> np.ndarray:
        """Return the probability that each image was taken outdoors.

        Args:
            images: Each (H, W, 3) uint8 RGB, of any size.

        Returns:
            (N,) float, 0 to 1.
        """

    def identity(self) -> str:
        """Return what changes when the scores may, beside the fields: such as a digest of weights."""
        return ""


class ColourRule(OutdoorClassifier):
    """A rule of thumb that needs no weights: skies are bright, smooth and above; plants are green.

    It was made to let the demo run, and was never measured on real photographs: use `zero-shot` for those.
    """

    kind: Literal["colour-rule"] = "colour-rule"

    def scores(self, images: Sequence[Image]) -> np.ndarray:
        """Score images; see `OutdoorClassifier`."""
        return np.array([_rule(image) for image in images], np.float64)


class ZeroShot(OutdoorClassifier):
    """A model of images and texts (CLIP): which of some descriptions fits an image best."""

    kind: Literal["zero-shot"] = "zero-shot"
    encoder: str = Field(
        description="Encoder of images and texts by its name, such as transformers:FOLDER or open_clip:FOLDER."
    )
    outdoor: tuple[str, ...] = Field(
        ("a photo of a building from the outside", "an outdoor photo", "a photo of a landscape"),
        min_length=1,
        description="What photographs taken outdoors are.",
    )
    other: tuple[str, ...] = Field(
        ("a photo of the inside of a building", "an indoor photo", "a portrait", "a map or a document"),
        min_length=1,
        description="What the others are.",
    )
    sharpness: float = Field(100.0, gt=0, description="Factor of the similarities before they become probabilities.")

    def scores(self, images: Sequence[Image]) -> np.ndarray:
        """Score images; see `OutdoorClassifier`."""
        encoder = loaded_encoder(self.encoder)
        texts = np.asarray(encoder.encode_texts([*self.outdoor, *self.other]), np.float64)
        step = encoder.batch
        batches = [images[start : start + step] for start in range(0, len(images), step)]
        vectors = np.concatenate([np.asarray(encoder.encode_images(batch, "ground"), np.float64) for batch in batches])
        logits = self.sharpness * _unit(vectors) @ _unit(texts).T
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares[:, : len(self.outdoor)].sum(axis=1) / shares.sum(axis=1))

    def identity(self) -> str:
        """Return the digest of the files of weights."""
        path = Path(self.encoder.rpartition("@")[2].partition(":")[2] or self.encoder.rpartition("@")[2])
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        return digest_bytes("".join(digest_file(each) for each in files if each.is_file()).encode())


CLASSIFIERS: Registry[type[BaseModel]] = Registry(
    "mapdata.landmarks.classifiers",
    OutdoorClassifier,
    "classifier",
    {"colour-rule": f"{__name__}:ColourRule", "zero-shot": f"{__name__}:ZeroShot"},
    classes=True,
)
AnyClassifier = Annotated[OutdoorClassifier, ChosenFrom(CLASSIFIERS)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _rule(image: Image) -> float:
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    grey = small.mean(axis=2)
    slope = np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))
    top = slice(0, _SIDE // 3)
    sky = float(((blue >= red - 0.03) & (slope < 0.12))[top].mean())
    lighter = float(grey[top].mean() - grey[-_SIDE // 3 :].mean())
    plants = float(((green > red * 1.03) & (green > blue * 1.03)).mean())
    return float(1 / (1 + np.exp(-(4 * sky + 4 * lighter + 3 * plants - 2))))
