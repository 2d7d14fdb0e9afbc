"""What towers read: thumbnails, or features of frozen encoders with altered copies, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from torch import Tensor

from retrieval.benchmark import Items, Modality
from retrieval.encode import VectorCache, encode_items
from retrieval.encoders.base import Encoder
from retrieval.encoders.colour_texture import views
from retrieval.images import read_image
from retrieval.pixels import STORED, as_tensor, thumbnail
from retrieval.training.config import PIXELS_NAME

Array = npt.NDArray[np.float32] | npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Features:
    """What the tower of one modality reads.

    Attributes:
        values: (N, V, D) float32: features of V altered copies of each of N items, the unaltered first; or
            (N, 1, S, S, 3) uint8: thumbnails.
        landmarks: (N,) number of the landmark of each item.
    """

    values: Array
    landmarks: npt.NDArray[np.int64]

    @property
    def are_pixels(self) -> bool:
        """Whether they are thumbnails."""
        return self.values.ndim == 5

    def tensor(self, items: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | int = 0) -> Tensor:
        """Return what a tower reads of some items: thumbnails as (N, 3, S, S) in [0, 1], or features (N, D).

        Args:
            items: (N,) positions.
            copies: (N,) which altered copy of each, or one number for all.
        """
        values = self.values[items, 0 if self.are_pixels else copies]
        if self.are_pixels:
            return as_tensor(np.asarray(values, np.uint8))
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))

    def of(self, landmarks: npt.NDArray[np.int64]) -> Features:
        """Return the items of some landmarks."""
        kept = np.isin(self.landmarks, landmarks)
        return Features(self.values[kept], self.landmarks[kept])


def make_features(
    items: Mapping[Modality, Items], encoders: Mapping[Modality, Encoder | None], copies: int, folder: Path
) -> dict[Modality, Features]:
    """Make the features of all modalities.

    Args:
        items: By modality.
        encoders: Of each modality; None for thumbnails.
        copies: Copies of an image for a frozen encoder.
        folder: Where thumbnails and vectors are kept; what was made before, for the same items, is read.

    Raises:
        RetrievalError: An item cannot be read.
    """
    made: dict[Modality, Features] = {}
    for modality, encoder in encoders.items():
        own = items[modality]
        if encoder is None:
            values: Array = _thumbnails(own, modality, folder)[:, None]
        elif modality == "text":
            cache = VectorCache(folder / "vectors.sqlite")
            values = encode_items(encoder, modality, own, cache)[:, None]
            cache.close()
        else:
            values = _copies(own, modality, encoder, copies, folder)
        made[modality] = Features(values, own.landmarks)
    return made


def _thumbnails(items: Items, modality: Modality, folder: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(
        _kept(folder, f"{PIXELS_NAME} {STORED}", modality, items, lambda image: thumbnail(image, modality)), np.uint8
    )


def _copies(items: Items, modality: Modality, encoder: Encoder, copies: int, folder: Path) -> Array:
    count = iter(range(len(items)))

    def describe(image: npt.NDArray[np.uint8]) -> Array:
        return encoder.encode_images(views(image, modality, copies, next(count)), modality)

    return _kept(folder, f"{encoder.identity} {copies}", modality, items, describe)


def _kept(folder: Path, maker: str, modality: Modality, items: Items, make: object) -> Array:
    """Return an array with what `make` gives for every image, from disk if it was made before."""
    assert callable(make)
    name = blake3("\0".join([maker, modality, *items.ids]).encode()).hexdigest()[:24]
    path = folder / f"{modality}-{name}.npy"
    if path.is_file():
        return np.asarray(np.load(path, mmap_mode="r"))
    values = np.stack([make(read_image(_path(items, position))) for position in range(len(items))])
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.save(file, values)
    temporary.replace(path)
    return values


def _path(items: Items, position: int) -> Path:
    assert items.content is not None
    return Path(items.content(position))


def numbers_of(features: Sequence[Features]) -> npt.NDArray[np.int64]:
    """Return the numbers of all landmarks that have an item."""
    return np.unique(np.concatenate([each.landmarks for each in features]))
