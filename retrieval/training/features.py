"""What towers read: thumbnails, or features of frozen encoders with altered copies, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from torch import Tensor

from raster.disk import atomic_path
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
        parts = parts_of(items[modality], modality, encoder, copies, folder)
        made[modality] = Features(_joined(parts, encoder, modality, copies), items[modality].landmarks)
    return made


@dataclass(frozen=True)
class Part:
    """Some of the items of a modality.

    Attributes:
        path: The file that keeps their values, named by what they are made of.
        whole: The file that keeps the values of all items.
        start: Position of the first of them.
        contents: Paths of images, or texts.
    """

    path: Path
    whole: Path
    start: int
    contents: Sequence[Path | str]


def parts_of(items: Items, modality: Modality, encoder: Encoder | None, copies: int, folder: Path) -> list[Part]:
    """Return the parts in which the values of a modality are made.

    Args:
        items: Of the modality.
        modality: Of the items.
        encoder: Its encoder; None for thumbnails.
        copies: Copies of an image for a frozen encoder.
        folder: Of the files.

    Raises:
        RetrievalError: There are no items, or a file cannot be read.
    """
    if not len(items):
        raise RetrievalError(f"the release has no {modality} items to train on: set `towers: {{{modality}: null}}`")
    contents: list[Any] = [content_of(items, modality, position) for position in range(len(items))]
    digests = [_digest(content) for content in contents]
    maker = f"{PIXELS_NAME} {STORED}" if encoder is None else f"{encoder.identity} {copies}"
    starts = range(0, len(contents), _PART)
    names = [blake3("\0".join([maker, modality, str(n), *digests[n : n + _PART]]).encode()).hexdigest() for n in starts]
    whole = folder / f"{modality}-{blake3(''.join(names).encode()).hexdigest()[:24]}.npy"
    return [
        Part(folder / f"{modality}-part-{name[:24]}.npy", whole, start, contents[start : start + _PART])
        for start, name in zip(starts, names, strict=True)
    ]


def make_part(part: Part, encoder: Encoder | None, modality: Modality, copies: int) -> Array:
    """Make the values of a part, and keep them in its file.

    Args:
        part: Which items.
        encoder: Their encoder; None for thumbnails.
        modality: Of the items.
        copies: Copies of an image for a frozen encoder.

    Returns:
        (N, V, D) or (N, 1, S, S, 3), see `Features`.

    Raises:
        RetrievalError: An item cannot be read, or the encoder gives no table of finite numbers.
    """
    contents: Sequence[Any] = part.contents
    if encoder is None:
        values: Array = np.stack([thumbnail(read_image(path), modality)[None] for path in contents])
    elif modality == "text":
        values = encode(encoder, modality, contents)[:, None]
    else:
        altered = [views(read_image(path), modality, copies, part.start + n) for n, path in enumerate(contents)]
        values = np.stack([checked(encoder.name, encoder.encode_images(v, modality), copies) for v in altered])
    _save(part.path, [values])
    return values


def are_made(parts: Sequence[Part]) -> bool:
    """Tell whether the values of all parts are kept as one.

    Args:
        parts: Those of one modality.
    """
    return _read(parts[0].whole) is not None


def _joined(parts: Sequence[Part], encoder: Encoder | None, modality: Modality, copies: int) -> Array:
    """Return the values of all parts. Parts are kept until they are one file: a training that was killed goes on with
    the first that is missing."""
    kept = _read(parts[0].whole)
    if kept is not None:
        return kept
    values = []
    for part in parts:
        known = _read(part.path)
        values.append(make_part(part, encoder, modality, copies) if known is None else known)
    _save(parts[0].whole, values)
    for part in parts:
        part.path.unlink()
    return np.asarray(np.load(parts[0].whole, mmap_mode="r"))


def _read(path: Path) -> Array | None:
    """Return an array of a file, None where it is missing or damaged."""
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, ValueError, EOFError):
        return None


def _save(path: Path, parts: Sequence[Array]) -> None:
    """Write arrays one after the other as one file, under another name until it is whole."""
    shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
    head = {"descr": np.lib.format.dtype_to_descr(parts[0].dtype), "fortran_order": False, "shape": shape}
    # Not through a map of memory: on a full disk the system would end the process without a word.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, head)
        for part in parts:
            file.write(np.ascontiguousarray(part).data)


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
