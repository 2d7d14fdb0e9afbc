"""Approximate search with faiss, for galleries that an exact search would take too long for.

Vectors are kept as bytes in clusters, of which each query looks at the nearest. What is not among the first `CUTOFF`
answers of a query is not found: its rank is then given as the last one. Figures differ from those of the exact search.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.search import CUTOFF, Hits, Ids, checked_shapes, hits_among
from retrieval.vectors import Vectors

_BLOCK = 65_536
_TRAINED_ON = 40
"""Vectors for each cluster from which their centres are learned, as faiss advises at least."""
_LOOKED_AT = 4
"""A query looks at one cluster in so many."""
_QUERIES = 256


def search_approximately(
    queries: Vectors, gallery: Vectors, positives: Sequence[Ids], distractors: npt.NDArray[np.bool_]
) -> list[Hits]:
    """Rank the gallery for every query, among the answers that an index finds; see `retrieval.search.search`.

    Args:
        queries: (Q, D).
        gallery: (N, D).
        positives: For each query the positions of its right answers in the gallery.
        distractors: (N,) items that belong to no landmark.

    Returns:
        One `Hits` a query, in order.

    Raises:
        RetrievalError: faiss is not installed, or shapes do not fit each other.
    """
    checked_shapes(queries, gallery, positives, distractors)
    index = _index(gallery)
    found: list[Hits] = []
    for start in range(0, len(queries), _QUERIES):
        part = queries.read(start, min(start + _QUERIES, len(queries)))
        scores, names = index.search(np.ascontiguousarray(part), min(CUTOFF, len(gallery)))
        for row, answers, right in zip(scores, names, positives[start:], strict=False):
            known = answers >= 0
            found.append(hits_among(row[known], answers[known], right, distractors))
    return found


def _index(gallery: Vectors) -> Any:
    try:
        faiss = import_module("faiss")
    except ImportError as error:
        raise RetrievalError(f"approximate search needs faiss: pip install 'mapdata[faiss]' ({error})") from error
    count, dimensions = gallery.shape
    clusters = max(1, min(round(4 * count**0.5), count // _TRAINED_ON))
    index = faiss.index_factory(dimensions, f"IVF{clusters},SQ8", faiss.METRIC_INNER_PRODUCT)
    sample = np.linspace(0, count - 1, min(count, clusters * _TRAINED_ON)).astype(np.int64)
    index.train(np.concatenate([_rows(gallery, sample, start) for start in range(0, count, _BLOCK)]))
    for start in range(0, count, _BLOCK):
        index.add(np.ascontiguousarray(gallery.read(start, start + _BLOCK)))
    index.nprobe = max(1, clusters // _LOOKED_AT)
    return index


def _rows(gallery: Vectors, wanted: Ids, start: int) -> npt.NDArray[np.float32]:
    own = wanted[(wanted >= start) & (wanted < start + _BLOCK)]
    return gallery.read(start, start + _BLOCK)[own - start]
