"""Encoding a dataset with a model, as a stage of a run: on many processes, and going on where it was stopped."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.stage import Stage
    from pipeline.workspace import Workspace
    from retrieval.measure import Tables
    from retrieval.training.config import TrainingConfig
    from stages.encode import EncodeParams


def encoded(
    params: EncodeParams,
    place: Workspace,
    workers: int | None = None,
    scheduler: str | None = None,
    run: Config | None = None,
) -> Tables:
    """Encode what is not encoded yet, and return all vectors.

    Args:
        params: Which model encodes what.
        place: The workspace that keeps the vectors.
        workers: Processes; 0: in this one; None: one a core, one alone on a GPU.
        scheduler: Address of a Dask scheduler to run on.
        run: Configuration of the run whose release is encoded; None where `params` names a dataset.

    Returns:
        A table for each modality that the model encodes, of unit length.

    Raises:
        RetrievalError: An item could not be encoded.
        PipelineError: The dataset or the model cannot be used, or the run was stopped by an error.
    """
    from pipeline.ledger import Ledger
    from retrieval.embeddings import joined
    from retrieval.encoders.registry import resolve_encoder
    from stages.encode import EncodeStage

    # Workers of a cluster have other working folders.
    stage = EncodeStage(params.model_copy(update={"model": resolve_encoder(params.model, Path.cwd())}))
    _run([*(run.stages if run is not None else ()), stage], place, workers, scheduler, 0 if run is None else run.seed)
    parts: dict[Any, list[Path]] = defaultdict(list)
    with Ledger(place.ledger, read_only=True) as ledger:
        for result in ledger.results(stage.name).values():
            parts[result.data["modality"]] += [place.root / entry.path for entry in result.outputs]
    return {modality: joined(paths) for modality, paths in parts.items()}


def features_made(
    config: TrainingConfig, device: str, workers: int | None = None, scheduler: str | None = None
) -> None:
    """Make what the towers of a training read, in the folder where the training looks for it.

    Args:
        config: Of the training.
        device: A torch device, for the encoders.
        workers: Processes; 0: in this one; None: one a core, one alone on a GPU.
        scheduler: Address of a Dask scheduler to run on.

    Raises:
        RetrievalError: An item could not be encoded.
        PipelineError: The release or a model cannot be used, or the run was stopped by an error.
    """
    from pipeline.workspace import Workspace
    from retrieval.training.config import PIXELS_NAME
    from retrieval.training.run import encoder_names, features_folder
    from stages.features import FeaturesParams, FeaturesStage

    encoders: dict[str, str | None] = {
        name: None if encoder == PIXELS_NAME else encoder for name, encoder in encoder_names(config).items()
    }
    params = FeaturesParams(
        release=config.release.absolute(), encoders=encoders, copies=config.schedule.copies, device=device
    )
    _run([FeaturesStage(params)], Workspace(features_folder(config), create=True), workers, scheduler)


def _run(
    stages: Sequence[Stage[Any]], place: Workspace, workers: int | None, scheduler: str | None, seed: int = 0
) -> None:
    """Run the last of some stages; what failed before is tried again. Raises RetrievalError if a unit fails."""
    from pipeline.ledger import FAILED, Ledger
    from pipeline.run import Request, run
    from retrieval.errors import RetrievalError

    last = stages[-1]
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if last.params.device == "cpu" else 1
    request = Request(
        config={last.name: last.params.model_dump(mode="json")},
        seed=seed,
        only=(last.name,),
        workers=workers,
        scheduler=scheduler,
    )
    with place.lock("encoding"), Ledger(place.ledger) as ledger:
        ledger.reset(FAILED, last.name, "*")
    failed = [each for each in run(stages, place, request).failures if each.stage == last.name]
    if failed:
        raise RetrievalError(
            f"{failed[0].reason}; {len(failed)} batches of items could not be encoded, the others are kept"
        )
