"""`mapdata train`: train a matcher or a model of retrieval from a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapdata.commands.run import report_stop
from mapdata.options import Device, Scheduler, Workers


def register(app: typer.Typer) -> None:
    """Add `train`."""
    app.command()(train)


def train(
    config: Annotated[Path, typer.Argument(help="YAML of a training, such as configs/train-synthetic.yaml.")],
    device: Device = "auto",
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Train MapGlue, or the baseline of landmark retrieval if the configuration has `kind: retrieval`.

    A training that was stopped goes on from its last checkpoint when the command is repeated. The configuration's
    `output` folder gets the weights, what was measured on the way, and the record of the data that were read, by which
    `mapdata benchmark`, `mapdata evaluate` and `mapdata retrieve` know that data again. Of retrieval, what frozen
    encoders give is made first, by several processes.

    Examples: `mapdata train configs/train-synthetic.yaml`, `mapdata train configs/train-landmarks.yaml`
    """
    import torch

    from pipeline.yaml_file import read_yaml

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    value = read_yaml(config).value
    if isinstance(value, dict) and "kind" in value:
        _train_retrieval(config, chosen, workers, scheduler)
    elif workers is not None or scheduler is not None:
        raise typer.BadParameter("--workers and --scheduler are for a training of `kind: retrieval`")
    else:
        _train_matcher(config, chosen)


def _train_matcher(config: Path, device: str) -> None:
    import torch

    from matcher.training.config import TrainingConfig
    from matcher.training.run import train as run
    from pipeline.config import read_model

    settings = read_model(config, TrainingConfig)
    progress = run(settings, torch.device(device))
    weights = settings.output / "weights.safetensors"
    typer.echo(f"{settings.output}: {progress.step} steps done; weights and the record of their data in {weights}")


def _train_retrieval(config: Path, device: str, workers: int | None, scheduler: str | None) -> None:
    from mapdata.encoding import features_made
    from pipeline.config import read_model
    from pipeline.run import Stopped
    from retrieval.training.config import TrainingConfig
    from retrieval.training.run import train_baseline

    settings = read_model(config, TrainingConfig)

    def report(entry: dict[str, float]) -> None:
        typer.echo(
            f"step {entry['step']:.0f} of {settings.schedule.steps}: loss {entry['loss']:.3f}, "
            f"validation {entry['validation']:.3f}"
        )

    try:
        features_made(settings, device, workers, scheduler)
    except Stopped as stop:
        raise report_stop(stop) from None
    weights = train_baseline(settings, device, report)
    typer.echo(f"{weights}: done; the record of the landmarks that were read lies beside it")
