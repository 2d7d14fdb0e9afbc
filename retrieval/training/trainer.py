"""Training the towers. The same seed gives the same losses, also when a killed run goes on.

What a step draws depends on the seed and the number of the step alone, so a checkpoint needs no state of generators.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raster.disk import atomic_path
from retrieval.benchmark import Modality
from retrieval.errors import RetrievalError
from retrieval.model import PIXELS, FeatureTower, Towers, contrastive_loss, same_group
from retrieval.training.config import Schedule
from retrieval.training.features import Features, numbers_of
from retrieval.training.sampler import Batch, Sampler

Report = Callable[[dict[str, float]], None]

_CHUNK = 256
"""Images that are embedded at once where no gradient is needed."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What is trained on.

    Attributes:
        features: By modality.
        lonlat: (L, 2) degrees, the place of each landmark by its number.
        training: Numbers of the landmarks that train.
        validation: Numbers of landmarks that are kept aside to choose the best step; they should lie apart in space.
        groups: Category of each landmark by its number, for hard batches; empty for none.
    """

    features: Mapping[Modality, Features]
    lonlat: npt.NDArray[np.float64]
    training: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    groups: Sequence[str] = ()


@dataclass
class Trained:
    """What training gave: the towers of the best validation, and the losses of every validation."""

    towers: Towers
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    given: TrainingSet, schedule: Schedule, seed: int, folder: Path, device: str = "cpu", report: Report | None = None
) -> Trained:
    """Train towers.

    Args:
        given: What is trained on.
        schedule: How.
        seed: Of everything drawn.
        folder: For the checkpoint; a run that was killed goes on from it.
        device: A torch device.
        report: Is told the losses of every validation.

    Raises:
        RetrievalError: There are fewer than two modalities or landmarks, or the checkpoint is of other settings.
    """
    if len(given.features) < 2:
        raise RetrievalError("training needs two modalities at least, beside coordinates: name encoders of two towers")
    training = np.intersect1d(numbers_of(list(given.features.values())), given.training)
    if len(training) < 2:
        raise RetrievalError("training needs two landmarks at least")
    torch.manual_seed(seed)
    towers = Towers(
        {name: PIXELS if each.are_pixels else each.values.shape[2] for name, each in given.features.items()},
        schedule.dimensions,
        schedule.components,
        dropout=schedule.dropout,
    ).to(device)
    state = _State(towers, schedule, seed, folder)
    sampler = Sampler(given.features, given.lonlat, training, schedule, seed, given.groups)
    held_out = None
    if len(given.validation) > 1:
        held_out = Sampler(given.features, given.lonlat, given.validation, schedule, seed)
    _, inverse = np.unique(np.array(given.groups or [""] * len(given.lonlat)), return_inverse=True)
    codes = torch.from_numpy(inverse).to(device) if given.groups else None
    with _one_thread():
        _whiten(towers, given.features, training)
        for step in range(state.resume(), schedule.steps):
            torch.manual_seed(seed * 1_000_003 + step)
            towers.train()
            loss = _loss(_embedded(towers, sampler.batch(step), device), towers, schedule, codes)
            state.step(loss)
            if (step + 1) % schedule.validate_every == 0 or step + 1 == schedule.steps:
                entry = state.validate(step + 1, float(loss.detach()), held_out, device)
                if report is not None:
                    report(entry)
    towers.load_state_dict(state.best)
    return Trained(towers.eval(), state.history)


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


def _whiten(towers: Towers, features: Mapping[Modality, Features], training: npt.NDArray[np.int64]) -> None:
    for name, each in features.items():
        tower = towers.towers[name]
        if isinstance(tower, FeatureTower):
            own = each.of(training).values[:, 0]
            tower.whiten(torch.from_numpy(np.ascontiguousarray(own)))


class _State:
    """Everything that a checkpoint holds."""

    def __init__(self, towers: Towers, schedule: Schedule, seed: int, folder: Path) -> None:
        decayed = [p for n, p in towers.named_parameters() if n != "temperature"]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": [towers.temperature], "weight_decay": 0.0}]
        rate = schedule.learning_rate
        self.towers = towers
        self.optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=schedule.weight_decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, rate, schedule.steps)
        self.path = folder / "checkpoint.pt"
        self.settings = {"seed": seed, **schedule.model_dump(mode="json")}
        self.given = schedule
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {k: v.clone() for k, v in towers.state_dict().items()}
        self._lowest = float("inf")

    def resume(self) -> int:
        """Load the checkpoint, if there is one, and return the next step."""
        if not self.path.is_file():
            return 0
        try:
            saved = torch.load(self.path, weights_only=True)
        except Exception as error:  # torch's reader lets through whatever damaged bytes lead it to
            raise RetrievalError(f"{self.path}: cannot be read ({error}); delete it to begin anew") from error
        other = f"{self.path}: was made with other settings; name another folder or delete it"
        try:
            if saved["settings"] != self.settings:
                raise RetrievalError(other)
            self.towers.load_state_dict(saved["towers"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.schedule.load_state_dict(saved["schedule"])
            self.best, self._lowest, self.history = saved["best"], saved["lowest"], saved["history"]
            return int(saved["step"])
        except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise RetrievalError(other) from error

    def step(self, loss: Tensor) -> None:
        """Follow the gradient of a loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        with torch.no_grad():
            self.towers.temperature.clamp_(max=float(np.log(100)))

    def validate(self, step: int, loss: float, held_out: Sampler | None, device: str) -> dict[str, float]:
        """Measure ranks among landmarks kept aside, keep the best, and write the checkpoint.

        Ranks choose, not the loss: with few landmarks the loss rises long before the order is at its best, as the
        scores become too far apart. The calibration repairs that.
        """
        self.towers.eval()
        measured = loss
        if held_out is not None:
            with torch.no_grad():
                measured = mean_log_rank(_embedded(self.towers, held_out.whole(), device))
        entry = {"step": step, "loss": loss, "validation": measured}
        self.history.append(entry)
        if measured < self._lowest or held_out is None:
            self._lowest = measured
            self.best = {k: v.clone() for k, v in self.towers.state_dict().items()}
        saved = {
            "step": step,
            "settings": self.settings,
            "towers": self.towers.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best": self.best,
            "lowest": self._lowest,
            "history": self.history,
        }
        with atomic_path(self.path) as temporary:
            torch.save(saved, temporary)
        with atomic_path(self.path.parent / "history.json") as temporary:
            temporary.write_text(json.dumps(self.history, indent=1), encoding="utf-8")
        return entry


Embedded = Mapping[Modality, tuple[Tensor, Tensor]]
"""Modality -> embeddings (N, D) and landmarks (N,)."""


def _embedded(towers: Towers, batch: Batch, device: str) -> Embedded:
    found: dict[Modality, tuple[Tensor, Tensor]] = {}
    for name, (values, landmarks) in batch.items():
        if len(values):
            parts = [values] if torch.is_grad_enabled() else values.split(_CHUNK)
            embedded = torch.cat([towers(name, part.to(device)) for part in parts])
            found[name] = embedded, landmarks.to(device)
    return found


def _loss(embedded: Embedded, towers: Towers, schedule: Schedule, codes: Tensor | None) -> Tensor:
    """Return the mean loss over pairs of modalities; `codes` gives the category of each landmark by its number."""
    pairs: Sequence[tuple[Modality, Modality]] = list(combinations(embedded, 2))
    if schedule.pairing == "ground-centred":
        pairs = [pair for pair in pairs if "ground" in pair]
    factor = towers.temperature.exp()
    losses = []
    for a, b in pairs:
        landmarks = embedded[a][1], embedded[b][1]
        related = None
        if codes is not None and schedule.category_share and "coordinates" not in (a, b):
            related = same_group((codes[landmarks[0]], codes[landmarks[1]]), landmarks, schedule.category_share)
        losses.append(contrastive_loss(embedded[a][0], embedded[b][0], landmarks, factor, related))
    return torch.stack(losses).mean()


def mean_log_rank(embedded: Embedded) -> float:
    """Return the mean of log2(1 + rank of the first right answer) over all items and other modalities."""
    found = []
    for a, b in permutations(embedded, 2):
        scores = embedded[a][0] @ embedded[b][0].T
        right = embedded[a][1][:, None] == embedded[b][1][None, :]
        best = scores.masked_fill(~right, -torch.inf).amax(dim=1, keepdim=True)
        ranks = ((scores >= best) & ~right).sum(dim=1)[right.any(dim=1)]
        found.append(torch.log2(1 + ranks.double()).mean())
    return float(torch.stack(found).mean())
