"""Exact search and all metrics at the size of the MMLandmarks benchmark, beside numpy's matrix product alone.

    python benchmarks/searching.py --json

Ground images of the index and the queries (733,242) as gallery, 18,688 queries, 512 dimensions, random vectors of unit
length with a signal, 18 right answers a query. The product alone multiplies the same groups of queries by a gallery
that lies in memory, with all cores, and throws its results away. Each part runs in a process of its own, the search
twice.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _machine import report

GALLERY, QUERIES, DIMENSIONS, LANDMARKS = 733_242, 18_688, 512, 1_000
INDEX = 714_554
"""Distractors, which come first."""
GROUP = 256


def _write(path: Path, rows: int, seed: int, landmarks: np.ndarray) -> None:
    """Write unit vectors; those of a landmark lie nearer to its centre than chance."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((LANDMARKS, DIMENSIONS), np.float32)
    table = np.lib.format.open_memmap(path, "w+", np.float32, (rows, DIMENSIONS))
    for start in range(0, rows, 32_768):
        labels = landmarks[start : start + 32_768]
        block = generator.standard_normal((len(labels), DIMENSIONS), np.float32)
        block[labels >= 0] += 0.2 * centres[labels[labels >= 0]]
        table[start : start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    table.flush()


def _labels() -> tuple[np.ndarray, np.ndarray]:
    """Return the landmarks of the gallery (-1: a distractor) and of the queries."""
    answers = np.arange(GALLERY - INDEX) % LANDMARKS
    return np.concatenate([np.full(INDEX, -1), answers]), np.arange(QUERIES) % LANDMARKS


def product(folder: Path) -> str:
    """Multiply and forget; return the seconds."""
    gallery = np.load(folder / "gallery.npy")
    queries = np.load(folder / "queries.npy")
    scores = np.empty((GROUP, GALLERY), np.float32)
    begin = time.perf_counter()
    for start in range(0, QUERIES, GROUP):
        part = queries[start : start + GROUP]
        np.matmul(part, gallery.T, out=scores[: len(part)])
    return str(time.perf_counter() - begin)


def searched(folder: Path) -> str:
    """Search and score by both protocols; return seconds, peak GiB and a digest of all figures."""
    from retrieval.metrics import PROTOCOLS, score_queries
    from retrieval.search import search
    from retrieval.statistics import mean_by_landmark
    from retrieval.vectors import Vectors

    gallery_labels, query_labels = _labels()
    positives = [np.flatnonzero(gallery_labels == label) for label in range(LANDMARKS)]
    begin = time.perf_counter()
    hits = search(
        Vectors.from_file(folder / "queries.npy"),
        Vectors.from_file(folder / "gallery.npy"),
        [positives[label] for label in query_labels],
        gallery_labels < 0,
    )
    digest = hashlib.blake2b(digest_size=8)
    for protocol in PROTOCOLS:
        scored = score_queries(hits, protocol)
        for values in (scored.average_precision, *scored.recall.values(), scored.first_rank):
            digest.update(values.tobytes())
        mean = mean_by_landmark(scored.average_precision, query_labels)
        digest.update(repr(mean).encode())
    seconds = time.perf_counter() - begin
    return f"{seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20} {digest.hexdigest()}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print({"product": product, "searched": searched}[options.part[0]](Path(options.part[1])))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gallery_labels, query_labels = _labels()
        _write(folder / "gallery.npy", GALLERY, 1, gallery_labels)
        _write(folder / "queries.npy", QUERIES, 2, query_labels)

        def run(part: str) -> list[str]:
            command = [sys.executable, __file__, "--part", part, name]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

        first, alone, second = run("searched"), run("product"), run("searched")
    figures: dict[str, Any] = {
        "search_seconds": float(first[0]),
        "product_seconds": float(alone[0]),
        "ratio": (float(first[0]) + float(second[0])) / 2 / float(alone[0]),
        "peak_gib": max(float(first[1]), float(second[1])),
        "two_runs_equal": first[2] == second[2],
    }
    workload = {"gallery": GALLERY, "queries": QUERIES, "dimensions": DIMENSIONS, "answers_a_query": "18 to 19"}
    report("searching", workload, figures, as_json=options.json)


if __name__ == "__main__":
    main()
