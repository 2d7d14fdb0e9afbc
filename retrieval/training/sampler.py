"""Batches of landmarks with items of every modality. What a batch holds depends on the seed and the step alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from retrieval.benchmark import Modality
from retrieval.pixels import altered
from retrieval.training.config import Schedule
from retrieval.training.features import Features

Batch = Mapping[Modality, tuple[Tensor, Tensor]]
"""Modality -> what its tower reads, and the number of each item's landmark (N,)."""

_PLACE_NOISE_DEG = 0.05


class Sampler:
    """Draws batches."""

    def __init__(
        self,
        features: Mapping[Modality, Features],
        lonlat: npt.NDArray[np.float64],
        landmarks: npt.NDArray[np.int64],
        schedule: Schedule,
        seed: int,
        groups: Sequence[str] = (),
    ) -> None:
        """Take some landmarks.

        Args:
            features: By modality.
            lonlat: (L, 2) degrees, by the landmark's number.
            landmarks: Numbers of the landmarks that are drawn.
            schedule: How large batches are.
            seed: Of everything drawn.
            groups: Category of each landmark by its number, for hard batches; empty for none.
        """
        self._features = {name: each.of(landmarks) for name, each in features.items()}
        self._lonlat, self._landmarks, self._schedule, self._seed = lonlat, landmarks, schedule, seed
        self._label = {name: self._labels(name, each.landmarks) for name, each in self._features.items()}
        group = np.array([groups[number] for number in landmarks]) if len(groups) else np.zeros(len(landmarks))
        self._groups = [landmarks[group == each] for each in np.unique(group)]

    def _labels(self, name: str, landmarks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the landmarks that items are said to show: in a control, others, each modality its own."""
        if not self._schedule.shuffled:
            return landmarks
        random = np.random.default_rng([self._seed, *name.encode()])
        other = dict(zip(self._landmarks.tolist(), random.permutation(self._landmarks).tolist(), strict=True))
        return np.array([other[number] for number in landmarks.tolist()], np.int64)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        random = np.random.default_rng([self._seed, step])
        among = self._landmarks
        if random.random() < self._schedule.hard_share:
            among = self._groups[int(random.integers(len(self._groups)))]
        count = min(self._schedule.landmarks_per_step, len(among))
        chosen = random.choice(among, count, replace=False)
        batch: dict[Modality, tuple[Tensor, Tensor]] = {}
        for name, each in self._features.items():
            items = self._drawn(self._label[name], chosen, random)
            landmarks = torch.from_numpy(self._label[name][items])
            values = each.tensor(items, random.integers(0, each.values.shape[1], len(items)))
            batch[name] = altered(values, name, random) if each.are_pixels and len(items) else values, landmarks
        places = self._lonlat[chosen] + random.normal(0, _PLACE_NOISE_DEG, (count, 2))
        batch["coordinates"] = torch.from_numpy(places.astype(np.float32)), torch.from_numpy(chosen)
        return batch

    def whole(self) -> Batch:
        """Return all items, unaltered."""
        batch: dict[Modality, tuple[Tensor, Tensor]] = {}
        for name, each in self._features.items():
            batch[name] = each.tensor(np.arange(len(each.landmarks))), torch.from_numpy(self._label[name])
        places = torch.from_numpy(self._lonlat[self._landmarks].astype(np.float32))
        batch["coordinates"] = places, torch.from_numpy(self._landmarks)
        return batch

    def _drawn(
        self, labels: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64], random: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Return positions of at most so many items of each chosen landmark."""
        order = random.permutation(np.flatnonzero(np.isin(labels, chosen)))
        order = order[np.argsort(labels[order], kind="stable")]
        ordered = labels[order]
        first = np.searchsorted(ordered, ordered, side="left")
        return order[np.arange(len(order)) - first < self._schedule.items_per_landmark]
