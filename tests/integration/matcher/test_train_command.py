"""`mapdata train` as a user runs it: killed, it goes on to the same weights; what they saw is on record."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import yaml

from matcher.benchmark.leakage import read_record, refuse_trained
from matcher.benchmark.readers import release_pairs
from matcher.errors import InputError
from matcher.mapglue.weights import load_feature_map, load_model, read_state, state_digest
from matcher.training.config import TrainingConfig
from matcher.training.record import write_record
from matcher.training.tiles import tile_bounds
from pipeline.config import read_model

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).resolve().parents[3]
STEPS = 6


def configuration(folder: Path, output: str, stage: str) -> Path:
    path = folder / f"{output}.yaml"
    settings = {
        "stage": stage,
        "output": output,
        "sources": {"synthetic": {"folder": "scenes", "count": 2}},
        "schedule": {"steps": STEPS, "batch": 1, "crop": 64, "warmup": 1, "checkpoint_s": 0.0},
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def started(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "mapdata", "train", str(config), "--device", "cpu"])


@pytest.mark.parametrize(("stage", "by"), [("extractor", signal.SIGKILL), ("feature-map", signal.SIGTERM)])
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, stage: str, by: signal.Signals) -> None:
    assert started(configuration(tmp_path, "whole", stage)).wait(300) == 0
    config = configuration(tmp_path, "killed", stage)
    process = started(config)
    while not (tmp_path / "killed/checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(by)
    assert process.wait() == -by
    assert not (tmp_path / "killed/weights.safetensors").exists()
    assert started(config).wait(300) == 0
    whole, killed = (tmp_path / name / "weights.safetensors" for name in ("whole", "killed"))
    assert state_digest(read_state(whole)) == state_digest(read_state(killed))  # a file's metadata has no order
    loaded = load_feature_map(killed) if stage == "feature-map" else load_model("fast-mapglue", killed)
    assert loaded.config.name == ("feature-map" if stage == "feature-map" else "fast-mapglue")
    assert json.loads(killed.with_name("weights.safetensors.training.json").read_text())["footprints"] == []


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    path = configuration(tmp_path, "wrong", "extractor")
    path.write_text(path.read_text().replace("steps:", "step:"))
    run = subprocess.run([sys.executable, "-m", "mapdata", "train", str(path)], capture_output=True, text=True)
    assert run.returncode == 2
    assert "schedule.step: there is no such field; did you mean 'steps'?" in run.stderr


def test_make_train_works_as_it_stands(tmp_path: Path) -> None:
    """With the shipped configuration, but for the folders and few steps: it needs no data."""
    config = yaml.safe_load((PROJECT / "configs/train-synthetic.yaml").read_text())
    config["output"] = config["sources"]["synthetic"]["folder"] = str(tmp_path / "out")
    config["sources"]["synthetic"]["count"] = 2
    config["schedule"] |= {"steps": 2, "batch": 1}
    (tmp_path / "few-steps.yaml").write_text(yaml.safe_dump(config))
    command = ["make", "-C", str(PROJECT), "train", f"TRAINING={tmp_path / 'few-steps.yaml'}"]
    assert subprocess.run(command, check=False).returncode == 0
    assert load_model("fast-mapglue", tmp_path / "out/weights.safetensors").config.name == "fast-mapglue"
    plan = subprocess.run(["make", "-C", str(PROJECT), "-n", "train"], capture_output=True, text=True, check=True)
    assert "train configs/train-synthetic.yaml" in plan.stdout


def test_the_record_holds_the_ground_of_tiles_and_extracts(tmp_path: Path, shared_data: Path) -> None:
    config = read_model(PROJECT / "configs/train-fast-mapglue.yaml", TrainingConfig)
    assert config.sources.real is not None
    write_record(config, tmp_path / "record.json")
    record = read_record(tmp_path / "record.json")
    west, south, east, _ = tile_bounds(config.sources.real.map)
    inside, beside = shapely.Point(west + 0.01, south + 0.01), shapely.Point(east + 0.005, south + 0.01)
    assert len(record.ground.query(inside, predicate="intersects"))
    assert not len(record.ground.query(beside, predicate="intersects"))  # Landquart's east is for validation
    if not config.sources.real.map.folder.is_dir():
        pytest.skip("the folders of configs/train-fast-mapglue.yaml are not there")
    assert len(record.ground.query(shapely.Point(12.503, 41.895), predicate="intersects"))  # an extract of Rome
    assert len(record.digests) > 500


def test_a_release_is_a_source(tmp_path: Path) -> None:
    """A release of folders with two training pairs; the record refuses them, and leaves the test pair alone."""
    release = tmp_path / "release"
    rows = []
    for number, split in enumerate(("train", "train", "test")):
        pixels = np.random.default_rng(number).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
        for side, image in zip("LR", pixels, strict=True):
            path = release / f"MapData/1/1/{side}/p{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), image)
        paths = {f"{role}_path": f"MapData/1/1/{side}/p{number}.png" for role, side in (("map", "L"), ("visible", "R"))}
        ground = shapely.to_wkb(shapely.box(number, 0, number + 0.5, 1))
        rows.append({"pair_id": f"p{number}", "verdict": "accepted", "split": split, "zarr_index": number} | paths)
        rows[-1]["geometry"] = ground
    pq.write_table(pa.Table.from_pylist(rows), release / "manifest.parquet")
    (release / "release.json").write_text(json.dumps({"formats": ["folders"]}))
    path = configuration(tmp_path, "out", "extractor")
    settings = yaml.safe_load(path.read_text()) | {"sources": {"release": {"folder": "release"}}}
    path.write_text(yaml.safe_dump(settings))
    assert started(path).wait(300) == 0
    weights = tmp_path / "out/weights.safetensors"
    trained, held_out = (release_pairs(release, split) for split in ("train", "test"))
    with pytest.raises(InputError, match="was trained on 2 of these 2 pairs"):
        refuse_trained(f"fast-mapglue@{weights}", trained)
    refuse_trained(f"fast-mapglue@{weights}", held_out)
