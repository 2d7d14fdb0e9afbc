"""Encoding as a stage of the engine: any number of workers, killed and resumed, by content."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from landmark_release import write_release
from watched_encoder import LOG, WAIT, asked

from mapdata.encoding import encoded, features_made
from pipeline.errors import PipelineError
from pipeline.workspace import Workspace
from retrieval.errors import RetrievalError
from retrieval.measure import Tables
from retrieval.training.config import TrainingConfig
from retrieval.training.run import train_baseline
from stages.encode import EncodeParams

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).resolve().parents[2] / "support"
IMAGES = 6 * 3 + 6 + 4
"""Photographs and latest aerial images of six query landmarks, and aerial distractors."""
SENTENCES = 6


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LOG, str(tmp_path / "asked.txt"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr("stages.encode.BATCH", 8)
    return write_release(tmp_path / "release", train=1, query=6, index=4)


def tables(release: Path, folder: Path, workers: int = 0, model: str = "watched_encoder:Watched") -> Tables:
    params = EncodeParams(model=model, dataset=release)
    return encoded(params, Workspace(folder, create=True), workers)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("vectors/**/*.parquet")}


def test_nothing_is_encoded_twice(release: Path, tmp_path: Path) -> None:
    log, work = tmp_path / "asked.txt", tmp_path / "work"
    first = tables(release, work)
    assert asked(log) == IMAGES + SENTENCES
    assert {name: len(table.rows) for name, table in first.items()} == {"ground": 18, "satellite": 10, "text": 6}
    second = tables(release, work)
    assert asked(log) == 0
    for name, table in first.items():
        vectors = table.vectors.read(0, 99)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
        assert np.array_equal(vectors, second[name].vectors.read(0, 99))


def test_models_and_datasets_take_turns_in_one_folder(release: Path, tmp_path: Path) -> None:
    log, work = tmp_path / "asked.txt", tmp_path / "work"
    other = write_release(tmp_path / "other", train=1, query=6, index=4, seed=1)
    first = tables(release, work)["ground"].vectors.read(0, 99)
    tables(other, work)
    tables(release, work, model="colour-texture")
    assert asked(log) > IMAGES
    assert np.array_equal(tables(release, work)["ground"].vectors.read(0, 99), first)
    assert len(tables(other, work)["text"].rows) == SENTENCES
    assert asked(log) == 0


def test_what_changed_is_encoded_again_with_its_batch_alone(release: Path, tmp_path: Path) -> None:
    log, work = tmp_path / "asked.txt", tmp_path / "work"
    before = tables(release, work)["ground"]
    asked(log)
    photographs = sorted((release / "images" / "ground").glob("*5?.jpg"))
    photographs[0].write_bytes(photographs[-1].read_bytes())
    after = tables(release, work)["ground"]
    assert 0 < asked(log) < IMAGES
    changed = [
        name
        for name in before.rows
        if not np.array_equal(
            before.vectors.read(0, 99)[before.rows[name]], after.vectors.read(0, 99)[after.rows[name]]
        )
    ]
    assert changed == [photographs[0].stem]


def test_workers_give_the_same_bytes_after_a_kill(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables(release, tmp_path / "whole")
    asked(tmp_path / "asked.txt")
    monkeypatch.setenv(WAIT, "0.3")
    command = ["-m", "mapdata", "evaluate", str(release), "--model", "watched_encoder:Watched", "--workers", "1"]
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, *command, "--out", str(out)], start_new_session=True)
    until = time.monotonic() + 120
    while not (tmp_path / "asked.txt").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still at work"
    monkeypatch.setenv(WAIT, "0")
    tables(release, out / "encoding", workers=2)
    assert files(out / "encoding") == files(tmp_path / "whole")


def test_an_image_that_cannot_be_read_is_named_and_tried_again_once_it_is_there(release: Path, tmp_path: Path) -> None:
    photograph = next((release / "images" / "ground").glob("*5?.jpg"))
    whole = photograph.read_bytes()
    for broken in (None, b"no image", whole[: len(whole) // 2]):
        photograph.unlink()
        if broken is not None:
            photograph.write_bytes(broken)
        with pytest.raises(RetrievalError, match=rf"{photograph.name}.*1 batches"):
            tables(release, tmp_path / "work")
        photograph.write_bytes(whole)
    assert len(tables(release, tmp_path / "work")["ground"].rows) == 18


def test_what_failed_for_another_reason_is_tried_again(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAIT, "no number")
    with pytest.raises(RetrievalError, match="could not be encoded"):
        tables(release, tmp_path / "work")
    monkeypatch.setenv(WAIT, "0")
    assert len(tables(release, tmp_path / "work")["text"].rows) == SENTENCES


def test_features_of_a_training_are_made_by_workers_and_then_found(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = write_release(tmp_path / "training", train=6, query=1, index=1)
    towers = {"ground": "watched_encoder:Watched", "satellite": "pixels", "text": "hashed-words"}
    configs = [
        TrainingConfig.model_validate(
            {"kind": "retrieval", "release": release, "output": tmp_path / name, "towers": towers,
             "schedule": {"copies": 2, "steps": 1}, "validation": {"share": 0}}
        )
        for name in ("workers", "here")
    ]  # fmt: skip
    features_made(configs[0], "cpu", workers=2)
    assert asked(tmp_path / "asked.txt") == 6 * 3 * 2
    features_made(configs[0], "cpu", workers=0)
    weights = [train_baseline(config) for config in configs]
    assert asked(tmp_path / "asked.txt") == 6 * 3 * 2, "the second alone encodes"
    features_made(configs[0], "cpu", workers=0)
    assert asked(tmp_path / "asked.txt") == 0, "what is joined is not made again"
    assert weights[0].read_bytes() == weights[1].read_bytes()
    kept = [sorted(path.name for path in config.output.glob("features/*.npy")) for config in configs]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 3
    next((release / "images" / "ground").glob("*0?.jpg")).write_bytes(b"no image")
    with pytest.raises(RetrievalError, match="no image of a known format"):
        features_made(configs[0], "cpu", workers=0)


def test_what_cannot_be_planned_is_said(release: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="of no known layout"):
        tables(tmp_path / "nowhere", tmp_path / "work")
    with pytest.raises(PipelineError, match="did you mean 'hashed-words'"):
        tables(release, tmp_path / "work", model="hashed-word")
