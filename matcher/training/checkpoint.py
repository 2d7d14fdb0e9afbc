"""Checkpoints: everything that a killed training needs to reach the same final state, written atomically."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from matcher.errors import WeightsError
from raster.disk import atomic_path


class Ema:
    """Exponential moving average of a network's parameters and buffers; it follows faster in its first updates."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Begin with the values that the network has.

        Args:
            network: On the device on which the averages are to be.
            decay: Share of the average that an update keeps, 0 to 1, after the first updates.
        """
        self.decay = decay
        self.updates = 0
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the network."""
        self.updates += 1
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, share)
            else:
                self.state[name].copy_(value)


@dataclass
class TrainingProgress:
    """What changes in a run: the step reached and the best validation so far."""

    step: int = 0
    best: float = -1.0


def save_checkpoint(
    path: Path, network: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, progress: TrainingProgress
) -> None:
    """Write the state of a training atomically: a kill at any instant leaves the old file or the new one.

    Args:
        path: The file.
        network: The network.
        ema: Its averaged weights.
        optimizer: The optimizer.
        progress: The progress.

    Raises:
        OSError: The disk is full; the old file stays.
    """
    state: dict[str, Any] = {
        "network": network.state_dict(),
        "ema": ema.state,
        "ema_updates": ema.updates,
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
        "random": torch.get_rng_state(),
    }
    save_whole(path, state)


def save_whole(path: Path, state: dict[str, Any]) -> None:
    """Write tensors atomically.

    Args:
        path: The file.
        state: What torch can write.

    Raises:
        OSError: The disk is full; the old file stays.
    """
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, network: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer) -> TrainingProgress:
    """Restore network, averaged weights, optimizer and torch's random state.

    Args:
        path: The file.
        network: The network.
        ema: Its averaged weights.
        optimizer: The optimizer.

    Returns:
        The progress.

    Raises:
        WeightsError: The file is damaged, or of a training with other settings.
    """
    state = load_whole(path)
    try:
        network.load_state_dict(state["network"])
        averaged: dict[str, Tensor] = state["ema"]
        for name, value in averaged.items():
            ema.state[name].copy_(value)
        ema.updates = state["ema_updates"]
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        return TrainingProgress(**state["progress"])
    except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path}: the checkpoint of a training with other settings ({_first_line(error)}); name another `output`, "
            "or delete it to begin anew"
        ) from error


def load_whole(path: Path) -> dict[str, Any]:
    """Read tensors that a training wrote.

    Args:
        path: The file.

    Raises:
        WeightsError: It is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:  # torch's reader lets through whatever damaged bytes lead it to
        raise WeightsError(f"{path}: damaged ({_first_line(error)}); delete it and train again") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
