"""What each part of MapGlue and of its training data is worth: small trainings that differ in one thing.

    python benchmarks/ablations.py --json > benchmarks/results/ablations.json

Every arm trains the extractor and then the graphs of the fast size from scratch, with the same seed and as many steps,
and is judged on real pairs it never saw: the development part of SRIF's Optical-Map at the level Easy, several draws a
pair. "single pass" is keypoints, graphs and assignment; "cells" is the descriptors alone, cell by cell, with no search
over rotations and scales. Short trainings show early differences only. A run that was stopped goes on when repeated.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _machine import report

from matcher.benchmark.metrics import auc, score_pair, share_within
from matcher.benchmark.pairs import ImagePair
from matcher.benchmark.statistics import bootstrap
from matcher.mapglue.config import Mode
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.weights import read_state
from matcher.training.config import Ablation, Schedule, TrainingConfig
from matcher.training.run import train
from matcher.training.stages import ExtractorStage
from matcher.training.validation import LEVEL, SUCCESS_PX, warped_pairs
from pipeline.config import read_model
from raster.levels import HomographyRange

CONFIG = Path(__file__).parents[1] / "configs/train-fast-mapglue.yaml"
"""Whose sources are used."""

SMALL = Schedule(
    batch=8,
    crop=192,
    learning_rate=2e-3,
    warmup=30,
    ramp_steps=100,
    last_homography=HomographyRange(rotation_deg=20, scale=1.25, shift=0.1, perspective=3e-4),
    ema=0.98,
    checkpoint_s=60,
)

Change = Callable[[TrainingConfig], TrainingConfig]


def switched(name: str, config: TrainingConfig) -> TrainingConfig:
    """Return the configuration without one part of the network."""
    return config.model_copy(update={"ablation": Ablation(**{name: False})})


def without_textures(config: TrainingConfig) -> TrainingConfig:
    """Return the configuration with synthetic scenes of procedural texture only, in a folder of their own."""
    assert config.sources.synthetic is not None
    folder = config.sources.synthetic.folder
    plain = config.sources.synthetic.model_copy(
        update={"textures": (), "folder": folder.with_name(f"{folder.name}-plain")}
    )
    return config.model_copy(update={"sources": config.sources.model_copy(update={"synthetic": plain})})


def without_pseudo(config: TrainingConfig) -> TrainingConfig:
    """Return the configuration without pseudo-modalities."""
    return config.model_copy(update={"sources": config.sources.model_copy(update={"pseudo": None})})


ARMS: dict[str, Change] = {
    "everything": lambda config: config,
    "without saliency": partial(switched, "saliency"),
    "without semantics": partial(switched, "semantics"),
    "without the semantic graph": partial(switched, "semantic_graph"),
    "without real textures": without_textures,
    "without pseudo-modalities": without_pseudo,
}


def trained(config: TrainingConfig, graph_steps: int) -> ExtractorStage:
    """Train the extractor, then the graphs; return the network of the last step's average."""
    train(config, torch.device("cpu"))
    rate = config.schedule.learning_rate / 4
    schedule = config.schedule.model_copy(update={"steps": graph_steps, "learning_rate": rate, "ramp_steps": 1})
    start, output = config.output / "weights.safetensors", config.output / "graphs"
    graphs = config.model_copy(update={"stage": "matcher", "start": start, "output": output, "schedule": schedule})
    train(graphs, torch.device("cpu"))
    stage = ExtractorStage(config.model())
    stage.model.load_state_dict(read_state(output / "weights.safetensors"), strict=True)
    return stage


def judged(stage: ExtractorStage, pairs: list[ImagePair], mode: Mode) -> dict[str, Any]:
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
    parser.add_argument("--seeds", type=int, default=3, help="random homographies a pair")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    schedule = SMALL.model_copy(update={"steps": arguments.steps, "validate_every": 10**6})
    example = read_model(CONFIG, TrainingConfig)
    assert example.sources.synthetic is not None
    assert example.sources.pseudo is not None
    scenes = {
        "folder": arguments.work / "scenes",
        "count": arguments.scenes,
        "textures": example.sources.pseudo.imagery,
    }
    synthetic = example.sources.synthetic.model_copy(update=scenes)
    sources = example.sources.model_copy(update={"synthetic": synthetic})
    pairs = warped_pairs(arguments.data / "pairs/srif/Optical-Map", arguments.seeds)
    figures: dict[str, Any] = {}
    for name, change in ARMS.items():
        config = TrainingConfig(output=arguments.work / name.replace(" ", "-"), sources=sources, schedule=schedule)
        stage = trained(change(config), arguments.graph_steps)
        figures[name] = {"single pass": judged(stage, pairs, "single-pass"), "cells": judged(stage, pairs, "network")}
    workload = {
        "pairs": f"SRIF Optical-Map 1-8, {LEVEL}, {arguments.seeds} random homographies a pair",
        "steps": [arguments.steps, arguments.graph_steps],
        "scenes": arguments.scenes,
        "batch": schedule.batch,
        "crop": schedule.crop,
    }
    report("ablations", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
