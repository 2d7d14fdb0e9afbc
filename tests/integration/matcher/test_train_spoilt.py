"""`mapdata train` with settings, data, checkpoints and disks that are spoilt: a message and a remedy, nothing lost."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from small_disk import tmpfs
from torch import nn

from mapdata.cli import main
from matcher.benchmark.leakage import read_record
from matcher.errors import WeightsError
from matcher.mapglue.weights import load_model, save_weights
from matcher.training import run
from matcher.training.checkpoint import Ema, TrainingProgress, load_checkpoint, save_checkpoint
from matcher.training.config import TrainingConfig
from matcher.training.metrics import MetricsLog
from matcher.training.stages import build_stage
from pipeline.config import read_model

pytestmark = pytest.mark.integration


def configuration(folder: Path, **changes: Any) -> Path:
    settings = {"output": "out", "sources": {"release": {"folder": "release"}}, "schedule": {"steps": 1, "crop": 64}}
    (folder / "train.yaml").write_text(yaml.safe_dump(settings | changes))
    return folder / "train.yaml"


def small_network(width: int = 8) -> tuple[nn.Module, Ema, torch.optim.Optimizer]:
    network = nn.Sequential(nn.Linear(4, width), nn.Linear(width, 50_000 // width))
    return network, Ema(network, 0.9), torch.optim.AdamW(network.parameters())


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({}, 2, "release"),
        ({"sources": {}}, 2, "give at least one of synthetic, pseudo, real, release"),
        ({"sources": {"release": {"folder": 3}}}, 2, "sources.release.folder"),
        ({"sources": {"release": {"folder": "release", "split": "test"}}}, 2, "sources.release.split"),
        ({"sources": {"pseudo": {"imagery": [{"folder": "gone", "zoom": 3, "x": [0, 1], "y": [0, 1]}]}}}, 2, "gone"),
        ({"schedule": {"steps": -1}}, 2, "schedule.steps"),
        ({"schedule": {"steps": 1, "learning_rate": float("nan")}}, 2, "schedule.learning_rate"),
        ({"schedule": {"steps": 1, "distinct": 10, "ramp_steps": 20}}, 2, "distinct must be at least ramp_steps"),
        ({"stage": "graphs", "validation": "pairs"}, 2, "validation measures the extractor"),
        ({"seed": "x"}, 2, "seed"),
        ({"kind": "nothing"}, 2, "kind"),
        ({"output": None}, 2, "output"),
    ],
)
def test_rubbish_in_the_configuration_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    status: int,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["mapdata", "train", str(configuration(tmp_path, **changes)), "--device", "cpu"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == status
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert said in message


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"formats": 3}', "[" * 100_000, "no manifest"])
def test_a_damaged_release_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "release/release.json").write_text('{"formats": ["folders"]}' if damage == "no manifest" else damage)
    monkeypatch.setattr(sys, "argv", ["mapdata", "train", str(configuration(tmp_path)), "--device", "cpu"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert str(tmp_path / "release") in capsys.readouterr().err


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_named(tmp_path: Path, share: float) -> None:
    path, parts = tmp_path / "checkpoint.pt", small_network()
    save_checkpoint(path, *parts, TrainingProgress(3, 0.5))
    assert load_checkpoint(path, *parts) == TrainingProgress(3, 0.5)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match=r"checkpoint.pt: damaged .*; delete it and train again"):
        load_checkpoint(path, *parts)


def test_a_checkpoint_of_other_settings_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, *small_network(), TrainingProgress())
    with pytest.raises(WeightsError, match="of a training with other settings"):
        load_checkpoint(path, *small_network(10))
    for value in ({"network": {}}, [1], {}):
        torch.save(value, path)
        with pytest.raises(WeightsError, match="of a training with other settings"):
            load_checkpoint(path, *small_network())


def test_a_full_disk_at_a_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    parts = small_network()
    with tmpfs(tmp_path / "disk", "size=1m"):
        path = tmp_path / "disk/checkpoint.pt"
        save_checkpoint(path, *parts, TrainingProgress(1))
        before = path.read_bytes()
        (tmp_path / "disk/filler").write_bytes(b"x" * (shutil.disk_usage(path.parent).free - 100_000))
        with pytest.raises(OSError, match="no space left on its disk") as told:
            save_checkpoint(path, *parts, TrainingProgress(2))
        assert told.value.filename == str(path)
        assert path.read_bytes() == before
        assert sorted(entry.name for entry in path.parent.iterdir()) == ["checkpoint.pt", "filler"]
        (tmp_path / "disk/filler").unlink()
        save_checkpoint(path, *parts, TrainingProgress(2))
        assert load_checkpoint(path, *parts).step == 2


@contextmanager
def dying(*_: object) -> Iterator[None]:
    raise KeyboardInterrupt
    yield


def test_weights_never_lie_without_the_record_of_their_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record keeps trained pairs out of a benchmark: whoever dies between the two has written it first."""
    sources = {"synthetic": {"folder": "scenes", "count": 1}}
    config = read_model(configuration(tmp_path, sources=sources), TrainingConfig)
    stage = build_stage(config)
    trainer = run.Trainer(config, run.Task(stage, None), None, torch.device("cpu"))  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr("matcher.mapglue.weights.atomic_path", dying)
        with pytest.raises(KeyboardInterrupt):
            run.export(config, stage, trainer)
    record = tmp_path / "out/weights.safetensors.training.json"
    assert not (tmp_path / "out/weights.safetensors").exists()
    assert len(read_record(record).digests) == 0
    path = run.export(config, stage, trainer)
    assert load_model("fast-mapglue", path).config.name == "fast-mapglue"
    torch.save({"other": torch.zeros(3)}, tmp_path / "out/best.pt")
    with pytest.raises(WeightsError, match=r"best.pt .*"):
        run.export(config, stage, trainer)
    (tmp_path / "out/best.pt").write_bytes(b"PK")
    with pytest.raises(WeightsError, match=r"best.pt: damaged"):
        run.export(config, stage, trainer)


def test_weights_with_a_description_that_is_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("fast-mapglue")
    path = tmp_path / "weights.safetensors"
    for text in ("[" * 100_000, "[]", "3", "{"):
        with monkeypatch.context() as patch:
            patch.setattr("matcher.mapglue.weights.json.dumps", lambda value, text=text: text)
            save_weights(path, model, {})
        with pytest.raises(WeightsError, match=r"weights\.safetensors"):
            load_model("fast-mapglue", path)


def test_metrics_with_a_torn_end_go_on(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(b"step,name,value\n1,loss,0.5\n2,loss,0.4\nxx,loss,3\n3,lo\0\xff")
    with MetricsLog(tmp_path, 1) as log:
        log.write(2, {"loss": 0.25})
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["step,name,value", "1,loss,0.5", "2,loss,0.25"]
