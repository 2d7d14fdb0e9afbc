"""One training run from its configuration: sources, network, trainer, weights."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from matcher.mapglue.weights import read_state, save_weights
from matcher.training.checkpoint import Progress
from matcher.training.config import TrainingConfig, resolve
from matcher.training.scenes import fill_pool, scene_pool
from matcher.training.sources import Mixture, PseudoSource, RealSource, SceneSource, Source
from matcher.training.stages import Stage, build_stage
from matcher.training.trainer import Task, Trainer
from matcher.training.validation import Validation


def train(config: TrainingConfig, device: torch.device) -> Progress:
    """Draw missing scenes, train to the schedule's end (from the output folder's checkpoint, if there is one) and write
    `weights.safetensors` from the averaged network that validated best, or the last one without validation data.
    """
    source, scenes = training_source(config)
    torch.manual_seed(config.seed)
    stage = build_stage(config)
    if config.start:
        stage.model.load_state_dict(read_state(Path(config.start)), strict=True)
    validation = Validation.find(resolve(config.sources.data), Path(config.output))
    trainer = Trainer(config, Task(stage, validation), source, device, scenes)
    progress = trainer.run()
    export(config, stage, trainer)
    return progress


def training_source(config: TrainingConfig) -> tuple[Source, int]:
    """Return the mixture that the configuration asks for and the number of drawn scenes in it."""
    sources, data = config.sources, resolve(config.sources.data)
    parts: list[tuple[float, Source]] = []
    if sources.scene_weight:
        pool = resolve(sources.pool)
        fill_pool(pool, data, sources.scenes, os.cpu_count() or 1, sources.real_textures)
        scenes = scene_pool(pool, data, sources.real_textures)
        parts.append((sources.scene_weight, SceneSource(scenes, sources.scenes)))
    if sources.pseudo_weight:
        parts.append((sources.pseudo_weight, PseudoSource.swiss(data / "tiles")))
    if sources.real_weight:
        parts.append((sources.real_weight, RealSource.landquart(data / "tiles")))
    return Mixture(parts), sources.scenes if sources.scene_weight else 0


def export(config: TrainingConfig, stage: Stage, trainer: Trainer) -> Path:
    """Write the average's weights in half precision, with what made them in the file's metadata."""
    best = trainer.folder / "best.pt"
    state = torch.load(best, weights_only=True) if best.exists() else trainer.ema.state
    stage.load_state_dict(state)
    made = {"seed": str(config.seed), "steps": str(trainer.progress.step), "stage": config.stage}
    path = trainer.folder / "weights.safetensors"
    save_weights(path, stage.model, made)
    return path
