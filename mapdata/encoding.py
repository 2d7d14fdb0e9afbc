"""Encoding a dataset with a model, as a stage of a run: on many processes, and going on where it was stopped."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.workspace import Workspace
    from retrieval.measure import Tables
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
        workers: Processes; 0: in this one; None: one a core.
        scheduler: Address of a Dask scheduler to run on.
        run: Configuration of the run whose release is encoded; None where `params` names a dataset.

    Returns:
        A table for each modality that the model encodes, of unit length.

    Raises:
        RetrievalError: An item could not be encoded.
        PipelineError: The dataset or the model cannot be used, or the run was stopped by an error.
    """
    from pipeline.ledger import FAILED, Ledger
    from pipeline.run import Request
    from pipeline.run import run as run_recipe
    from retrieval.embeddings import joined
    from retrieval.encoders.registry import resolve_encoder
    from retrieval.errors import RetrievalError
    from stages.encode import EncodeStage

    # Workers of a cluster have other working folders.
    stage = EncodeStage(params.model_copy(update={"model": resolve_encoder(params.model, Path.cwd())}))
    request = Request(
        config={stage.name: stage.params.model_dump(mode="json")},
        seed=0 if run is None else run.seed,
        only=(stage.name,),
        workers=len(os.sched_getaffinity(0)) if workers is None else workers,
        scheduler=scheduler,
    )
    with place.lock("encoding"), Ledger(place.ledger) as ledger:
        ledger.reset(FAILED, stage.name, "*")
    summary = run_recipe([*(run.stages if run is not None else ()), stage], place, request)
    failed = [each for each in summary.failures if each.stage == stage.name]
    if failed:
        raise RetrievalError(
            f"{failed[0].reason}; {len(failed)} batches of items could not be encoded, the others are kept"
        )
    parts: dict[Any, list[Path]] = defaultdict(list)
    with Ledger(place.ledger, read_only=True) as ledger:
        for result in ledger.results(stage.name).values():
            parts[result.data["modality"]] += [place.root / entry.path for entry in result.outputs]
    return {modality: joined(paths) for modality, paths in parts.items()}
