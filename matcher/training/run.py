"""One training run from its configuration: sources, network, trainer, weights."""

from __future__ import annotations

from pathlib import Path

import torch

from matcher.benchmark.leakage import SUFFIX
from matcher.benchmark.readers import release_pairs
from matcher.checkpoints import load_strictly
from matcher.errors import InputError
from matcher.mapglue.weights import read_state, save_weights
from matcher.training.checkpoint import TrainingProgress, load_whole
from matcher.training.config import Sources, TrainingConfig
from matcher.training.record import write_record
from matcher.training.scenes import fill_pool
from matcher.training.sources import (
    Mixture,
    PseudoSource,
    RealSource,
    ReleaseSource,
    SceneSource,
    TrainingSource,
)
from matcher.training.stages import TrainingStage, build_stage
from matcher.training.tiles import read_mosaic
from matcher.training.trainer import Task, Trainer
from matcher.training.validation import Validation


def train(config: TrainingConfig, device: torch.device) -> TrainingProgress:
    """Train a network to the end of its schedule, from the last checkpoint in the output folder if there is one.

    Scenes that are missing are rendered first. Writes `weights.safetensors`: the averaged weights that validated best,
    or the last ones without validation.

    Args:
        config: What to train, on what, how long.
        device: Where to train.

    Returns:
        The step reached and the best validation.

    Raises:
        InputError: A source or the validation pairs cannot be read.
        WeightsError: The weights to start from, or the checkpoint, cannot be read or are of another network.
        OSError: The disk is full; the last checkpoint stays.
    """
    source = training_source(config.sources)
    torch.manual_seed(config.seed)
    stage = build_stage(config)
    if config.start:
        load_strictly(stage.model, read_state(config.start), config.start)
    validation = Validation.read(config.validation, config.output) if config.validation else None
    trainer = Trainer(config, Task(stage, validation), source, device)
    progress = trainer.run()
    export(config, stage, trainer)
    return progress


def training_source(sources: Sources) -> TrainingSource:
    """Return the mixture of the configured sources; scenes that are missing are rendered.

    Args:
        sources: One or more, each with its weight: how often a pair comes from it, relative to the others.

    Raises:
        InputError: A source cannot be read or is empty.
    """
    parts: list[tuple[float, TrainingSource]] = []
    if sources.synthetic:
        parts.append((sources.synthetic.weight, SceneSource(fill_pool(sources.synthetic), sources.synthetic.count)))
    if sources.pseudo:
        mosaics = [read_mosaic(tiles, imagery=True) for tiles in sources.pseudo.imagery]
        parts.append((sources.pseudo.weight, PseudoSource(mosaics)))
    if sources.real:
        mosaic, visible = read_mosaic(sources.real.map, imagery=False), read_mosaic(sources.real.visible, imagery=True)
        if mosaic.mask.shape != visible.mask.shape:
            raise InputError(f"real: map of {mosaic.mask.shape} pixels on an image of {visible.mask.shape}")
        parts.append((sources.real.weight, RealSource(mosaic, visible)))
    if sources.release:
        pairs = release_pairs(sources.release.folder, sources.release.split)
        if not pairs:
            raise InputError(f"{sources.release.folder}: no accepted pair in the split {sources.release.split}")
        parts.append((sources.release.weight, ReleaseSource(pairs)))
    return Mixture(parts)


def export(config: TrainingConfig, stage: TrainingStage, trainer: Trainer) -> Path:
    """Write the averaged weights in half precision, what made them in the file's metadata, and the record of the data.

    Args:
        config: Gives the seed and the stage that are recorded.
        stage: Its parameters are replaced by the averaged ones.
        trainer: Its folder is where the file goes; the best averaged weights by validation are taken, the last ones
            where nothing was validated.

    Returns:
        `weights.safetensors` in the trainer's folder.
    """
    best = trainer.folder / "best.pt"
    if best.exists():
        load_strictly(stage, load_whole(best), best)
    else:
        stage.load_state_dict(trainer.ema.state)
    made = {"seed": str(config.seed), "steps": str(trainer.progress.step), "stage": config.stage}
    path = trainer.folder / "weights.safetensors"
    # First: weights without their record would count as trained on nothing.
    write_record(config, path.with_name(path.name + SUFFIX))
    save_weights(path, stage.model, made)
    return path
