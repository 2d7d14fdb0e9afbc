"""Batches: they depend on (seed, step) alone, so that a resumed training gets the same ones; a thread prepares them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from matcher.training.augment import TrainingPair, training_pair
from matcher.training.config import Schedule
from matcher.training.sources import TrainingSource
from raster.levels import HomographyRange

AHEAD = 2
"""Batches prepared while the trainer works on one."""


@dataclass
class Batch:
    """P pairs of crops: the first crop of each, then the second of each.

    Attributes:
        images: 2P x 3 x S x S in [0, 1].
        masks: 2P x 1 x S x S bool, true where there is data.
        labels: 2P x S x S uint8 semantic classes.
        homographies: P x 3 x 3, first crop -> second crop.
        number: Of the batch; batches of the same number are equal.
    """

    images: Tensor
    masks: Tensor
    labels: Tensor
    homographies: Tensor
    number: int

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device.

        Args:
            device: Where to; pinned memory is copied without waiting.

        Returns:
            The tensors, moved where they lie elsewhere.
        """
        tensors = self.images, self.masks, self.labels, self.homographies
        images, masks, labels, homographies = (x.to(device, non_blocking=True) for x in tensors)
        return Batch(images, masks, labels, homographies, self.number)


def make_batch(source: TrainingSource, schedule: Schedule, seed: int, step: int) -> Batch:
    """Return the batch of a step, which depends on `seed` and `step` alone; it is that of an earlier step where the
    schedule repeats batches.

    Args:
        source: Where aligned pairs come from.
        schedule: Size of the batch, its crops and their homographies.
        seed: Seed of the training.
        step: Number of the step.

    Returns:
        The batch on the CPU.
    """
    number = step if schedule.distinct is None else step % schedule.distinct
    rng = np.random.default_rng([seed, number])
    homographies = ramped(schedule, number)
    pairs = [
        training_pair(source.sample(rng), homographies, schedule.crop, rng, schedule.zoom)
        for _ in range(schedule.batch)
    ]
    return collate(pairs, number)


def collate(pairs: list[TrainingPair], number: int) -> Batch:
    """Stack pairs into tensors.

    Args:
        pairs: P pairs whose crops all have the same side, one or more.
        number: Of the batch.

    Returns:
        The batch on the CPU, images float32.
    """
    crops = [pair.crop0 for pair in pairs] + [pair.crop1 for pair in pairs]
    images = torch.from_numpy(np.stack([crop.image for crop in crops])).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(np.stack([crop.mask for crop in crops]))[:, None]
    labels = torch.from_numpy(np.stack([crop.labels for crop in crops]))
    homographies = torch.from_numpy(np.stack([pair.homography for pair in pairs])).float()
    return Batch(images, masks, labels, homographies, number)


def ramped(schedule: Schedule, step: int) -> HomographyRange:
    """Return the range of homographies of a step: linear between the first and the last over the ramp.

    Args:
        schedule: Gives both ends and the length of the ramp.
        step: From 0; after the ramp the last range holds.
    """
    share = min(1.0, step / schedule.ramp_steps)
    limits = zip(schedule.first_homography, schedule.last_homography, strict=True)
    return HomographyRange(**{name: first + share * (last - first) for (name, first), (_, last) in limits})


def prefetched(source: TrainingSource, schedule: Schedule, seed: int, start: int) -> Iterator[Batch]:
    """Yield the batches of the steps from `start` to the end of the schedule.

    Args:
        source: As for `make_batch`.
        schedule: As for `make_batch`.
        seed: As for `make_batch`.
        start: First step.

    Yields:
        Batches on the CPU, in order, prepared by another thread; none where `start` is the end.
    """
    with ThreadPoolExecutor(1) as executor:
        coming = [
            executor.submit(make_batch, source, schedule, seed, step)
            for step in range(start, min(start + AHEAD, schedule.steps))
        ]
        for step in range(start, schedule.steps):
            if step + AHEAD < schedule.steps:
                coming.append(executor.submit(make_batch, source, schedule, seed, step + AHEAD))
            yield coming.pop(0).result()
