"""A small release in the official layout, evaluated from embeddings."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mapdata.cli import build_app
from retrieval.benchmark import TASKS, Modality
from retrieval.embeddings import read_embeddings, write_embeddings
from retrieval.errors import RetrievalError
from retrieval.evaluate import evaluate
from retrieval.measure import Vectorised, from_files, measure, tasks_of
from retrieval.metrics import PROTOCOLS
from retrieval.official import image_path, read_official

pytestmark = pytest.mark.unit

LANDMARKS = 12
PHOTOGRAPHS = 3
INDEX = 40


def table(path: Path, columns: list[str], rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def name(kind: str, number: int) -> str:
    return f"{kind}{number:015x}"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Twelve landmarks along a meridian with three photographs each, and forty distractors."""
    root, ids = tmp_path / "release", [f"L{i}" for i in range(LANDMARKS)]
    query, index = root / "query", root / "index"
    places = [[landmark, "c", 40 + i, -75] for i, landmark in enumerate(ids)]
    table(query / "mml_query.csv", ["landmark_id", "CommonsCategory", "lat", "lon"], places)
    photographs = [[each, " ".join(name("a", PHOTOGRAPHS * i + j) for j in range(3))] for i, each in enumerate(ids)]
    table(query / "mml_query_ground.csv", ["landmark_id", "images"], photographs)
    aerials = [[each, name("b", i)] for i, each in enumerate(ids)]
    table(query / "mml_query_satellite.csv", ["landmark_id", "images"], aerials)
    sentences = [[each, f"A church, number {i}."] for i, each in enumerate(ids)]
    table(query / "mml_query_text_sentences.csv", ["landmark_id", "sentences"], sentences)
    table(index / "mml_index_ground.csv", ["images", "gldv2_id"], [[name("c", i), i] for i in range(INDEX)])
    aerials = [[name("d", i), 10 + i / 10, 20, 2020] for i in range(INDEX)]
    table(index / "mml_index_satellite.csv", ["images", "lat", "lon", "year"], aerials)
    kinds = [[each, "church" if i % 2 else "museum", "NY"] for i, each in enumerate(ids)]
    table(root / "mmlandmarks.csv", ["landmark_id", "category", "state"], kinds)
    return root


def vectors_of(landmarks: np.ndarray, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(LANDMARKS + 1, 32))
    centres[-1] = 0  # what distractors share
    values = centres[landmarks] + noise * rng.normal(size=(len(landmarks), 32))
    values[landmarks < 0] = rng.normal(size=(int((landmarks < 0).sum()), 32))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def encoded(root: Path, folder: Path, noise: float) -> Path:
    benchmark = read_official(root)
    items = {**benchmark.queries, **benchmark.galleries}
    for seed, (modality, each) in enumerate(items.items()):
        order = np.random.default_rng(seed).permutation(len(each))
        vectors = vectors_of(each.landmarks, noise, seed)
        write_embeddings(folder, modality, [each.ids[i] for i in order], vectors[order])
    return folder


def results(root: Path, folder: Path, task: str) -> dict[str, dict[str, float]]:
    chosen = TASKS[task]
    modalities: tuple[Modality, ...] = (chosen.query, chosen.gallery)
    embeddings = {modality: read_embeddings(folder, modality) for modality in modalities}
    found = evaluate(read_official(root), embeddings, chosen, PROTOCOLS)
    return {each.protocol: {name: figure.value for name, figure in each.figures.items()} for each in found}


def test_what_the_tables_say(release: Path) -> None:
    benchmark = read_official(release)
    assert len(benchmark.queries["ground"]) == LANDMARKS * PHOTOGRAPHS
    assert len(benchmark.galleries["ground"]) == LANDMARKS * PHOTOGRAPHS + INDEX
    assert len(benchmark.galleries["satellite"]) == len(benchmark.galleries["coordinates"]) == LANDMARKS + INDEX
    assert benchmark.lonlat[3].tolist() == [-75, 43]
    text, ground = benchmark.queries["text"].content, benchmark.galleries["ground"].content
    assert text is not None
    assert text(2) == "A church, number 2."
    assert ground is not None
    path = release / "index/ground/c/0/0" / f"{name('c', 1)}.jpg"
    assert ground(LANDMARKS * PHOTOGRAPHS + 1) == path
    png = path.with_suffix(".png")
    png.parent.mkdir(parents=True)
    png.touch()
    assert image_path(release, "index", "ground", name("c", 1)) == png


@pytest.mark.parametrize("task", ["G2S", "S2G", "T2G", "T2S"])
def test_perfect_embeddings_find_everything(release: Path, tmp_path: Path, task: str) -> None:
    found = results(release, encoded(release, tmp_path / "perfect", 0.0), task)
    for protocol in PROTOCOLS:
        assert found[protocol]["R@1"] == found[protocol]["mAP@1k"] == 1
        assert found[protocol]["median rank"] == 0


def test_perfect_embeddings_find_the_place(release: Path, tmp_path: Path) -> None:
    found = results(release, encoded(release, tmp_path / "perfect", 0.0), "G2C")
    assert list(found) == ["official"]
    assert found["official"]["within 1 km"] == 1
    assert found["official"]["median km"] == 0


def test_the_median_rank_by_chance(release: Path, tmp_path: Path) -> None:
    found = results(release, encoded(release, tmp_path / "noise", 1e6), "G2S")["whole-gallery"]
    assert found["median rank by chance"] == pytest.approx((LANDMARKS + INDEX) / 2)
    assert found["median rank"] == pytest.approx((LANDMARKS + INDEX) / 2, abs=12)


def test_groups_and_rows(release: Path, tmp_path: Path) -> None:
    folder = encoded(release, tmp_path / "some", 0.5)
    embeddings = {modality: read_embeddings(folder, modality) for modality in ("ground", "satellite")}
    (result,) = evaluate(read_official(release), embeddings, TASKS["G2S"], ["whole-gallery"])
    assert set(result.breakdowns) == {"category", "state", "images"}
    churches, museums = (result.breakdowns["category"][kind] for kind in ("church", "museum"))
    assert churches["queries"] == museums["queries"] == LANDMARKS * PHOTOGRAPHS / 2
    assert (churches["R@1"] + museums["R@1"]) / 2 == pytest.approx(result.figures["R@1"].value)
    assert set(result.breakdowns["images"]) == {"2-5"}
    assert result.rows.num_rows == LANDMARKS * PHOTOGRAPHS
    interval = result.figures["mAP@1k"]
    assert interval.low <= interval.value <= interval.high


def test_landmarks_are_told_by_the_number_of_their_photographs_in_every_task(release: Path, tmp_path: Path) -> None:
    """Also where they ask once, by an aerial image or by all photographs together."""
    folder = encoded(release, tmp_path / "some", 0.5)
    rows = [["L0", name("a", 0)]] + [[f"L{i}", " ".join(name("a", 3 * i + j) for j in range(3))] for i in range(1, 12)]
    table(release / "query" / "mml_query_ground.csv", ["landmark_id", "images"], rows)
    embeddings = {modality: read_embeddings(folder, modality) for modality in ("ground", "satellite", "text")}
    for task, pooled in (("S2G", False), ("T2S", False), ("G2S", True)):
        (found,) = evaluate(read_official(release), embeddings, TASKS[task], ["official"], pooled=pooled)
        assert {key: each["queries"] for key, each in found.breakdowns["images"].items()} == {"1": 1, "2-5": 11}, task


def test_a_query_without_a_right_answer_is_left_out_and_counted(release: Path, tmp_path: Path) -> None:
    folder = encoded(release, tmp_path / "perfect", 0.0)
    aerials = [[f"L{i}", name("b", i)] for i in range(2, LANDMARKS)]
    table(release / "query" / "mml_query_satellite.csv", ["landmark_id", "images"], aerials)
    embeddings = {modality: read_embeddings(folder, modality) for modality in ("ground", "satellite")}
    benchmark = read_official(release)
    for pooled, left_out in ((False, 2 * PHOTOGRAPHS), (True, 2)):
        for found in evaluate(benchmark, embeddings, TASKS["G2S"], PROTOCOLS, pooled=pooled):
            assert found.without_answer == found.to_json()["queries_without_answer"] == left_out
            assert found.queries == found.rows.num_rows == (LANDMARKS - 2) * (1 if pooled else PHOTOGRAPHS)
            assert found.figures["R@1"].value == 1
            assert 0 not in found.rows["landmark"].to_pylist()
    report = measure(
        benchmark, Vectorised("perfect", "", embeddings), [TASKS["G2S"]], PROTOCOLS, tmp_path / "out", pooled=True
    )
    assert report["results"][0]["queries_without_answer"] == 2 * PHOTOGRAPHS
    assert "6 without a right answer" in (tmp_path / "out" / "report.html").read_text()
    table(release / "query" / "mml_query_satellite.csv", ["landmark_id", "images"], [])
    with pytest.raises(RetrievalError, match="no query of G2S has a right answer"):
        evaluate(read_official(release), embeddings, TASKS["G2S"], PROTOCOLS)


def test_a_modality_without_items_leaves_its_tasks_out(release: Path, tmp_path: Path) -> None:
    folder = encoded(release, tmp_path / "some", 0.5)
    table(release / "query" / "mml_query_text_sentences.csv", ["landmark_id", "sentences"], [])
    benchmark, vectors = read_official(release), from_files(folder)
    assert [task.name for task in tasks_of(benchmark, vectors)] == ["G2S", "S2G", "G2C", "S2C"]
    with pytest.raises(RetrievalError, match="T2S needs vectors and items of text and satellite"):
        tasks_of(benchmark, vectors, ["T2S", "G2S"])
    assert [task.name for task in tasks_of(benchmark, vectors, ["G2S", "G2S"])] == ["G2S"]


def test_parquet_gives_what_npy_gives(release: Path, tmp_path: Path) -> None:
    folder = encoded(release, tmp_path / "npy", 0.5)
    for modality in ("ground", "satellite"):
        table = read_embeddings(folder, modality)
        vectors = table.vectors.read(0, len(table.vectors))
        columns = pa.table({"id": list(table.rows), "embedding": list(vectors)})
        (tmp_path / "parquet").mkdir(exist_ok=True)
        pq.write_table(columns, tmp_path / "parquet" / f"{modality}.parquet")
    assert results(release, tmp_path / "parquet", "G2S") == results(release, folder, "G2S")


def test_what_is_wrong_is_named(release: Path, tmp_path: Path) -> None:
    folder = encoded(release, tmp_path / "e", 0.5)
    ids = (folder / "ground.ids.txt").read_text().splitlines()
    (folder / "ground.ids.txt").write_text("\n".join(["stranger", *ids[1:]]) + "\n")
    with pytest.raises(RetrievalError, match="no embedding of"):
        results(release, folder, "G2S")
    (folder / "ground.ids.txt").write_text("\n".join([ids[1], *ids[1:]]) + "\n")
    with pytest.raises(RetrievalError, match="stands twice"):
        read_embeddings(folder, "ground")
    with pytest.raises(RetrievalError, match="encode the text items first"):
        read_embeddings(tmp_path / "nowhere", "text")
    (folder / "satellite.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(RetrievalError, match="no readable table"):
        read_embeddings(folder, "satellite")
    (release / "query" / "mml_query.csv").write_text("landmark_id,lat\nL0,1\n")
    with pytest.raises(RetrievalError, match="no column 'lon'"):
        read_official(release)


@pytest.mark.parametrize("wrong", ["../../../etc/passwd", "ab", "/etc/passwd", "a.b.c"])
def test_an_id_that_leads_elsewhere_is_refused(release: Path, wrong: str) -> None:
    for path in (release / "query" / "mml_query_ground.csv", release / "index" / "mml_index_satellite.csv"):
        whole = path.read_text()
        some = "mml_query" in path.name
        path.write_text(whole + (f"L0,{wrong}\n" if some else f"{wrong},1,1,2020\n"))
        with pytest.raises(RetrievalError, match=rf"{path.name}: .* is no id of an image"):
            read_official(release)
        path.write_text(whole)
    table(release / "query" / "mml_query.csv", ["landmark_id", "lat", "lon"], [["L0", 1, 2], ["L0", 1, 2]])
    with pytest.raises(RetrievalError, match="a landmark stands twice"):
        read_official(release)


def test_the_command_writes_results_and_rows(release: Path, tmp_path: Path) -> None:
    folder = encoded(release, tmp_path / "e", 0.5)
    out = tmp_path / "out"
    arguments = ["evaluate", str(release), "--embeddings", str(folder), "--out", str(out)]
    ran = CliRunner().invoke(build_app(), [*arguments, "--json"])
    assert ran.exit_code == 0, ran.output
    found = {(each["task"], each["protocol"]): each["figures"] for each in json.loads(ran.stdout)["results"]}
    assert {task for task, _ in found} == set(TASKS)
    expected = results(release, folder, "S2G")["whole-gallery"]["mAP@1k"]
    assert found["S2G", "whole-gallery"]["mAP@1k"]["value"] == expected
    assert pq.read_table(out / "G2S-official.parquet").num_rows == LANDMARKS * PHOTOGRAPHS
    report = (out / "report.html").read_text()
    assert "Retrieval, protocol official" in report
    assert "not here" in report, "images that are not there are named"
    told = CliRunner().invoke(build_app(), [*arguments, "--task", "G2X"])
    assert isinstance(told.exception, RetrievalError)
    assert "no task 'G2X'" in str(told.exception)
