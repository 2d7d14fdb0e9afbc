"""The training loop: batches in, losses out, checkpoints, metrics and validation on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from matcher.precision import mixed_precision
from matcher.training.batches import Batch, prefetched
from matcher.training.checkpoint import Ema, TrainingProgress, load_checkpoint, save_checkpoint, save_whole
from matcher.training.config import Schedule, TrainingConfig
from matcher.training.metrics import MetricsLog
from matcher.training.sources import TrainingSource

Losses = dict[str, Tensor]
Validate = Callable[[Any, int], dict[str, float]]

CLIP = 1.0
WEIGHT_DECAY = 0.01
SELECTED = "validation"
"""The validation figure by which the best average is kept."""


@dataclass
class Task:
    """What is trained: a network whose call on a batch gives losses, one of them "total"."""

    network: nn.Module
    validate: Validate | None
    """Measures a network (with averaged weights) at a step; its figure "validation" chooses the best."""


class Trainer:
    """Trains one task in one folder: `checkpoint.pt`, `best.pt`, `metrics.csv` and TensorBoard's events."""

    def __init__(self, config: TrainingConfig, task: Task, source: TrainingSource, device: torch.device) -> None:
        """Prepare a training, or go on from the checkpoint in its folder.

        Args:
            config: Gives folder, seed and schedule.
            task: What is trained; its network is moved to the device.
            source: Where aligned pairs come from.
            device: Where it is trained; batches are moved there.
        """
        self.config, self.task, self.source, self.device = config, task, source, device
        self.folder = config.output
        self.folder.mkdir(parents=True, exist_ok=True)
        task.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        trained = [p for p in task.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=config.schedule.learning_rate, weight_decay=WEIGHT_DECAY)
        self.ema = Ema(task.network, config.schedule.ema)
        self.progress = TrainingProgress()
        if self.checkpoint.exists():
            self.progress = load_checkpoint(self.checkpoint, task.network, self.ema, self.optimizer)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def run(self) -> TrainingProgress:
        """Train to the schedule's end, from wherever the folder's checkpoint is."""
        schedule = self.config.schedule
        saved = time.monotonic()
        with MetricsLog(self.folder, self.progress.step) as log:
            for batch in prefetched(self.source, schedule, self.config.seed, self.progress.step):
                began = time.monotonic()
                figures = self._step(batch.to(self.device))
                self.progress.step += 1
                log.write(self.progress.step, {**figures, "seconds": time.monotonic() - began})
                last = self.progress.step == schedule.steps
                if self.task.validate and (self.progress.step % schedule.validate_every == 0 or last):
                    log.write(self.progress.step, self._validate())
                if last or time.monotonic() - saved > schedule.checkpoint_s:
                    self._save()
                    saved = time.monotonic()
        return self.progress

    def _step(self, batch: Batch) -> dict[str, float]:
        network = self.task.network.train()
        rate = learning_rate(self.config.schedule, self.progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with mixed_precision(self.device):
            losses: Losses = network(batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.ema.update(network)
        return {name: float(value.detach()) for name, value in losses.items()} | {"gradient": float(norm), "rate": rate}

    def _validate(self) -> dict[str, float]:
        assert self.task.validate is not None
        network = self.task.network.eval()
        raw = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.ema.state)
        figures = self.task.validate(network, self.progress.step)
        network.load_state_dict(raw)
        if figures[SELECTED] > self.progress.best:
            self.progress.best = figures[SELECTED]
            save_whole(self.folder / "best.pt", self.ema.state)
        return figures

    def _save(self) -> None:
        save_checkpoint(self.checkpoint, self.task.network, self.ema, self.optimizer, self.progress)


def learning_rate(schedule: Schedule, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine down to a hundredth.

    Args:
        schedule: Gives the peak, the warm-up and the number of steps.
        step: From 0.
    """
    warm = min(1.0, (step + 1) / schedule.warmup)
    share = min(1.0, step / schedule.steps)
    return schedule.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
