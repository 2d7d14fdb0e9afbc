"""Evaluating embeddings on a benchmark: every task, with intervals by landmark, and a row a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrieval.approximate import search_approximately
from retrieval.benchmark import DISTRACTOR, Benchmark, Items, Modality, Task
from retrieval.embeddings import Embeddings
from retrieval.errors import RetrievalError
from retrieval.metrics import DISTANCES_KM, RECALLS, Protocol, great_circle_km, score_queries
from retrieval.search import Hits, search
from retrieval.statistics import Interval, mean_by_landmark, median_by_landmark
from retrieval.vectors import Vectors

Values = npt.NDArray[np.float64]

QUANTILES = (0.25, 0.5, 0.75, 0.95)
_COUNTS = ((0, 0), (1, 1), (2, 5), (6, 20), (21, None))
"""Classes of the number of photographs of a landmark, for breakdowns."""


@dataclass(frozen=True, eq=False)
class TaskResult:
    """What one task gave.

    Attributes:
        task: Its name, such as "G2S".
        protocol: See `retrieval.metrics.Protocol`; of geolocation it changes nothing.
        figures: Metric -> figure with its interval.
        breakdowns: Grouping -> group -> metric -> figure.
        rows: A row a query: query, landmark, and the figures of the query.
        without_answer: Queries that were left out because nothing in the gallery shows their landmark.
    """

    task: str
    protocol: Protocol
    queries: int
    gallery: int
    figures: Mapping[str, Interval]
    breakdowns: Mapping[str, Mapping[str, Mapping[str, float]]]
    rows: pa.Table
    without_answer: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return all but the rows, JSON-able."""
        return {
            "task": self.task,
            "protocol": self.protocol,
            "queries": self.queries,
            "gallery": self.gallery,
            "queries_without_answer": self.without_answer,
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "breakdowns": self.breakdowns,
        }


def evaluate(
    benchmark: Benchmark,
    embeddings: Mapping[Modality, Embeddings],
    task: Task,
    protocols: Sequence[Protocol],
    workers: int | None = None,
    device: str = "cpu",
    approximate: bool = False,
    pooled: bool = False,
) -> list[TaskResult]:
    """Evaluate one task.

    Args:
        benchmark: Queries and galleries.
        embeddings: Those of the task's two modalities; vectors of unit length make scores cosine similarities.
        task: One of `retrieval.benchmark.TASKS`, or another between modalities that the benchmark has.
        protocols: Under which to score; the search is done once. Geolocation gives one result whatever they are.
        workers: Threads of the search.
        device: Device of the search; see `retrieval.search.search`.
        approximate: Whether to search with faiss; see `retrieval.approximate`.
        pooled: Whether all queries of a landmark ask together, by the mean of their vectors; the task is then called
            "G2S pooled".

    Raises:
        RetrievalError: The benchmark has not these modalities, embeddings are missing, or no query has a right answer.
    """
    if task.query not in benchmark.queries or task.gallery not in benchmark.galleries:
        raise RetrievalError(
            f"{benchmark.name} has no {task.query} queries or no {task.gallery} gallery for {task.name}"
        )
    queries, gallery = benchmark.queries[task.query], benchmark.galleries[task.gallery]
    vectors = embeddings[task.query].take(queries)
    if pooled:
        queries, vectors = pool(queries, vectors)
        task = replace(task, name=f"{task.name} pooled")
    searched, order = embeddings[task.gallery].gallery(gallery)
    landmarks = gallery.landmarks[order]
    by_landmark = _positions(landmarks)
    none = np.zeros(0, np.int64)
    right = [by_landmark.get(int(number), none) for number in queries.landmarks]
    answerable = [number for number, each in enumerate(right) if len(each)]
    if not answerable:
        raise RetrievalError(f"{benchmark.name}: no query of {task.name} has a right answer in the gallery")
    left_out = len(queries) - len(answerable)
    if left_out:
        queries = Items([queries.ids[n] for n in answerable], queries.landmarks[answerable])
        vectors, right = Vectors.of(vectors.read(0, len(vectors))[answerable]), [right[n] for n in answerable]
    if approximate:
        hits = search_approximately(vectors, searched, right, landmarks == DISTRACTOR)
    else:
        hits = search(vectors, searched, right, landmarks == DISTRACTOR, workers, device)
    if task.gallery == "coordinates":
        found = [_geolocation(benchmark, task, queries, gallery, order, hits, protocols[0])]
    else:
        found = [_retrieval(benchmark, task, queries, len(gallery), hits, protocol) for protocol in protocols]
    return [replace(each, without_answer=left_out) for each in found]


def pool(queries: Items, vectors: Vectors) -> tuple[Items, Vectors]:
    """Return one query a landmark: the mean of the vectors of its queries, of unit length.

    Args:
        queries: One or several a landmark, in any order.
        vectors: (N, D) of the queries, in their order.

    Returns:
        One item for each landmark, ordered by its number, named by its first query, without place and content; and the
        vectors in the same order.
    """
    numbers, members = np.unique(queries.landmarks, return_inverse=True)
    total = np.zeros((len(numbers), vectors.shape[1]))
    np.add.at(total, members, vectors.read(0, len(vectors)))
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    first = [queries.ids[int(np.argmax(members == n))] for n in range(len(numbers))]
    return Items(first, numbers), Vectors.of(total)


def _positions(landmarks: npt.NDArray[np.int64]) -> dict[int, npt.NDArray[np.int64]]:
    own = np.flatnonzero(landmarks != DISTRACTOR)
    if not len(own):
        return {}
    own = own[np.argsort(landmarks[own], kind="stable")]
    numbers, starts = np.unique(landmarks[own], return_index=True)
    return dict(zip(numbers.tolist(), np.split(own, starts[1:]), strict=True))


def _retrieval(
    benchmark: Benchmark, task: Task, queries: Items, gallery: int, hits: Sequence[Hits], protocol: Protocol
) -> TaskResult:
    scored = score_queries(hits, protocol)
    values: dict[str, Values] = {f"R@{k}": scored.recall[k] for k in RECALLS}
    values |= {"mAP@1k": scored.average_precision, "MRR": scored.reciprocal_rank}
    figures = {name: mean_by_landmark(each, queries.landmarks) for name, each in values.items()}
    figures["median rank"] = median_by_landmark(scored.first_rank, queries.landmarks)
    chance = _chance_rank(gallery, np.array([each.positives for each in hits]))
    figures["median rank by chance"] = Interval(chance, chance, chance)
    rows = _rows(queries, values | {"first_rank": scored.first_rank})
    return TaskResult(
        task.name, protocol, len(queries), gallery, figures, _breakdowns(benchmark, queries, values), rows
    )


def _geolocation(
    benchmark: Benchmark,
    task: Task,
    queries: Items,
    gallery: Items,
    order: npt.NDArray[np.int64],
    hits: Sequence[Hits],
    protocol: Protocol,
) -> TaskResult:
    if gallery.lonlat is None:
        raise RetrievalError(f"{benchmark.name}: the gallery of coordinates has no coordinates")
    answers = gallery.lonlat[order[[each.nearest for each in hits]]]
    error = great_circle_km(answers, benchmark.lonlat[queries.landmarks])
    values: dict[str, Values] = {f"within {km:g} km": (error <= km).astype(np.float64) for km in DISTANCES_KM}
    figures = {name: mean_by_landmark(each, queries.landmarks) for name, each in values.items()}
    figures["median km"] = median_by_landmark(error, queries.landmarks)
    for quantile in QUANTILES:
        value = float(np.quantile(error, quantile))
        figures[f"km at {quantile:.0%}"] = Interval(value, value, value)
    rows = _rows(queries, {"error_km": error, "longitude": answers[:, 0], "latitude": answers[:, 1]})
    return TaskResult(
        task.name, protocol, len(queries), len(gallery), figures, _breakdowns(benchmark, queries, values), rows
    )


def _chance_rank(gallery: int, positives: npt.NDArray[np.int64]) -> float:
    """Return the median rank of the first right answer, from 0, if the order were random.

    The share of orders in which all k right answers lie beyond a share x of the gallery is (1 - x)^k.
    """
    return float(np.median(gallery * (1 - 0.5 ** (1 / np.maximum(positives, 1)))))


def _breakdowns(
    benchmark: Benchmark, queries: Items, values: Mapping[str, Values]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the means of each group of landmarks, and of landmarks by how many photographs show them."""
    labels = {name: np.asarray(groups, object)[queries.landmarks] for name, groups in benchmark.groups.items()}
    if "ground" in benchmark.queries:
        counts = np.bincount(benchmark.queries["ground"].landmarks, minlength=len(benchmark.lonlat))
        labels["images"] = np.array([_count_class(count) for count in counts[queries.landmarks]], object)
    return {
        name: {
            str(group): {"queries": float((each == group).sum())}
            | {metric: float(figure[each == group].mean()) for metric, figure in values.items()}
            for group in sorted(set(each.tolist()))
        }
        for name, each in labels.items()
    }


def _count_class(count: int) -> str:
    for low, high in _COUNTS:
        if high is None or count <= high:
            return f"{low}+" if high is None else (f"{low}" if low == high else f"{low}-{high}")
    raise AssertionError("the last class has no end")


def _rows(queries: Items, values: Mapping[str, Values]) -> pa.Table:
    return pa.table({"query": list(queries.ids), "landmark": queries.landmarks, **values})
