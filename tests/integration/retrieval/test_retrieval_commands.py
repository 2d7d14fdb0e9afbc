"""Train, measure, ask: the commands on a tiny release whose landmarks look alike from the ground and from above."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from landmark_release import write_release
from typer.testing import CliRunner

from mapdata.cli import build_app
from retrieval.errors import RetrievalError

pytestmark = pytest.mark.integration


def run(*arguments: object) -> str:
    inline = ["--workers", "0"] if arguments[0] in ("evaluate", "retrieve", "train") else []
    ran = CliRunner().invoke(build_app(), [*map(str, arguments), *inline])
    if isinstance(ran.exception, RetrievalError):
        raise ran.exception
    assert ran.exit_code == 0, ran.exception or ran.output
    return ran.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release, and a model that was trained on its split `train`."""
    root = tmp_path_factory.mktemp("retrieval")
    write_release(root / "release", train=48, query=12, index=6)
    config = {
        "kind": "retrieval",
        "release": "release",
        "output": "model",
        "towers": {"ground": "pixels", "satellite": "pixels"},
        "schedule": {
            "steps": 90,
            "landmarks_per_step": 16,
            "items_per_landmark": 1,
            "validate_every": 45,
            "learning_rate": 0.003,
            "category_share": 0.0,
            "components": 40,
        },
        "validation": {"share": 0.2, "cell_km": 40, "distance_km": 0.1},
    }
    (root / "train.yaml").write_text(yaml.safe_dump(config))
    assert "done" in run("train", root / "train.yaml")
    return root


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    return f"baseline@{folder / 'model' / 'baseline.safetensors'}"


def test_what_was_trained_finds_landmarks_never_seen(folder: Path, model: str) -> None:
    found = json.loads(
        run("evaluate", folder / "release", "--model", model, "--out", folder / "out", "--pooled", "--json")
    )
    figures = {(each["task"], each["protocol"]): each["figures"] for each in found["results"]}
    assert {task for task, _ in figures} == {
        "G2S", "S2G", "T2G", "T2S", "G2C", "S2C", "T2C", "G2S pooled", "G2C pooled",
    }  # fmt: skip
    for task in ("G2S", "S2G", "T2G"):
        each = figures[task, "whole-gallery"]
        assert each["median rank"]["value"] < 0.6 * each["median rank by chance"]["value"], task
    page = (folder / "out" / "report.html").read_text()
    for part in ("Best queries of G2S", "Worst queries of G2S", "protocol whole-gallery", "<svg", "data:image/jpeg"):
        assert part in page
    assert "http" not in page, "the page needs no other file"
    assert (folder / "model" / "baseline.safetensors").stat().st_size < 10_000_000


def test_landmarks_seen_in_training_are_refused(folder: Path, model: str, tmp_path: Path) -> None:
    for name in ("manifest", "landmarks", "texts"):
        table = pq.read_table(folder / "release" / f"{name}.parquet")
        splits = pa.array(["query" if each == "train" else each for each in table["split"].to_pylist()])
        pq.write_table(
            table.set_column(table.column_names.index("split"), "split", splits), tmp_path / f"{name}.parquet"
        )
    with pytest.raises(RetrievalError, match=r"was trained on 4\d of the 60 landmarks that ask"):
        run("evaluate", tmp_path, "--model", model, "--out", tmp_path / "out")


def test_a_photograph_and_a_sentence_find_their_landmark(folder: Path, model: str, tmp_path: Path) -> None:
    photographs = sorted((folder / "release" / "images" / "ground").glob("a*"))
    found = json.loads(
        run("retrieve", photographs[-1], "--release", folder / "release", "--model", model, "--out", tmp_path,
            "--cache", tmp_path / "vectors", "--json")
    )  # fmt: skip
    assert [each["rank"] for each in found["answers"]] == list(range(1, 11))
    scores = [each["score"] for each in found["answers"]]
    assert scores == sorted(scores, reverse=True)
    total = sum(each["probability"] for each in found["answers"]) + found["probability_of_none"]
    assert 0 < total <= 1 + 1e-5
    assert found["known"] == (found["answers"][0]["probability"] >= 0.5)
    assert found["known"] or found["verdict"].startswith("I do not know")
    assert json.loads((tmp_path / "answers.json").read_text()) == found
    picture = cv2.imread(str(tmp_path / "answers.png"))
    assert picture is not None
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000
    assert any((tmp_path / "vectors").rglob("*.parquet"))
    several = json.loads(
        run("retrieve", *photographs[-3:], "--release", folder / "release", "--model", model,
            "--out", tmp_path / "three", "--cache", tmp_path / "vectors", "--json")
    )  # fmt: skip
    assert several["question"] == "ground"
    assert several["answers"] != found["answers"]
    assert cv2.imread(str(tmp_path / "three" / "answers.png")) is not None
    told = run("retrieve", "a red tower", "--release", folder / "release", "--model", model)
    assert len(told.splitlines()) == 11
    seen = ("--split", "train", "--allow-trained")
    given = ("retrieve", "a red tower", "--release", folder / "release", "--model", model)
    assert "(trained on it)" in run(*given, *seen)


@pytest.mark.filterwarnings("error:Glyph")
def test_titles_and_questions_of_any_script_are_drawn(folder: Path, model: str, tmp_path: Path) -> None:
    release = tmp_path / "release"
    shutil.copytree(folder / "release", release)
    table = pq.read_table(release / "landmarks.parquet")
    titles = ["東京タワー $1", "경복궁", "Église & <b>", "Храм", "قلعة", "วัด", "x_y^2$"]
    named = pa.array([titles[number % len(titles)] for number in range(table.num_rows)])
    pq.write_table(table.set_column(table.column_names.index("name"), "name", named), release / "landmarks.parquet")
    found = json.loads(
        run("retrieve", "赤い塔, красная башня", "--release", release, "--model", model, "--out", tmp_path, "--json")
    )
    assert {each["title"] for each in found["answers"]} <= set(titles)
    assert cv2.imread(str(tmp_path / "answers.png")) is not None


def test_questions_that_cannot_be_answered(folder: Path, model: str, tmp_path: Path) -> None:
    release = folder / "release"
    with pytest.raises(RetrievalError, match="no such image"):
        run("retrieve", "nowhere.jpg", "--release", release, "--model", model, "--kind", "ground")
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(RetrievalError, match="no image"):
        run("retrieve", tmp_path / "text.jpg", "--release", release, "--model", model)
    for typo in ("photograph.jpg", "Fotografías/casa.PNG"):
        with pytest.raises(RetrievalError, match="no such image"):
            run("retrieve", typo, "--release", release, "--model", model)
    for words in (("",), ("  ",), ("a church", "a tower"), ("a church", tmp_path / "text.jpg")):
        with pytest.raises(RetrievalError, match=r"one text|no such image"):
            run("retrieve", *words, "--release", release, "--model", model)
    with pytest.raises(RetrievalError, match="does not encode ground"):
        run("retrieve", next((release / "images/ground").iterdir()), "--release", release, "--model", "hashed-words")
    with pytest.raises(RetrievalError, match="is this a release of landmarks"):
        run("retrieve", "a church", "--release", tmp_path, "--model", model)
    untold = run("retrieve", "a red tower", "--release", release, "--model", "hashed-words")
    assert "no calibration" in untold
    assert "no calibration" in run("retrieve", "a tower " * 99, "--release", release, "--model", "hashed-words")
    named = run("retrieve", "photograph.jpg", "--kind", "text", "--release", release, "--model", "hashed-words")
    assert "no calibration" in named


def test_results_of_machines_are_merged(folder: Path, model: str, tmp_path: Path) -> None:
    given = ("evaluate", folder / "release", "--task", "G2S", "--protocol", "whole-gallery")
    run(*given, "--model", model, "--out", tmp_path / "a")
    run(*given, "--model", "colour-texture", "--out", tmp_path / "b")
    value = json.loads((tmp_path / "a" / "results.json").read_text())
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "results.json").write_text(json.dumps(value | {"machine": value["machine"] | {"name": "other"}}))
    text = run("leaderboard", tmp_path / "a", tmp_path / "b", tmp_path / "c")
    rows = [line for line in text.splitlines() if line.startswith("| baseline") or line.startswith("| colour")]
    assert len(rows) == 2, "one row a model where the machines agree"
    assert "other" in next(row for row in rows if row.startswith("| baseline"))
    assert sum(", p " in row for row in rows) == 1, "the second is compared with the first on the same queries"
    for entry in value["results"]:
        entry["figures"]["median rank"]["value"] += 3
    (tmp_path / "c" / "results.json").write_text(json.dumps(value | {"machine": value["machine"] | {"name": "other"}}))
    assert run("leaderboard", tmp_path / "a", tmp_path / "c").count("figures differ between machines") == 2
    value["dataset"]["digest"] = "0" * 32
    (tmp_path / "c" / "results.json").write_text(json.dumps(value))
    assert run("leaderboard", tmp_path / "a", tmp_path / "c").count("## ") == 2, "another dataset has its own table"
    with pytest.raises(RetrievalError, match="cannot be read"):
        run("leaderboard", tmp_path / "nowhere")


def test_frozen_features_and_a_sentence_encoder_train_as_well(folder: Path, tmp_path: Path) -> None:
    config = {
        "kind": "retrieval",
        "release": str(folder / "release"),
        "output": "model",
        "towers": {"ground": "colour-texture", "satellite": "colour-texture", "text": None},
        "schedule": {"steps": 10, "landmarks_per_step": 16, "validate_every": 10, "copies": 2},
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    run("train", tmp_path / "train.yaml")
    name = f"baseline@{tmp_path / 'model' / 'baseline.safetensors'}"
    found = json.loads(
        run("evaluate", folder / "release", "--model", name, "--out", tmp_path / "out", "--json", "--task", "G2S")
    )
    assert found["results"][0]["queries"] == 36
    config["towers"]["ground"] = "colour-textur"  # type: ignore[index]
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    ran = CliRunner().invoke(build_app(), ["train", str(tmp_path / "train.yaml")])
    assert "did you mean 'colour-texture'" in str(ran.exception)
