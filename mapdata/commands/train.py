"""`mapdata train`: train MapGlue from a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `train`."""
    app.command()(train)


def train(
    config: Annotated[Path, typer.Argument(help="YAML of a training run, such as configs/train-fast-mapglue.yaml.")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train MapGlue; stopped at any instant, the same command goes on from the last checkpoint.

    Draws the scenes that are missing, trains, and writes metrics.csv, TensorBoard events, pictures of matches,
    weights.safetensors and the record of what they were trained on (by which `mapdata benchmark` refuses that data)
    into the configuration's `output` folder.

    Example: `mapdata train configs/train-fast-mapglue.yaml`
    """
    import torch
    import yaml

    from matcher.training.config import TrainingConfig, read_dataclass
    from matcher.training.record import write_record
    from matcher.training.run import train as run
    from matcher.training.stages import build_stage

    try:
        settings = read_dataclass(TrainingConfig, yaml.safe_load(config.read_text()) or {})
        build_stage(settings)
    except (OSError, yaml.YAMLError, ValueError) as error:
        typer.echo(f"{config}: {error}", err=True)
        raise typer.Exit(2) from error
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    progress = run(settings, torch.device(chosen))
    weights = Path(settings.output) / "weights.safetensors"
    write_record(settings, weights.with_name(weights.name + ".training.json"))
    typer.echo(f"{settings.output}: {progress.step} steps done; weights in {weights}, what they saw beside them")
