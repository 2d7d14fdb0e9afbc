"""Measuring a model on a dataset: all tasks, and everything that is written of it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from retrieval.benchmark import TASKS, Benchmark, Items, Modality, Task
from retrieval.embeddings import Embeddings, has_embeddings, read_embeddings
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
        tables: Embeddings of queries and galleries.
    """

    model: str
    identity: str
    tables: Tables


def from_files(folder: Path) -> Vectorised:
    """Take embeddings of the folder's files, of queries and galleries together.

    Raises:
        RetrievalError: There is no table, or one is damaged.
    """
    names: tuple[Modality, ...] = ("ground", "satellite", "text", "coordinates")
    tables = {name: read_embeddings(folder, name) for name in names if has_embeddings(folder, name)}
    if not tables:
        raise RetrievalError(f"{folder}: no table of vectors; write NAME.npy with NAME.ids.txt, or NAME.parquet")
    return Vectorised(folder.resolve().name, "", tables)


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


def checked_tasks(names: Sequence[str]) -> list[Task]:
    """Return the tasks of some names, each once; all of them for none.

    Raises:
        RetrievalError: There is no task of such a name.
    """
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise RetrievalError(f"no task {unknown[0]!r}; tasks: {', '.join(TASKS)}")
    return [TASKS[name] for name in dict.fromkeys(names or TASKS)]


def tasks_of(benchmark: Benchmark, vectors: Vectorised, names: Sequence[str] = ()) -> list[Task]:
    """Return the tasks that can be measured, or those that are asked for.

    Args:
        benchmark: Which modalities have queries and galleries.
        vectors: Which modalities the model encoded.
        names: Keys of `TASKS`; empty for all that can be measured.

    Raises:
        RetrievalError: There is no task of such a name, or none can be measured.
    """
    chosen = checked_tasks(names)
    possible = [
        task
        for task in chosen
        if {task.query, task.gallery} <= vectors.tables.keys()
        and len(benchmark.queries.get(task.query, ()))
        and len(benchmark.galleries.get(task.gallery, ()))
    ]
    if not possible or (names and len(possible) < len(chosen)):
        missing = next(task for task in chosen if task not in possible)
        raise RetrievalError(
            f"{missing.name} needs vectors and items of {missing.query} and {missing.gallery}; {vectors.model} has "
            f"vectors of {', '.join(sorted(vectors.tables)) or 'nothing'}, {benchmark.name} queries of "
            f"{_filled(benchmark.queries)} and galleries of {_filled(benchmark.galleries)}"
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
    approximate: bool = False,
) -> dict[str, Any]:
    """Measure and write `results.json`, a table of queries for each task and protocol, and `report.html`.

    Args:
        benchmark: Queries and galleries.
        vectors: Of one model.
        tasks: Which tasks.
        protocols: Under which.
        out: Folder, made if missing.
        pooled: Whether to measure also with all photographs of a landmark asking together.
        device: Device of the exact search.
        approximate: Whether to search with faiss instead; see `retrieval.approximate`.

    Returns:
        What `results.json` holds.
    """
    evaluated = partial(evaluate, benchmark, vectors.tables, device=device, approximate=approximate)
    results: list[TaskResult] = []
    for task in tasks:
        results += evaluated(task, protocols)
        if pooled and task.query == "ground":
            results += evaluated(task, protocols, pooled=True)
    out.mkdir(parents=True, exist_ok=True)
    for each in results:
        pq.write_table(each.rows, out / f"{each.task.replace(' ', '-')}-{each.protocol}.parquet")
    about = {**_about(benchmark, vectors), "search": "approximate (faiss)" if approximate else "exact"}
    found = about | {"results": [each.to_json() for each in results]}
    (out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    write_report(out / "report.html", about, results, benchmark, vectors.tables)
    return found


def _filled(sides: Mapping[Modality, Items]) -> str:
    return ", ".join(sorted(name for name, items in sides.items() if len(items))) or "nothing"


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
