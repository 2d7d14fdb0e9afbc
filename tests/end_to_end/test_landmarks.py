"""The demo of landmarks, made smaller: all stages through the command line, its release, page and official export."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from collections import defaultdict
from hashlib import md5
from pathlib import Path

import cv2
import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from blake3 import blake3
from pyproj import Geod
from typer.testing import CliRunner

from catalog.verify import verify_release
from mapdata import open_dataset
from mapdata.cli import build_app
from retrieval.official import read_official
from stages.landmarks.licences import refusal

pytestmark = pytest.mark.end_to_end

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "landmarks-demo.yaml"


def _config(folder: Path) -> Path:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["stages"]["select"]["sources"]["country"]["landmarks"] = 14
    config["stages"]["index"]["points"] = 4
    for stage in ("aerial", "index"):
        config["stages"][stage] |= {"size": 128, "gsd": 2.0}
    config["stages"]["index"]["ground"] = _distractors(folder)
    path = folder / "landmarks.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def _distractors(folder: Path) -> dict[str, str]:
    """Write photographs of no landmark in the layout of GLDv2: one of five may not be published, one cannot be read."""
    random = np.random.default_rng(7)
    for name in ("0a1", "0b2", "1c3", "2d4"):
        place = folder / "gldv2" / "index" / name[0] / name[1] / name[2]
        place.mkdir(parents=True)
        coarse = random.integers(0, 255, (9, 12, 3), np.uint8)
        cv2.imwrite(str(place / f"{name}.jpg"), cv2.resize(coarse, (1200, 900), interpolation=cv2.INTER_CUBIC))
    (folder / "gldv2" / "index" / "3e5.jpg").write_bytes(b"no picture")
    with (folder / "attribution.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "url", "author", "license", "title"])
        writer.writerow(["0a1", "https://commons.wikimedia.org/wiki/File:A.jpg", "Ann", "CC BY 4.0", "A"])
        writer.writerow(["0b2", "https://commons.wikimedia.org/wiki/File:B.jpg", "Ann", "CC BY-NC 4.0", "B"])
    return {"path": "gldv2/index", "licence": "CC0", "attributions": "attribution.csv"}


def _run(*arguments: str) -> str:
    ran = CliRunner().invoke(build_app(), list(arguments))
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landmarks")
    _run("run", str(_config(folder)), "--workspace", str(folder / "work"), "--workers", "0")
    _run("export", "--workspace", str(folder / "work"), "--to", "mmlandmarks", "--to", "webdataset")
    return folder / "work"


def test_the_release_verifies(workspace: Path) -> None:
    assert json.loads(_run("verify", "--workspace", str(workspace), "--json"))["faults"] == []


def test_the_number_of_workers_changes_nothing(workspace: Path, tmp_path: Path) -> None:
    _run("run", str(_config(tmp_path)), "--workspace", str(tmp_path / "work"), "--workers", "2")
    for part in ("release", "release-page"):
        first = sorted(path.relative_to(workspace) for path in (workspace / part).rglob("*") if path.is_file())
        second = sorted(
            path.relative_to(tmp_path / "work") for path in (tmp_path / "work" / part).rglob("*") if path.is_file()
        )
        assert first == second
        for name in first:
            assert (workspace / name).read_bytes() == (tmp_path / "work" / name).read_bytes(), name


def test_every_landmark_has_all_sides_and_every_image_its_terms(workspace: Path) -> None:
    images = geopandas.read_parquet(workspace / "release" / "manifest.parquet")
    kept = images[images.verdict == "accepted"]
    landmarks = pq.read_table(workspace / "release" / "landmarks.parquet").to_pylist()
    texts = {row["landmark_id"] for row in pq.read_table(workspace / "release" / "texts.parquet").to_pylist()}
    assert len(landmarks) >= 10
    for row in landmarks:
        own = kept[kept.landmark_id == row["landmark_id"]]
        assert set(own.modality) == {"ground", "satellite"}
        assert set(own.split) == {row["split"]}
        assert row["landmark_id"] in texts
    assert {"train", "query", "index"} == set(kept.split)
    for _, row in kept[kept.modality == "ground"].iterrows():
        assert refusal(row.image_licence) == ""
        assert row.image_attribution
        assert row.image_source.startswith(("https://", "urn:gldv2:"))
    assert all(len(reasons) for reasons in images[images.verdict == "rejected"].reasons)


def test_photographs_of_no_landmark_are_in_the_index(workspace: Path) -> None:
    images = pq.read_table(workspace / "release" / "manifest.parquet").to_pylist()
    found = {row["items"][0]: row for row in images if row["distractor"] and row["modality"] == "ground"}
    assert set(found) == {"0a1", "1c3", "2d4"}
    assert {row["split"] for row in found.values()} == {"index"}
    assert (found["0a1"]["author"], found["0a1"]["image_licence"]) == ("Ann", "CC-BY-4.0")
    assert found["1c3"]["image_licence"] == "CC0-1.0"
    assert max(found["2d4"]["width"], found["2d4"]["height"]) == 800
    with (workspace / "mmlandmarks" / "index" / "mml_index_ground.csv").open(newline="") as file:
        assert {row["gldv2_id"] for row in csv.DictReader(file)} == set(found)


def test_scores_of_being_outdoors_are_kept_and_delete_nothing(workspace: Path) -> None:
    images = pq.read_table(workspace / "release" / "manifest.parquet").to_pylist()
    scored = [row for row in images if row["modality"] == "ground" and not row["distractor"]]
    assert all(0 <= row["outdoor"] <= 1 for row in scored)
    assert all(row["outdoor"] is None for row in images if row["modality"] == "satellite")
    assert not any("outdoor" in reason for row in images for reason in row["reasons"])
    with (workspace / "mmlandmarks" / "train" / "mml_train_ground_subset.csv").open(newline="") as file:
        subset = {name for row in csv.DictReader(file) for name in row["images"].split()}
    scores = {row["image_id"]: row["outdoor"] for row in scored}
    assert subset
    assert all(scores[name] >= 0.5 for name in subset)


def test_verify_names_images_that_may_not_be_published(workspace: Path, tmp_path: Path) -> None:
    """A release that was changed, checksums and all, such as by a build with other rules."""
    shutil.copytree(workspace / "release", tmp_path / "release")
    path = tmp_path / "release" / "manifest.parquet"
    manifest = pq.read_table(path)
    rows = [row for row, verdict in enumerate(manifest["verdict"].to_pylist()) if verdict == "accepted"]
    for column, n, value in (("image_licence", 0, "CC-BY-ND-4.0"), ("image_licence", 1, ""), ("image_source", 2, " ")):
        values = manifest[column].to_pylist()
        values[rows[n]] = value
        at = manifest.schema.get_field_index(column)
        manifest = manifest.set_column(at, manifest.schema.field(at), pa.array(values, pa.string()))
    pq.write_table(manifest, path)
    found = " ".join(problem.what for problem in verify_release(tmp_path / "release"))
    assert "'CC-BY-ND-4.0'" in found
    assert "the licence ''" in found
    assert "1 images, such as" in found
    assert "have no URL or URN in 'image_source'" in found


def test_webdataset_shards_hold_every_image_with_its_terms(workspace: Path) -> None:
    images = pq.read_table(workspace / "release" / "manifest.parquet").to_pylist()
    kept = {row["image_id"]: row for row in images if row["verdict"] == "accepted"}
    seen: dict[str, str] = {}
    for shard in sorted((workspace / "webdataset").glob("*.tar")):
        with tarfile.open(shard) as archive:
            samples: dict[str, dict[str, bytes]] = defaultdict(dict)
            for member in archive.getmembers():
                key, _, kind = member.name.partition(".")
                file = archive.extractfile(member)
                assert file is not None
                samples[key][kind] = file.read()
        for key, parts in samples.items():
            facts = json.loads(parts.pop("json"))
            assert facts["id"] == key
            assert set(parts) == set(facts["images"])
            for kind, body in parts.items():
                image = facts["images"][kind]
                row = kept[image["image_id"]]
                assert blake3(body).hexdigest() == row["image_digest"]
                assert image["image_licence"] == row["image_licence"]
                seen[image["image_id"]] = shard.name.partition("-")[0]
            if facts["landmark"] is not None:
                assert facts["text"]["sections"][""]
                years = [facts["images"][kind]["year"] for kind in sorted(parts) if kind.startswith("satellite")]
                assert years == sorted(years)
    assert seen == {name: row["split"] for name, row in kept.items()}


def test_no_photograph_is_nearly_that_of_another_split(workspace: Path) -> None:
    """By an independent measure: the correlation of small grey copies."""
    images = geopandas.read_parquet(workspace / "release" / "manifest.parquet")
    kept = images[(images.verdict == "accepted") & (images.modality == "ground")]
    small, splits = [], []
    for _, row in kept.iterrows():
        grey = cv2.imread(str(workspace / "release" / row.image_path), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        pixels = cv2.resize(grey, (24, 24), interpolation=cv2.INTER_AREA).astype(float).ravel()
        small.append((pixels - pixels.mean()) / (pixels.std() + 1e-6))
        splits.append(row.split)
    alike = np.stack(small) @ np.stack(small).T / 24**2
    across = np.array(splits)[:, None] != np.array(splits)[None]
    assert alike[across].max() < 0.995


def test_places_of_different_splits_lie_apart(workspace: Path) -> None:
    images = geopandas.read_parquet(workspace / "release" / "manifest.parquet")
    aerial = images[(images.verdict == "accepted") & (images.modality == "satellite")]
    centres = np.stack(
        [aerial.geometry.bounds[["minx", "maxx"]].mean(axis=1), aerial.geometry.bounds[["miny", "maxy"]].mean(axis=1)],
        1,
    )
    splits = aerial.split.to_numpy()
    for one, other, least in (("train", "query", 1000), ("index", "train", 500), ("index", "query", 500)):
        a, b = centres[splits == one], centres[splits == other]
        pairs = np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1))
        assert Geod(ellps="WGS84").inv(*pairs[0].T, *pairs[1].T)[2].min() > least


def test_pytorch_reads_it_back(workspace: Path) -> None:
    train = open_dataset(workspace / "release", split="train")
    sample = train[0]
    assert sample["image"].shape[0] == 3
    assert sample["split"] == "train"
    with pytest.raises(ValueError, match="choose train, query, index or all"):
        open_dataset(workspace / "release", split="val")


def test_the_page_shows_every_landmark_and_asks_nobody(workspace: Path) -> None:
    page = (workspace / "release-page" / "index.html").read_text(encoding="utf-8")
    for row in pq.read_table(workspace / "release" / "landmarks.parquet").to_pylist():
        assert f'id="{row["landmark_id"]}"' in page
    for path in sorted((workspace / "landmarks" / "ground").glob("*/*/refused.parquet")):
        for row in pq.read_table(path).to_pylist():
            assert f"{row['reason']}</summary>" in page
    assert "<script" not in page
    assert 'src="http' not in page
    for source in page.split('src="')[1:]:
        assert (workspace / "release-page" / source.partition('"')[0]).is_file()


def test_the_official_layout(workspace: Path) -> None:
    """Read by the rules of the published layout, written here from its description alone."""
    root = workspace / "mmlandmarks"

    def rows(path: str) -> list[dict[str, str]]:
        with (root / path).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    landmarks = {row["landmark_id"]: row for row in rows("mmlandmarks.csv")}
    assert set(landmarks) == {
        row["landmark_id"] for name in ("train", "query") for row in rows(f"{name}/mml_{name}.csv")
    }
    for split in ("train", "query"):
        aerials = "mml_train_satellite.csv" if split == "train" else "mml_query_all_satellite.csv"
        for table, folder in ((f"mml_{split}_ground.csv", "ground"), (aerials, "satellite")):
            for row in rows(f"{split}/{table}"):
                for name in row["images"].split():
                    path = root / split / folder / name[0] / name[1] / name[2] / f"{name}.jpg"
                    assert cv2.imread(str(path)) is not None
        for row in rows(f"{split}/mml_{split}_text.csv"):
            name = row["json"]
            article = json.loads((root / split / "text" / name[0] / name[1] / name[2] / f"{name}.json").read_bytes())
            assert "References" not in article
            assert "See also" not in article
            assert next(iter(article.values()))
    manifest = pq.read_table(workspace / "release" / "manifest.parquet").to_pylist()
    years = {row["image_id"]: row["year"] for row in manifest}
    latest = {row["landmark_id"]: row["images"] for row in rows("query/mml_query_satellite.csv")}
    for row in rows("query/mml_query_all_satellite.csv"):
        ordered = [years[name] for name in row["images"].split()]
        assert ordered == sorted(ordered)
        assert latest[row["landmark_id"]] == row["images"].split()[-1]
    places: dict[str, set[str]] = defaultdict(set)
    for row in rows("query/mml_query_text_sentences.csv"):
        assert landmarks[row["landmark_id"]]["state"] not in row["sentences"]
        places[row["landmark_id"]].add(row["sentences"])
    benchmark = read_official(root)
    assert len(benchmark.queries["text"]) == len(places)
    assert len(benchmark.galleries["satellite"]) == len(rows("index/mml_index_satellite.csv")) + len(latest)


def test_shards_have_their_digest_and_hold_every_file(workspace: Path) -> None:
    root = workspace / "mmlandmarks"
    shards = sorted(root.rglob("images_*.tar"))
    packed = []
    for shard in shards:
        digest, name = (shard.with_name(f"md5.{shard.stem}.txt")).read_text().split()
        assert name == shard.name
        assert md5(shard.read_bytes(), usedforsecurity=False).hexdigest() == digest
        with tarfile.open(shard) as archive:
            packed += [shard.parent / name for name in archive.getnames()]
    files = [path for path in root.rglob("*") if path.suffix in (".jpg", ".json")]
    assert sorted(packed) == sorted(files)


def test_a_model_is_measured_on_the_release_of_the_run(workspace: Path) -> None:
    given = ["benchmark", str(workspace.parent / "landmarks.yaml"), "--workspace", str(workspace)]
    given += ["--model", "colour-texture", "--workers", "0", "--json"]
    found = json.loads(_run(*given))
    assert {each["task"] for each in found["results"]} == {"G2S", "S2G"}
    assert (workspace / "benchmark" / "report.html").is_file()
    vectors = {path: path.stat().st_mtime_ns for path in (workspace / "vectors").rglob("*.parquet")}
    assert vectors
    assert json.loads(_run(*given)) == found
    assert {path: path.stat().st_mtime_ns for path in vectors} == vectors, "nothing is encoded twice"
    assert json.loads(_run("verify", "--workspace", str(workspace), "--json"))["faults"] == []
