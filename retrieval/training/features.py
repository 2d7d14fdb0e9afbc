"""What towers read: thumbnails, or features of frozen encoders with altered copies, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from torch import Tensor

from retrieval.benchmark import Items, Modality
from retrieval.encode import checked, content_of, encode
from retrieval.encoders.base import Encoder
from retrieval.encoders.colour_texture import views
from retrieval.errors import RetrievalError
from retrieval.images import read_image
from retrieval.pixels import STORED, as_tensor, thumbnail
from retrieval.training.config import PIXELS_NAME

_PART = 256
"""Items of a file of features."""

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
        folder: Where thumbnails and vectors are kept; what was made before, of the same contents, is read.

    Raises:
        RetrievalError: A modality has no items, or one cannot be read.
    """
    made: dict[Modality, Features] = {}
    for modality, encoder in encoders.items():
        own = items[modality]
        if not len(own):
            raise RetrievalError(f"the release has no {modality} items to train on: set `towers: {{{modality}: null}}`")
        contents = [content_of(own, modality, position) for position in range(len(own))]
        values = _kept(folder, *_maker(encoder, modality, copies), modality, contents)
        made[modality] = Features(values, own.landmarks)
    return made


Make = Callable[[Sequence[Any], int], Array]
"""Gives the values (N, V, ...) of contents, from the position of the first of them on."""


def _maker(encoder: Encoder | None, modality: Modality, copies: int) -> tuple[str, Make]:
    """Return a name that changes whenever the values may, and what makes them."""
    if encoder is None:
        return f"{PIXELS_NAME} {STORED}", lambda part, _: np.stack(
            [thumbnail(read_image(path), modality)[None] for path in part]
        )
    if modality == "text":
        return encoder.identity, lambda part, _: encode(encoder, modality, part)[:, None]

    def describe(part: Sequence[Any], first: int) -> Array:
        altered = [views(read_image(path), modality, copies, first + n) for n, path in enumerate(part)]
        made = [checked(encoder.name, encoder.encode_images(each, modality), copies) for each in altered]
        return np.stack(made)

    return f"{encoder.identity} {copies}", describe


def _kept(folder: Path, maker: str, make: Make, modality: Modality, contents: Sequence[Any]) -> Array:
    """Return what `make` gives of all contents, from disk if it was made of the same contents before.

    Parts of it are kept until it is whole, so that a training that was killed goes on with the first that is missing.
    """
    starts = range(0, len(contents), _PART)
    digests = [_digest(content) for content in contents]
    names = [blake3("\0".join([maker, modality, str(n), *digests[n : n + _PART]]).encode()).hexdigest() for n in starts]
    whole = folder / f"{modality}-{blake3(''.join(names).encode()).hexdigest()[:24]}.npy"
    kept = _read(whole)
    if kept is None:
        parts = []
        for start, name in zip(starts, names, strict=True):
            path = folder / f"{modality}-part-{name[:24]}.npy"
            part = _read(path)
            if part is None:
                part = make(contents[start : start + _PART], start)
                _save(path, [part])
            parts.append((path, part))
        _save(whole, [part for _, part in parts])
        for path, _ in parts:
            path.unlink()
        kept = np.load(whole, mmap_mode="r")
    return kept


def _read(path: Path) -> Array | None:
    """Return an array of a file, None where it is missing or damaged."""
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, ValueError, EOFError):
        return None


def _save(path: Path, parts: Sequence[Array]) -> None:
    """Write arrays one after the other as one file, under another name until it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
    table = np.lib.format.open_memmap(temporary, "w+", parts[0].dtype, shape)
    np.concatenate(parts, out=table)
    table.flush()
    temporary.replace(path)


def _digest(content: Path | str) -> str:
    if isinstance(content, str):
        return blake3(content.encode()).hexdigest()
    try:
        return blake3(content.read_bytes()).hexdigest()
    except OSError as error:
        raise RetrievalError(f"{content}: cannot be read ({error}); verify the dataset") from error


def numbers_of(features: Sequence[Features]) -> npt.NDArray[np.int64]:
    """Return the numbers of all landmarks that have an item."""
    return np.unique(np.concatenate([each.landmarks for each in features]))
