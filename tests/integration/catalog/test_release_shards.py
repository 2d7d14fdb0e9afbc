"""Shards of a release as other people's readers see them: WebDataset and Hugging Face datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from catalog.build import build_release
from catalog.checksums import digest, files_below, read_checksums
from catalog.dataset import open_dataset
from catalog.errors import CatalogError
from catalog.model import Format
from catalog.pairs import SCHEMA
from catalog.shards import ShardFormat, write_shards

pytestmark = pytest.mark.integration

SPLITS = {"train": 30, "test": 15}


def test_webdataset_reads_pairs_and_splits(whole_release: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="needs the extra `interop`")
    names = write_shards(whole_release, tmp_path / "shards", ShardFormat.WEBDATASET, most_bytes=200_000)
    assert names[:2] == ["train-000000.tar", "train-000001.tar"]
    assert "test-000000.tar" in names
    for split, count in SPLITS.items():
        shards = [str(tmp_path / "shards" / name) for name in names if name.startswith(split)]
        samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
        expected = open_dataset(whole_release, split, dtype=torch.uint8)
        assert [sample["__key__"] for sample in samples] == expected.table["pair_id"].to_pylist()
        assert len(samples) == count
        for index in (0, count - 1):
            for side in ("map", "visible"):
                image = np.asarray(samples[index][f"{side}.png"]).transpose(2, 0, 1)
                np.testing.assert_array_equal(image, expected[index][side])
        facts = samples[0]["json"]
        assert (facts["split"], facts["map_licence"], facts["residual_px"]) == (split, "CC-BY-4.0", 0.8)
        assert facts["footprint"].startswith("POLYGON")


@pytest.mark.parametrize("kind", list(ShardFormat))
def test_hugging_face_reads_pairs_and_splits(
    whole_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ShardFormat
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="needs the extra `interop`")
    write_shards(whole_release, tmp_path / "shards", kind)
    loaded = datasets.load_dataset(str(tmp_path / "shards"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in loaded.items()} == SPLITS
    tar = kind is ShardFormat.WEBDATASET
    for split in SPLITS:
        row, expected = loaded[split][7], open_dataset(whole_release, split, dtype=torch.uint8)[7]
        for side in ("map", "visible"):
            image = np.asarray(row[f"{side}.png" if tar else side])
            np.testing.assert_array_equal(image.transpose(2, 0, 1), expected[side])
        facts = row["json"] if tar else row
        assert (facts["pair_id"], facts["map_attribution"]) == (expected["pair_id"], "© map service")


def test_one_split_of_arrays_replaces_earlier_shards_and_says_whose_they_are(make_contents, tmp_path: Path) -> None:
    contents, root = make_contents(tmp_path, "npy")
    build_release(SCHEMA, contents, root, tmp_path / "release", [Format.ZARR])
    shards = tmp_path / "shards"
    write_shards(tmp_path / "release", shards, ShardFormat.PARQUET)
    first = digest(shards / "test-000000.parquet")
    assert write_shards(tmp_path / "release", shards, ShardFormat.PARQUET, ["test"]) == ["test-000000.parquet"]
    assert digest(shards / "test-000000.parquet") == first
    assert read_checksums(shards / "checksums.b3").keys() == {"README.md", "test-000000.parquet"}
    assert files_below(shards) == ["README.md", "checksums.b3", "test-000000.parquet"]
    image = pq.read_table(shards / "test-000000.parquet")["map"][3].as_py()
    assert image["bytes"].startswith(b"\x89PNG")
    assert image["path"] == "002_1_0000_0003.map.png"
    card = (shards / "README.md").read_text()
    assert "© map service" in card
    assert "manifest.parquet" not in card


def test_a_folder_of_other_things_is_left_alone(whole_release: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/note.txt").write_text("a note")
    with pytest.raises(CatalogError, match="is no earlier export"):
        write_shards(whole_release, tmp_path / "notes", ShardFormat.WEBDATASET)
    with pytest.raises(CatalogError, match="has no split 'holdout'; its splits are train, val, test"):
        write_shards(whole_release, tmp_path / "shards", ShardFormat.WEBDATASET, ["holdout"])
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
