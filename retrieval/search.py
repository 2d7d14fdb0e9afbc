"""Exact search: where each query's right answers stand when the whole gallery is ordered by its scores.

Scores are inner products of vectors as they are given (cosine similarity if they have unit length). Queries are taken
in groups, each scored against the whole gallery before the next, so that memory is bounded and ranks are exact.

Ties: an item that is not a right answer stands before a right answer of the same score. A model that gives every item
the same score therefore finds nothing, and no result depends on the order of the gallery.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from retrieval.errors import RetrievalError
from retrieval.vectors import Float32, Vectors

Ids = npt.NDArray[np.int64]

CUTOFF = 1000
"""Ranks from here on do not count in the average precision (mAP@1k)."""

_SCORES_BYTES = 768 << 20
"""Memory of the scores of one group of queries."""
_BLOCK = 16_384
"""Gallery vectors of one matrix product. Fixed, so that the last bits of scores do not depend on the workers."""


@dataclass(frozen=True, eq=False)
class Hits:
    """Where the right answers of one query stand; ranks count from 0.

    Attributes:
        positives: How many right answers the gallery has.
        first_rank: Rank of the first right answer in the whole gallery.
        ranks: (M,) ascending ranks under `CUTOFF` of the right answers in the whole gallery.
        undistracted: (M,) the same answers' ranks when distractors are removed from the list; the cut comes before the
            removal.
        nearest: Position in the gallery of the item with the highest score; of equal ones the first.
        nearest_score: Its score.
    """

    positives: int
    first_rank: int
    ranks: Ids
    undistracted: Ids
    nearest: int
    nearest_score: float


def search(
    queries: Vectors,
    gallery: Vectors,
    positives: Sequence[Ids],
    distractors: npt.NDArray[np.bool_],
    workers: int | None = None,
    device: str = "cpu",
) -> list[Hits]:
    """Rank the gallery for every query.

    Args:
        queries: (Q, D).
        gallery: (N, D).
        positives: For each query the positions of its right answers in the gallery; may be empty.
        distractors: (N,) items that belong to no landmark.
        workers: Threads; by default one a core. The result does not depend on it.
        device: "cpu", or a torch device such as "cuda" for the matrix products.

    Returns:
        One `Hits` a query, in order.

    Raises:
        RetrievalError: Shapes do not fit each other.
    """
    checked_shapes(queries, gallery, positives, distractors)
    group = max(1, _SCORES_BYTES // (4 * len(gallery)))
    scores = np.empty((min(group, len(queries)), len(gallery)), np.float32)
    found: list[Hits] = []
    threads = workers or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1):
        for start in range(0, len(queries), group):
            part = queries.read(start, min(start + group, len(queries)))
            rows = scores[: len(part)]
            _score(part, gallery, rows, pool, device)
            found += pool.map(
                lambda row, right: _hits(row, right, distractors), rows, positives[start : start + len(part)]
            )
    return found


def checked_shapes(
    queries: Vectors, gallery: Vectors, positives: Sequence[Ids], distractors: npt.NDArray[np.bool_]
) -> None:
    """Check what is given to a search.

    Args:
        queries: (Q, D).
        gallery: (N, D), N at least 1.
        positives: One list a query.
        distractors: (N,).

    Raises:
        RetrievalError: Shapes do not fit each other, or the gallery is empty.
    """
    if queries.shape[1] != gallery.shape[1]:
        raise RetrievalError(
            f"queries have {queries.shape[1]} dimensions, the gallery {gallery.shape[1]}: encode both with one model"
        )
    if len(positives) != len(queries) or len(distractors) != len(gallery):
        raise RetrievalError("give one list of right answers a query and one distractor flag an item of the gallery")
    if not len(gallery):
        raise RetrievalError("the gallery is empty")


def hits_among(scores: Float32, answers: Ids, positives: Ids, distractors: npt.NDArray[np.bool_]) -> Hits:
    """Rank the answers that an index found for a query; what it did not find has the last rank.

    Args:
        scores: (M,) of the answers.
        answers: (M,) their positions in the gallery.
        positives: Positions of the right answers in the gallery.
        distractors: (N,) items of the gallery that belong to no landmark.
    """
    right = np.flatnonzero(np.isin(answers, positives))
    found = _hits(np.array(scores, np.float32), right, distractors[answers])
    first_rank = found.first_rank if len(right) else len(distractors)
    return replace(found, positives=len(positives), first_rank=first_rank, nearest=int(answers[found.nearest]))


def _score(queries: Float32, gallery: Vectors, scores: Float32, pool: ThreadPoolExecutor, device: str) -> None:
    """Write the scores (Q, N) of all gallery items."""

    def fill(start: int) -> None:
        stop = min(start + _BLOCK, len(gallery))
        block = gallery.read(start, stop)
        if device == "cpu":
            np.matmul(queries, block.T, out=scores[:, start:stop])
        else:
            scores[:, start:stop] = _product_on(device, queries, block)

    list(pool.map(fill, range(0, len(gallery), _BLOCK)))


def checked_device(device: str) -> str:
    """Return the name of a device that torch can compute on.

    Args:
        device: "cpu", "cuda", "cuda:1" and so on.

    Raises:
        RetrievalError: There is no such device here.
    """
    if device != "cpu":
        import torch  # only where a device is asked for

        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            first = str(error).partition("\n")[0]
            raise RetrievalError(f"torch cannot compute on the device {device!r} here ({first}); take cpu") from error
    return device


def _product_on(device: str, queries: Float32, block: Float32) -> Float32:
    import torch  # only where a device is asked for

    product = torch.from_numpy(queries).to(device) @ torch.from_numpy(block).to(device).T
    return np.asarray(product.cpu().numpy(), np.float32)


def _hits(scores: Float32, positives: Ids, distractors: npt.NDArray[np.bool_]) -> Hits:
    """Rank one row of scores (N,), which is changed: right answers leave it once their own scores are taken."""
    nearest = int(np.argmax(scores))
    nearest_score = float(scores[nearest])
    none = np.zeros(0, np.int64)
    if not len(positives):
        return Hits(0, len(scores), none, none, nearest, nearest_score)
    own = np.sort(scores[positives])[::-1]
    scores[positives] = -np.inf
    first_rank = int(np.count_nonzero(scores >= own[0]))
    kept = _within_cutoff(scores, own, first_rank)
    if not kept:
        return Hits(len(own), first_rank, none, none, nearest, nearest_score)
    order = np.arange(kept)
    above = np.flatnonzero(scores >= own[kept - 1])
    ranks = order + _at_least(scores[above], own[:kept])
    undistracted = order + _at_least(scores[above[~distractors[above]]], own[:kept])
    return Hits(len(own), first_rank, ranks, undistracted, nearest, nearest_score)


def _within_cutoff(scores: Float32, own: Float32, first_rank: int) -> int:
    """Return how many of the right answers' scores `own` (descending) have a rank under the cutoff, by bisection."""
    if first_rank >= CUTOFF:
        return 0
    low, high = 1, min(len(own), CUTOFF)
    while low < high:
        middle = (low + high + 1) // 2
        if np.count_nonzero(scores >= own[middle - 1]) + middle - 1 < CUTOFF:
            low = middle
        else:
            high = middle - 1
    return low


def _at_least(others: Float32, own: Float32) -> Ids:
    """Return for each of `own` how many of `others` score as high or higher."""
    return len(others) - np.searchsorted(np.sort(others), own, side="left")
