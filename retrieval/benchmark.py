"""What a retrieval benchmark is: queries and galleries of several modalities, and the tasks between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from retrieval.errors import RetrievalError

Modality = Literal["ground", "satellite", "text", "coordinates"]

DISTRACTOR = -1
"""Landmark number of an item that belongs to no landmark."""


@dataclass(frozen=True, eq=False)
class Items:
    """Items of one modality.

    Attributes:
        ids: (N,) unique names.
        landmarks: (N,) number of the landmark that each shows, or `DISTRACTOR`.
        lonlat: (N, 2) degrees, or None where places are unknown.
        content: Gives what an encoder reads of the item at a position, the path of an image or a text; or None.
    """

    ids: Sequence[str]
    landmarks: npt.NDArray[np.int64]
    lonlat: npt.NDArray[np.float64] | None = None
    content: Callable[[int], Path | str] | None = None

    def __post_init__(self) -> None:
        """Raise RetrievalError for an id that stands twice: vectors are found by it."""
        seen: set[str] = set()
        for name in self.ids:
            if name in seen:
                raise RetrievalError(f"the id {name} stands twice among items of one kind; repair the dataset")
            seen.add(name)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Queries and galleries by modality.

    Attributes:
        name: Name of the dataset.
        queries: Items that ask.
        galleries: Items among which the answer is; a gallery holds the queries' own modality, too.
        lonlat: (L, 2) degrees, the place of each landmark by its number.
        groups: For breakdowns, a label of each landmark by its number: {"category": (L,), "state": (L,)}.
        ids: Names of the landmarks by their numbers; empty where the dataset has none.
    """

    name: str
    queries: Mapping[Modality, Items]
    galleries: Mapping[Modality, Items]
    lonlat: npt.NDArray[np.float64]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ids: Sequence[str] = ()

    def digest(self) -> str:
        """Return what two copies of the same dataset have in common: a digest of names, landmarks and places."""
        whole = blake3(self.name.encode())
        for side in (self.queries, self.galleries):
            for modality in sorted(side):
                items = side[modality]
                whole.update("\0".join([modality, *items.ids]).encode())
                whole.update(items.landmarks.astype("<i8").tobytes())
        whole.update(np.round(self.lonlat, 6).astype("<f8").tobytes())
        return whole.hexdigest()[:32]


@dataclass(frozen=True)
class Task:
    """From items of one modality to items of another; to coordinates it is geolocation."""

    name: str
    query: Modality
    gallery: Modality


TASKS = {
    task.name: task
    for task in (
        Task("G2S", "ground", "satellite"),
        Task("S2G", "satellite", "ground"),
        Task("T2G", "text", "ground"),
        Task("T2S", "text", "satellite"),
        Task("G2C", "ground", "coordinates"),
        Task("S2C", "satellite", "coordinates"),
        Task("T2C", "text", "coordinates"),
    )
}
"""The seven tasks of MMLandmarks, in its order."""
