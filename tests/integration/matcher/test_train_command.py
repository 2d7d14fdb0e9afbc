"""`mapdata train` as a user runs it: killed, it goes on to the same weights; what they saw is on record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import shapely
import yaml

from matcher.benchmark.leakage import read_record
from matcher.mapglue.weights import load_feature_map, load_model, read_state, state_digest
from matcher.training.config import TrainingConfig
from matcher.training.record import tile_bounds, write_record
from matcher.training.sources import LANDQUART_TRAIN

pytestmark = pytest.mark.integration

STEPS = 6


def configuration(folder: Path, output: str, stage: str) -> Path:
    path = folder / f"{output}.yaml"
    settings = {
        "stage": stage,
        "output": str(folder / output),
        "sources": {"data": str(folder), "pool": str(folder / "scenes"), "scenes": 2, "pseudo_weight": 0.0}
        | {"real_weight": 0.0},
        "schedule": {"steps": STEPS, "batch": 1, "crop": 64, "warmup": 1, "checkpoint_s": 0.0},
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def started(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "mapdata", "train", str(config), "--device", "cpu"])


@pytest.mark.parametrize("stage", ["extractor", "field"])
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, stage: str) -> None:
    assert started(configuration(tmp_path, "whole", stage)).wait(300) == 0
    config = configuration(tmp_path, "killed", stage)
    process = started(config)
    while not (tmp_path / "killed/checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed/weights.safetensors").exists()
    assert started(config).wait(300) == 0
    whole, killed = (tmp_path / name / "weights.safetensors" for name in ("whole", "killed"))
    assert state_digest(read_state(whole)) == state_digest(read_state(killed))  # a file's metadata has no order
    loaded = load_feature_map(killed) if stage == "field" else load_model("fast-mapglue", killed)
    assert loaded.config.name == ("learned-field" if stage == "field" else "fast-mapglue")
    assert json.loads(killed.with_name("weights.safetensors.training.json").read_text())["footprints"] == []


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("schedule: {step: 3}\n")
    run = subprocess.run([sys.executable, "-m", "mapdata", "train", str(path)], capture_output=True, text=True)
    assert run.returncode == 2
    assert "unknown key 'step'" in run.stderr


def test_the_record_holds_the_ground_of_tiles_and_extracts(tmp_path: Path, shared_data: Path) -> None:
    write_record(TrainingConfig(), tmp_path / "record.json")
    record = read_record(tmp_path / "record.json")
    west, south, east, _ = tile_bounds(LANDQUART_TRAIN["lk25"])
    inside, beside = shapely.Point(west + 0.01, south + 0.01), shapely.Point(east + 0.005, south + 0.01)
    assert len(record.ground.query(inside, predicate="intersects"))
    assert not len(record.ground.query(beside, predicate="intersects"))  # Landquart's east validates
    assert len(record.ground.query(shapely.Point(12.503, 41.895), predicate="intersects"))  # an extract of Rome
    assert len(record.digests) > 500
