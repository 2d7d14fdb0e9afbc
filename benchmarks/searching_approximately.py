"""Approximate search with faiss beside the exact one: seconds of both, and what the approximate one misses.

    python benchmarks/searching_approximately.py --gallery 100000 --json

Random vectors of unit length with a signal, 10 right answers a query; one thread for each. Needs the extra `faiss`.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _machine import report

from retrieval.approximate import search_approximately
from retrieval.metrics import score_queries
from retrieval.search import search
from retrieval.vectors import Vectors

ANSWERS, SIGNAL = 10, 0.7


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery", type=int, default=100_000, help="vectors")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    random = np.random.default_rng(0)
    centres = random.standard_normal((given.gallery // ANSWERS, given.dimensions), np.float32)
    labels = np.arange(given.gallery) % len(centres)
    gallery = SIGNAL * centres[labels] + random.standard_normal((given.gallery, given.dimensions), np.float32)
    queries = SIGNAL * centres[: given.queries] + random.standard_normal((given.queries, given.dimensions), np.float32)
    right = [np.flatnonzero(labels == number) for number in range(given.queries)]
    vectors = Vectors.of(_unit(queries)), Vectors.of(_unit(gallery)), right, np.zeros(given.gallery, bool)
    begin = time.perf_counter()
    exact = search(*vectors, workers=1)
    middle = time.perf_counter()
    found = search_approximately(*vectors)
    end = time.perf_counter()
    figures = {
        "exact_seconds": middle - begin,
        "approximate_seconds_with_index": end - middle,
        "same_first_answer": float(np.mean([a.nearest == b.nearest for a, b in zip(exact, found, strict=True)])),
    }
    for name, hits in (("exact", exact), ("approximate", found)):
        scored = score_queries(hits, "whole-gallery")
        figures |= {f"{name}_recall_at_10": float(scored.recall[10].mean())}
        figures |= {f"{name}_map_at_1k": float(scored.average_precision.mean())}
    workload = {"gallery": given.gallery, "queries": given.queries, "dimensions": given.dimensions, "answers": ANSWERS}
    report("searching_approximately", workload, figures, as_json=given.json)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
