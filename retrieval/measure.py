"""Measuring a model on a dataset: all tasks, and everything that is written of it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from retrieval.benchmark import TASKS, Benchmark, Modality, Task
from retrieval.embeddings import Embeddings, has_embeddings, read_embeddings
from retrieval.encode import Progress, encode_sides, opened_cache
from retrieval.encoders.base import Encoder
from retrieval.errors import RetrievalError
from retrieval.evaluate import TaskResult, evaluate
from retrieval.metrics import Protocol
from retrieval.report.page import write_report
from retrieval.training.record import record_of

Tables = Mapping[Modality, Embeddings]


@dataclass(frozen=True, eq=False)
class Vectorised:
    """A benchmark's items as vectors of one model.

    Attributes:
        model: Name of the model.
        identity: Changes whenever its vectors may.
        gallery: Embeddings of the galleries.
        asking: Embeddings of the queries.
    """

    model: str
    identity: str
    gallery: Tables
    asking: Tables


def encoded(encoder: Encoder, benchmark: Benchmark, cache: Path | None, progress: Progress | None = None) -> Vectorised:
    """Encode a benchmark with a model.

    Args:
        encoder: The model.
        benchmark: Queries and galleries; those of modalities that the model does not encode are left out.
        cache: File in which vectors are kept for the next time, made if there is none; None keeps nothing.
        progress: Is told how many of how many items are done, after every batch.

    Raises:
        RetrievalError: The model was trained on a landmark that asks, or an item cannot be read.
    """
    refuse_trained(encoder, benchmark)
    with opened_cache(cache) as opened:
        gallery = encode_sides(encoder, benchmark.galleries, opened, progress)
        asking = encode_sides(encoder, benchmark.queries, opened, progress)
    return Vectorised(encoder.name, encoder.identity, gallery, asking)


def from_files(folder: Path) -> Vectorised:
    """Take embeddings of the folder's files, of queries and galleries together.

    Raises:
        RetrievalError: There is no table, or one is damaged.
    """
    names: tuple[Modality, ...] = ("ground", "satellite", "text", "coordinates")
    tables = {name: read_embeddings(folder, name) for name in names if has_embeddings(folder, name)}
    if not tables:
        raise RetrievalError(f"{folder}: no table of vectors; write NAME.npy with NAME.ids.txt, or NAME.parquet")
    return Vectorised(folder.resolve().name, "", tables, tables)


def refuse_trained(encoder: Encoder, benchmark: Benchmark) -> None:
    """Raise RetrievalError if a landmark that asks was seen when the model was trained.

    Args:
        encoder: A model without a file of weights, or whose file has no training record beside it, is never refused.
        benchmark: Its ids and places are compared with the record; without ids nothing can be compared.

    Raises:
        RetrievalError: A landmark has the id of one that was trained on, or lies within 25 m of it.
    """
    file = getattr(encoder, "file", None)
    record = None if file is None else record_of(file)
    if record is None or not benchmark.ids:
        return
    seen = np.flatnonzero(record.knows(benchmark.ids, benchmark.lonlat))
    if len(seen):
        raise RetrievalError(
            f"{encoder.name} was trained on {len(seen)} of the {len(benchmark.ids)} landmarks that ask, such as "
            f"{benchmark.ids[seen[0]]}: figures would say nothing; measure it on other landmarks"
        )


def tasks_of(benchmark: Benchmark, vectors: Vectorised, names: Sequence[str] = ()) -> list[Task]:
    """Return the tasks that can be measured, or those that are asked for.

    Args:
        benchmark: Which modalities have queries and galleries.
        vectors: Which modalities the model encoded.
        names: Keys of `TASKS`; empty for all that can be measured.

    Raises:
        RetrievalError: There is no task of such a name, or none can be measured.
    """
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise RetrievalError(f"no task {unknown[0]!r}; tasks: {', '.join(TASKS)}")
    chosen = [TASKS[name] for name in names or TASKS]
    possible = [
        task
        for task in chosen
        if task.query in vectors.asking
        and task.gallery in vectors.gallery
        and task.query in benchmark.queries
        and task.gallery in benchmark.galleries
    ]
    if not possible or (names and len(possible) < len(chosen)):
        missing = next(task for task in chosen if task not in possible)
        raise RetrievalError(
            f"{missing.name} needs vectors and items of {missing.query} and {missing.gallery}; {vectors.model} has "
            f"{', '.join(sorted({*vectors.asking} & {*vectors.gallery})) or 'no two of them'}"
        )
    return possible


def measure(
    benchmark: Benchmark,
    vectors: Vectorised,
    tasks: Sequence[Task],
    protocols: Sequence[Protocol],
    out: Path,
    pooled: bool = False,
    device: str = "cpu",
) -> dict[str, Any]:
    """Measure and write `results.json`, a table of queries for each task and protocol, and `report.html`.

    Args:
        benchmark: Queries and galleries.
        vectors: Of one model.
        tasks: Which tasks.
        protocols: Under which.
        out: Folder, made if missing.
        pooled: Whether to measure also with all photographs of a landmark asking together.
        device: Device of the search.

    Returns:
        What `results.json` holds.
    """
    results: list[TaskResult] = []
    for task in tasks:
        results += evaluate(benchmark, vectors.gallery, task, protocols, device=device, asking=vectors.asking)
        if pooled and task.query == "ground":
            results += evaluate(
                benchmark, vectors.gallery, task, protocols, device=device, asking=vectors.asking, pooled=True
            )
    out.mkdir(parents=True, exist_ok=True)
    for each in results:
        pq.write_table(each.rows, out / f"{each.task.replace(' ', '-')}-{each.protocol}.parquet")
    about = _about(benchmark, vectors)
    found = about | {"results": [each.to_json() for each in results]}
    (out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    write_report(out / "report.html", about, results, benchmark, vectors.gallery, vectors.asking)
    return found


def _about(benchmark: Benchmark, vectors: Vectorised) -> dict[str, Any]:
    return {
        "format": "mapdata retrieval results 1",
        "model": vectors.model,
        "identity": vectors.identity,
        "dataset": {"name": benchmark.name, "digest": benchmark.digest()},
        "version": version("mapdata"),
        "machine": {
            "name": platform.node(),
            "processor": platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
        },
    }
