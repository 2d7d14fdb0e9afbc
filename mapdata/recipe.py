"""The recipe: which stages a MapData run has, in which order."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.config import Config, load_config
from pipeline.stage import Stage

STAGES = {
    "sample": "SampleStage",
    "acquire": "AcquireStage",
    "align": "AlignStage",
    "tile": "TileStage",
    "clean": "CleanStage",
    "split": "SplitStage",
    "release": "ReleaseStage",
    "benchmark": "BenchmarkStage",
    "leaderboard": "LeaderboardStage",
}
"""Stages in order: module of `stages`, class in it."""

LOCK_FILE = Path(__file__).resolve().parents[1] / "requirements.lock"
"""The pinned environment; there in a checkout only."""

OPTIONAL = ("benchmark", "leaderboard")
"""Stages that run only where the configuration names them; the leaderboard comes with the benchmark."""


def stage_classes() -> list[type[Stage[Any]]]:
    """Return the stages in order."""
    return [getattr(import_module(f"stages.{module}"), name) for module, name in STAGES.items()]


def load_recipe(path: Path) -> Config:
    """Read a configuration of a MapData run. Raises ConfigError."""
    loaded = load_config(path, stage_classes(), OPTIONAL)
    if loaded.stages and loaded.stages[-1].name == "benchmark":
        from stages.leaderboard import LeaderboardParams, LeaderboardStage

        return replace(loaded, stages=[*loaded.stages, LeaderboardStage(LeaderboardParams())])
    return loaded
