"""Other sets through the command line: the same model measured on folders laid out as theirs are."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mapdata.cli import build_app
from retrieval.embeddings import write_embeddings
from retrieval.errors import RetrievalError
from retrieval.layouts import read_dataset

pytestmark = pytest.mark.integration

PLACES = 8


def picture(path: Path, place: int, seed: int = 0) -> None:
    """Write an image whose colour says which place it shows."""
    colour = np.random.default_rng(place).integers(30, 220, 3)
    noise = np.random.default_rng(seed).normal(0, 3, (48, 64, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(colour + noise, 0, 255).astype(np.uint8))


def table(path: Path, *rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def university(root: Path) -> Path:
    """Eight buildings, two of which are in the galleries alone."""
    for place in range(PLACES):
        for side in ("drone", "street", "satellite"):
            for view in range(1 if side == "satellite" else 3):
                picture(root / f"test/gallery_{side}/{place:04d}/view-{view}.jpg", place, view)
                if place < PLACES - 2:
                    picture(root / f"test/query_{side}/{place:04d}/view-{view}.jpg", place, view + 7)
    return root


def cvusa(root: Path) -> Path:
    """Eight pairs."""
    rows = [[f"bingmap/19/{n:07d}.jpg", f"streetview/panos/{n:07d}.jpg", f"annotations/{n:07d}.png"] for n in range(8)]
    for place, (aerial, panorama, _) in enumerate(rows):
        picture(root / aerial, place)
        picture(root / panorama, place, 1)
    table(root / "splits" / "val-19zl.csv", *rows)
    return root


def mmlandmarks(root: Path) -> Path:
    """Eight landmarks of the published layout; the last has no aerial image. Twenty distractors of each sort."""
    ids = {place: f"L{place}" for place in range(PLACES)}
    table(root / "query/mml_query.csv", ["landmark_id", "lat", "lon"], *[[ids[n], 40 + n, -80] for n in ids])
    ground = [[ids[n], " ".join(f"a{n}{view:014d}" for view in range(2))] for n in ids]
    table(root / "query/mml_query_ground.csv", ["landmark_id", "images"], *ground)
    aerials = [[ids[n], f"b{n}{0:014d}"] for n in list(ids)[:-1]]
    table(root / "query/mml_query_satellite.csv", ["landmark_id", "images"], *aerials)
    sentences = [[ids[n], f"Ein Türmchen, 第{n} tower."] for n in ids]
    table(root / "query/mml_query_text_sentences.csv", ["landmark_id", "sentences"], *sentences)
    table(root / "index/mml_index_ground.csv", ["images"], *[[f"c{n:015d}"] for n in range(20)])
    aerials = [[f"d{n:015d}", 10 + n, 20] for n in range(20)]
    table(root / "index/mml_index_satellite.csv", ["images", "lat", "lon"], *aerials)
    for name, items in (("ground", 2), ("satellite", 1)):
        for place in ids:
            for view in range(items):
                own = f"{'a' if name == 'ground' else 'b'}{place}{view:014d}"
                picture(root / "query" / name / own[0] / own[1] / own[2] / f"{own}.jpg", place, view)
        for number in range(20):
            own = f"{'c' if name == 'ground' else 'd'}{number:015d}"
            picture(root / "index" / name / own[0] / own[1] / own[2] / f"{own}.png", 100 + number)
    return root


def measured(root: Path, out: Path, *more: str) -> dict[tuple[str, str], dict[str, Any]]:
    given = ["evaluate", str(root), "--out", str(out), "--json", *more]
    if "--model" in more:
        given += ["--workers", "0"]
    ran = CliRunner().invoke(build_app(), given)
    if isinstance(ran.exception, RetrievalError):
        raise ran.exception
    assert ran.exit_code == 0, ran.exception or ran.output
    found = json.loads(ran.stdout)["results"]
    assert (out / "report.html").is_file()
    return {(each["task"], each["protocol"]): each for each in found}


@pytest.mark.parametrize("make", [university, cvusa])
def test_a_model_is_measured_on_sets_of_two_modalities(make: Any, tmp_path: Path) -> None:
    found = measured(make(tmp_path / "set"), tmp_path / "out", "--model", "colour-texture", "--pooled")
    assert {task for task, _ in found} == {"G2S", "S2G", "G2S pooled"}
    for key, each in found.items():
        assert each["figures"]["R@1"]["value"] == 1, key
        assert each["figures"]["R@1"]["value"] <= 1
    assert (tmp_path / "out" / "report.html").read_text().count("Best queries") == 2


def test_views_of_the_street_take_the_part_of_photographs_where_asked(tmp_path: Path) -> None:
    root = university(tmp_path / "set")
    found = measured(root, tmp_path / "out", "--layout", "university-1652-street", "--model", "colour-texture")
    assert found["G2S", "whole-gallery"]["queries"] == 3 * (PLACES - 2)
    assert read_dataset(root, "university-1652-street").queries["ground"].ids[0].startswith("test/query_street/")


def test_vectors_of_queries_and_gallery_that_are_different_images_stand_in_one_table(tmp_path: Path) -> None:
    root = university(tmp_path / "set")
    benchmark = read_dataset(root)
    for modality in ("ground", "satellite"):
        sides = [benchmark.queries[modality], benchmark.galleries[modality]]  # type: ignore[index]
        ids = [name for side in sides for name in side.ids]
        places = [int(Path(name).parent.name) for name in ids]
        write_embeddings(tmp_path / "vectors", modality, ids, np.eye(PLACES, dtype=np.float32)[places])  # type: ignore[arg-type]
    found = measured(root, tmp_path / "out", "--embeddings", str(tmp_path / "vectors"))
    assert found["G2S", "whole-gallery"]["figures"]["R@1"]["value"] == 1
    assert found["S2G", "official"]["figures"]["mAP@1k"]["value"] == 1


def test_the_published_release_is_measured_by_models_of_images_and_of_texts(tmp_path: Path) -> None:
    root = mmlandmarks(tmp_path / "set")
    found = measured(root, tmp_path / "out", "--model", "colour-texture")
    assert {task for task, _ in found} == {"G2S", "S2G"}
    assert found["G2S", "whole-gallery"]["figures"]["R@1"]["value"] > 0.8
    assert found["G2S", "whole-gallery"]["queries_without_answer"] == 2
    whole = measured(root, tmp_path / "all", "--model", "baseline", "--protocol", "whole-gallery")
    assert {task for task, _ in whole} == {"G2S", "S2G", "T2G", "T2S", "G2C", "S2C", "T2C"}
    assert whole["T2C", "whole-gallery"]["gallery"] == PLACES + 20
    with pytest.raises(RetrievalError, match="did you mean 'colour-texture'"):
        measured(root, tmp_path / "no", "--model", "colour-textur")
    with pytest.raises(RetrievalError, match="no task 'G2X'"):
        measured(root, tmp_path / "no", "--model", "colour-texture", "--task", "G2X")
