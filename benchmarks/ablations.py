"""What each part of MapGlue and of its training data is worth: small trainings that differ in one thing.

    python benchmarks/ablations.py --json > benchmarks/results/ablations.json

Every arm trains the extractor and then the graphs of the fast size from scratch, with the same seed and as many steps,
and is judged on real pairs it never saw: the development part of SRIF's Optical-Map at the level Easy, several draws a
pair. "single pass" is keypoints, graphs and assignment; "cells" is the descriptors alone, cell by cell, with no search
over poses. Short trainings say what helps early, not what a long one ends with. Stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _machine import report

from matcher.benchmark.levels import Motion
from matcher.benchmark.metrics import auc, score_pair, share_within
from matcher.benchmark.pairs import Pair
from matcher.benchmark.statistics import bootstrap
from matcher.mapglue.config import Mode
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.weights import read_state
from matcher.training.config import Schedule, Sources, TrainingConfig
from matcher.training.run import train
from matcher.training.stages import ExtractorStage
from matcher.training.validation import LEVEL, SUCCESS_PX, moved_pairs

SMALL = Schedule(
    batch=8,
    crop=192,
    learning_rate=2e-3,
    warmup=30,
    motion_ramp=100,
    last_motion=Motion(20, 1.25, 0.1, 3e-4),
    ema=0.98,
    checkpoint_s=60,
)

Change = Callable[[TrainingConfig], TrainingConfig]


def switched(name: str, config: TrainingConfig) -> TrainingConfig:
    """Return the configuration without one part of the network."""
    return replace(config, ablation={name: False})


def sourced(config: TrainingConfig, **changes: Any) -> TrainingConfig:
    """Return the configuration with other data."""
    return replace(config, sources=replace(config.sources, **changes))


ARMS: dict[str, Change] = {
    "everything": lambda config: config,
    "without saliency": partial(switched, "saliency"),
    "without semantics": partial(switched, "semantics"),
    "without the semantic graph": partial(switched, "semantic_graph"),
    "without real textures": lambda config: sourced(config, real_textures=False, pool=f"{config.sources.pool}-plain"),
    "without pseudo-modalities": partial(sourced, pseudo_weight=0.0),
}


def trained(config: TrainingConfig, graph_steps: int) -> ExtractorStage:
    """Train the extractor, then the graphs; return the network of the last step's average."""
    folder = Path(config.output)
    train(config, torch.device("cpu"))
    schedule = replace(
        config.schedule, steps=graph_steps, learning_rate=config.schedule.learning_rate / 4, motion_ramp=1
    )
    start = str(folder / "weights.safetensors")
    graphs = replace(config, stage="matcher", start=start, output=str(folder / "graphs"), schedule=schedule)
    train(graphs, torch.device("cpu"))
    stage = ExtractorStage(config.model())
    stage.model.load_state_dict(read_state(folder / "graphs" / "weights.safetensors"), strict=True)
    return stage


def judged(stage: ExtractorStage, pairs: list[Pair], mode: Mode) -> dict[str, Any]:
    """Return the share of pairs within `SUCCESS_PX` with its interval, and the area under the curve up to it."""
    matcher = MapGlueMatcher("ablation", torch.device("cpu"), mode=mode, search=False, network=stage.model)
    errors = np.array([score_pair(matcher.match(pair.image0, pair.image1), pair).corner_error_px for pair in pairs])
    share = bootstrap(errors, lambda values: share_within(values, SUCCESS_PX))
    return {
        "within_10px": share.value,
        "interval": [share.low, share.high],
        "auc_10px": auc(errors, SUCCESS_PX),
        "median_px": float(np.median(np.minimum(errors, 1000))),
    }


def main() -> None:
    """Train and judge every arm; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("work/ablations"), help="scenes and trainings stay here")
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--steps", type=int, default=300, help="of the extractor")
    parser.add_argument("--graph-steps", type=int, default=100)
    parser.add_argument("--draws", type=int, default=3, help="motions a pair")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    schedule = replace(SMALL, steps=arguments.steps, validate_every=10**6)
    sources = Sources(
        data=str(arguments.data), pool=str(arguments.work / "scenes"), scenes=arguments.scenes, real_textures=True
    )
    pairs = moved_pairs(arguments.data / "pairs/srif/Optical-Map", arguments.draws)
    figures: dict[str, Any] = {}
    for name, change in ARMS.items():
        output = str(arguments.work / name.replace(" ", "-"))
        stage = trained(
            change(TrainingConfig(sources=sources, schedule=schedule, output=output)), arguments.graph_steps
        )
        figures[name] = {"single pass": judged(stage, pairs, "single-pass"), "cells": judged(stage, pairs, "network")}
    workload = {
        "pairs": f"SRIF Optical-Map 1-8, {LEVEL}, {arguments.draws} draws a pair",
        "steps": [arguments.steps, arguments.graph_steps],
        "scenes": arguments.scenes,
        "batch": schedule.batch,
        "crop": schedule.crop,
    }
    report("ablations", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
