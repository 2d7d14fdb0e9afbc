"""The baseline of retrieval on the demo's query landmarks: several seeds, each beside a control.

    python benchmarks/retrieval_baseline.py --release work/landmarks/release --out work/baseline --json

The control is trained in the same way on wrong correspondence. Protocol: whole gallery.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path
from typing import Any

from _machine import commit, machine

from retrieval.encoders import load_encoder
from retrieval.measure import encoded, measure, tasks_of
from retrieval.release import read_release
from retrieval.training.config import TrainingConfig
from retrieval.training.run import train_baseline

SEEDS = (0, 1, 2)


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True, help="a release of landmarks")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained models and their results")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    (given.out / "features").mkdir(parents=True, exist_ok=True)
    benchmark = read_release(given.release)
    runs = [_run(given.release, given.out, benchmark, seed, shuffled) for seed in SEEDS for shuffled in (False, True)]
    used = resource.getrusage(resource.RUSAGE_SELF)
    record = {
        "workload": {
            "release": benchmark.name,
            "digest": benchmark.digest(),
            "seeds": SEEDS,
            "protocol": "whole-gallery",
        },
        "machine": machine(),
        "commit": commit(),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "runs": runs,
    }
    print(json.dumps(record, indent=None if given.json else 1))


def _run(release: Path, out: Path, benchmark: Any, seed: int, shuffled: bool) -> dict[str, Any]:
    folder = out / f"{seed}{'-shuffled' if shuffled else ''}"
    folder.mkdir(exist_ok=True)
    if not (folder / "features").exists():
        (folder / "features").symlink_to((out / "features").resolve())
    config = TrainingConfig.model_validate(
        {"kind": "retrieval", "release": release, "output": folder, "seed": seed, "schedule": {"shuffled": shuffled}}
    )
    weights = train_baseline(config)
    vectors = encoded(load_encoder(f"baseline@{weights}"), benchmark, None)
    found = measure(
        benchmark, vectors, tasks_of(benchmark, vectors), ["whole-gallery"], folder / "results", pooled=True
    )
    return {
        "seed": seed,
        "shuffled": shuffled,
        "tasks": {each["task"]: each["figures"] for each in found["results"]},
    }


if __name__ == "__main__":
    main()
