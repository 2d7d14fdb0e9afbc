"""Training the heads on cached features. The same seed gives the same losses, also when a killed run goes on.

What a step draws depends on the seed and the number of the step alone, so a checkpoint needs no state of generators.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from retrieval.benchmark import Modality
from retrieval.errors import RetrievalError
from retrieval.model import Heads, contrastive_loss

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Features:
    """Frozen features of one modality.

    Attributes:
        values: (N, V, D): V altered copies of each of N items, the unaltered first.
        landmarks: (N,) number of the landmark of each item.
    """

    values: Floats
    landmarks: npt.NDArray[np.int64]

    def of(self, landmarks: npt.NDArray[np.int64]) -> Features:
        """Return the items of some landmarks.

        Args:
            landmarks: Numbers of landmarks, in any order; those without an item are ignored.

        Returns:
            The items in the order that they have here.
        """
        kept = np.isin(self.landmarks, landmarks)
        return Features(self.values[kept], self.landmarks[kept])


@dataclass(frozen=True)
class TrainingConfig:
    """How the heads are trained.

    Attributes:
        steps: Optimiser steps.
        landmarks_per_step: Landmarks in a batch.
        items_per_landmark: Items of each modality and landmark in a batch, at most.
        learning_rate: Of AdamW, at its highest.
        weight_decay: Of AdamW.
        pairing: `complete`: all pairs of modalities; `ground-centred`: photographs against each other modality.
        dimensions: Length of an embedding.
        seed: Of everything drawn.
        validate_every: Steps between validations and checkpoints.
        shuffled: Train on wrong correspondence, as a control.
    """

    steps: int = 600
    landmarks_per_step: int = 192
    items_per_landmark: int = 2
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    pairing: Literal["complete", "ground-centred"] = "complete"
    dimensions: int = 128
    seed: int = 0
    validate_every: int = 50
    shuffled: bool = False


@dataclass
class Trained:
    """What training gave: the heads of the best validation, and the losses of every validation."""

    heads: Heads
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    features: Mapping[Modality, Features],
    lonlat: npt.NDArray[np.float64],
    validation: npt.NDArray[np.int64],
    config: TrainingConfig,
    folder: Path,
    device: str = "cpu",
) -> Trained:
    """Train heads.

    Args:
        features: Those of the training split, by modality.
        lonlat: (L, 2) degrees, the place of each landmark by its number.
        validation: Numbers of landmarks that are kept aside to choose the best step; they should lie apart in space.
        config: How.
        folder: For the checkpoint; a run that was killed goes on from it.
        device: A torch device.

    Raises:
        RetrievalError: There are fewer than two modalities or no landmarks, or the checkpoint is of other settings.
    """
    numbers = np.unique(np.concatenate([each.landmarks for each in features.values()]))
    training = np.setdiff1d(numbers, validation)
    if len(features) < 2 or len(training) < 2:
        raise RetrievalError("training needs two modalities and two landmarks at least")
    torch.manual_seed(config.seed)
    heads = Heads({name: each.values.shape[2] for name, each in features.items()}, config.dimensions).to(device)
    decayed = [p for n, p in heads.named_parameters() if n != "temperature"]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": [heads.temperature], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, config.steps)
    state = _State(heads, optimiser, schedule, folder / "checkpoint.pt", config)
    sampler = _Sampler(features, lonlat, training, config, device)
    held_out = _Sampler(features, lonlat, validation, config, device) if len(validation) > 1 else None
    with _one_thread():
        for step in range(state.resume(), config.steps):
            torch.manual_seed(config.seed * 1_000_003 + step)
            heads.train()
            loss = _loss(heads, sampler.batch(step), config.pairing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                heads.temperature.clamp_(max=float(np.log(100)))
            if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
                state.validate(step + 1, float(loss.detach()), held_out)
    heads.load_state_dict(state.best)
    return Trained(heads.eval(), state.history)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: sums of several threads differ in their last bits from one number of threads to
    another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _State:
    """Everything that a checkpoint holds."""

    def __init__(self, heads: Heads, optimiser: Any, schedule: Any, path: Path, config: TrainingConfig) -> None:
        self.heads, self.optimiser, self.schedule = heads, optimiser, schedule
        self.path, self.config = path, config
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {k: v.clone() for k, v in heads.state_dict().items()}
        self._lowest = float("inf")

    def resume(self) -> int:
        """Load the checkpoint, if there is one, and return the next step."""
        if not self.path.is_file():
            return 0
        saved = torch.load(self.path, weights_only=True)
        if saved["config"] != asdict(self.config):
            raise RetrievalError(f"{self.path}: was made with other settings; name another folder or delete it")
        self.heads.load_state_dict(saved["heads"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        self.best, self._lowest, self.history = saved["best"], saved["lowest"], saved["history"]
        return int(saved["step"])

    def validate(self, step: int, loss: float, held_out: _Sampler | None) -> None:
        """Measure the loss on landmarks kept aside, keep the best, and write the checkpoint."""
        self.heads.eval()
        with torch.no_grad():
            measured = loss if held_out is None else float(_loss(self.heads, held_out.whole(), self.config.pairing))
        self.history.append({"step": step, "loss": loss, "validation": measured})
        if measured < self._lowest or held_out is None:
            self._lowest = measured
            self.best = {k: v.clone() for k, v in self.heads.state_dict().items()}
        saved = {
            "step": step,
            "config": asdict(self.config),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best": self.best,
            "lowest": self._lowest,
            "history": self.history,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            torch.save(saved, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        (self.path.parent / "history.json").write_text(json.dumps(self.history, indent=1), encoding="utf-8")


Batch = Mapping[Modality, tuple[Tensor, Tensor]]
"""Modality -> features (N, D) and landmarks (N,)."""


class _Sampler:
    """Draws batches of landmarks with items of every modality."""

    def __init__(
        self,
        features: Mapping[Modality, Features],
        lonlat: npt.NDArray[np.float64],
        landmarks: npt.NDArray[np.int64],
        config: TrainingConfig,
        device: str,
    ) -> None:
        self._features = {name: each.of(landmarks) for name, each in features.items()}
        self._lonlat, self._landmarks, self._config, self._device = lonlat, landmarks, config, device
        self._label = {name: self._labels(name, each.landmarks) for name, each in self._features.items()}

    def _labels(self, name: str, landmarks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the landmarks that items are said to show: in a control, others, each modality its own."""
        if not self._config.shuffled:
            return landmarks
        random = np.random.default_rng([self._config.seed, *name.encode()])
        other = dict(zip(self._landmarks.tolist(), random.permutation(self._landmarks).tolist(), strict=True))
        return np.array([other[number] for number in landmarks.tolist()], np.int64)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        random = np.random.default_rng([self._config.seed, step])
        count = min(self._config.landmarks_per_step, len(self._landmarks))
        chosen = random.choice(self._landmarks, count, replace=False)
        batch: dict[Modality, tuple[Tensor, Tensor]] = {}
        for name, each in self._features.items():
            items = self._drawn(self._label[name], chosen, random)
            views = random.integers(0, each.values.shape[1], len(items))
            batch[name] = self._tensors(each.values[items, views], self._label[name][items])
        places = self._lonlat[chosen] + random.normal(0, 0.05, (count, 2))
        batch["coordinates"] = self._tensors(places.astype(np.float32), chosen)
        return batch

    def whole(self) -> Batch:
        """Return all items, unaltered."""
        batch: dict[Modality, tuple[Tensor, Tensor]] = {
            name: self._tensors(each.values[:, 0], self._label[name]) for name, each in self._features.items()
        }
        batch["coordinates"] = self._tensors(self._lonlat[self._landmarks].astype(np.float32), self._landmarks)
        return batch

    def _drawn(
        self, labels: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64], random: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Return positions of at most so many items of each chosen landmark."""
        order = random.permutation(np.flatnonzero(np.isin(labels, chosen)))
        order = order[np.argsort(labels[order], kind="stable")]
        ordered = labels[order]
        first = np.searchsorted(ordered, ordered, side="left")
        return order[np.arange(len(order)) - first < self._config.items_per_landmark]

    def _tensors(self, values: Floats, landmarks: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(values).to(self._device), torch.from_numpy(landmarks).to(self._device)


def _loss(heads: Heads, batch: Batch, pairing: str) -> Tensor:
    embedded = {name: (heads(name, values), landmarks) for name, (values, landmarks) in batch.items() if len(values)}
    pairs: Sequence[tuple[Modality, Modality]] = list(combinations(embedded, 2))
    if pairing == "ground-centred":
        pairs = [pair for pair in pairs if "ground" in pair]
    losses = [
        contrastive_loss(embedded[a][0], embedded[b][0], (embedded[a][1], embedded[b][1]), heads.temperature.exp())
        for a, b in pairs
    ]
    return torch.stack(losses).mean()
