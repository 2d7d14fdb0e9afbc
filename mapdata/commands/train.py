"""`mapdata train`: train MapGlue from a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `train`."""
    app.command()(train)


def train(
    config: Annotated[Path, typer.Argument(help="YAML of a training, such as configs/train-synthetic.yaml.")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train MapGlue; a training that was stopped goes on from its last checkpoint when the command is repeated.

    Renders the scenes that are missing, trains, and writes into the configuration's `output` folder: metrics.csv,
    TensorBoard events, pictures of matches, weights.safetensors, and the record of the data that it read, by which
    `mapdata benchmark` refuses that data.

    Example: `mapdata train configs/train-synthetic.yaml`
    """
    import torch

    from matcher.training.config import TrainingConfig
    from matcher.training.record import write_record
    from matcher.training.run import train as run
    from pipeline.config import read_model

    settings = read_model(config, TrainingConfig)
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    progress = run(settings, torch.device(chosen))
    weights = settings.output / "weights.safetensors"
    write_record(settings, weights.with_name(weights.name + ".training.json"))
    typer.echo(f"{settings.output}: {progress.step} steps done; weights and the record of their data in {weights}")
