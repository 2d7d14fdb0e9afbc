"""The baseline of retrieval on the demo's query landmarks: several seeds, each beside a control.

    python benchmarks/retrieval_baseline.py --release work/landmarks/release --out work/baseline --json

It is trained as configs/train-baseline.yaml says, or `--config`, whose release must be there. The control is trained in
the same way on wrong correspondence. Protocol: whole gallery.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path
from typing import Any

from _machine import PROJECT, report

from mapdata.commands.evaluate import vectorised
from pipeline.config import read_model
from pipeline.workspace import Workspace
from retrieval.measure import measure, tasks_of
from retrieval.release import read_release
from retrieval.training.config import TrainingConfig
from retrieval.training.run import train_baseline
from stages.encode import EncodeParams

SEEDS = (0, 1, 2)
KEPT = ("median rank", "R@10", "within 750 km")
"""Figures of the record; `results.json` in the folder of each run has all."""
_CHANCE = "median rank by chance"
Tasks = dict[str, dict[str, dict[str, float]]]


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True, help="a release of landmarks, to measure on")
    parser.add_argument("--config", type=Path, default=PROJECT / "configs/train-baseline.yaml", help="of the training")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained models and their results")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    (given.out / "features").mkdir(parents=True, exist_ok=True)
    benchmark = read_release(given.release)
    config = read_model(given.config, TrainingConfig)
    models = {
        name: [_run(config, given.release, given.out, benchmark, seed, name == "control") for seed in SEEDS]
        for name in ("baseline", "control")
    }
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"processor_seconds": round(used.ru_utime + used.ru_stime, 1), "tasks": summary(models)}
    workload = {
        "training": given.config.name, "steps": config.schedule.steps, "release": benchmark.name,
        "digest": benchmark.digest(), "seeds": list(SEEDS), "protocol": "whole-gallery",
        "figures": "a list a seed: value, low and high end of its 95% interval by landmark",
    }  # fmt: skip
    report("retrieval_baseline", workload, figures, as_json=given.json)


def summary(models: dict[str, list[Tasks]]) -> dict[str, Any]:
    """Return what a reader needs of the runs: task -> figure -> model -> values of its seeds.

    Args:
        models: Name of a model -> a run a seed: task -> figure -> value, low and high.
    """
    (first, *_), *_ = models.values()
    return {
        task: {
            figure: {name: [list(run[task][figure].values()) for run in runs] for name, runs in models.items()}
            for figure in KEPT
            if figure in found
        }
        | ({"median rank by chance": found[_CHANCE]["value"]} if _CHANCE in found else {})
        for task, found in first.items()
    }


def _run(config: TrainingConfig, release: Path, out: Path, benchmark: Any, seed: int, shuffled: bool) -> Tasks:
    folder = out / f"{seed}{'-shuffled' if shuffled else ''}"
    folder.mkdir(exist_ok=True)
    if not (folder / "features").exists():
        (folder / "features").symlink_to((out / "features").resolve())
    schedule = config.schedule.model_copy(update={"shuffled": shuffled})
    config = config.model_copy(update={"output": folder, "seed": seed, "schedule": schedule})
    weights = train_baseline(config)
    params = EncodeParams(model=f"baseline@{weights}", dataset=release.absolute())
    vectors = vectorised(benchmark, params, Workspace(folder / "encoding", create=True), workers=0)
    found = measure(
        benchmark, vectors, tasks_of(benchmark, vectors), ["whole-gallery"], folder / "results", pooled=True
    )
    return {each["task"]: each["figures"] for each in found["results"]}


if __name__ == "__main__":
    main()
