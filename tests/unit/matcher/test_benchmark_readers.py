"""Sets of pairs in every layout, and what is said of those that are broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import zarr
from blake3 import blake3
from scipy.io import savemat

from matcher.benchmark.leakage import read_record, refuse_trained
from matcher.benchmark.levels import at_level
from matcher.benchmark.readers import PairSpec, open_pairs
from matcher.errors import InputError
from raster.homography import apply_homography

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).resolve().parents[3]


def _picture(path: Path, seed: int) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return image[..., ::-1]


def test_mapdata_layout_pairs_by_name(tmp_path: Path) -> None:
    left = _picture(tmp_path / "001/1/L/7.png", 0)
    right = _picture(tmp_path / "001/1/R/7.png", 1)
    _picture(tmp_path / "002/3/L/1.png", 2)
    _picture(tmp_path / "002/3/R/1.jpg", 3)
    pairs = open_pairs(PairSpec(str(tmp_path), "mapdata"))
    assert [pair.name for pair in pairs] == ["001/1/7", "002/3/1"]
    loaded = pairs[0].load()
    np.testing.assert_array_equal(loaded.image0, left)
    np.testing.assert_array_equal(loaded.image1, right)
    np.testing.assert_array_equal(loaded.homography, np.eye(3))
    assert pairs[0].digests()[0] == blake3((tmp_path / "001/1/L/7.png").read_bytes()).hexdigest()


def test_mapdata_layout_names_a_lost_side(tmp_path: Path) -> None:
    _picture(tmp_path / "001/1/L/7.png", 0)
    with pytest.raises(InputError, match=r"7\.png: 0 files of that name"):
        open_pairs(PairSpec(str(tmp_path), "mapdata"))


def test_csv_reads_paths_beside_it_and_homographies(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        _picture(tmp_path / name, 0)
    table = tmp_path / "pairs.csv"
    table.write_text('name,image0,image1,homography\nx,a.png,b.png,"1 0 5, 0 1 -2, 0 0 1"\n,a.png,b.png,\n')
    pairs = open_pairs(PairSpec(str(table), "csv"))
    assert [pair.name for pair in pairs] == ["x", "pairs/2"]
    np.testing.assert_array_equal(apply_homography(pairs[0].load().homography, np.zeros((1, 2))), [[5, -2]])
    np.testing.assert_array_equal(pairs[1].load().homography, np.eye(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image0,image1\na,b\n", "line 2: needs image0, image1 and homography"),
        ("image0,image1,homography\na,b,1 2 3\n", "line 2: homography is not 9 numbers"),
        ("image0,image1,homography\na,b,one\n", "line 2: homography is not 9 numbers"),
        ("name,image0,image1,homography\nx,a,b,\nx,a,b,\n", "same name"),
        ("image0,image1,homography\n", "no pair in the layout csv"),
    ],
)
def test_csv_faults_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        open_pairs(PairSpec(str(tmp_path / "pairs.csv"), "csv"))


@pytest.mark.parametrize("version", ["4", "5"])
def test_multimodality_truth_is_transposed_and_one_based(tmp_path: Path, version: Literal["4", "5"]) -> None:
    for name in ("MO2a.png", "MO2b.png", "MO10_a.png", "MO10_b.png"):
        _picture(tmp_path / "Map_Optical" / name, 0)
    # MATLAB, for row vectors: [x y 1] T; here twice as large, then 3 to the right and 4 down, counted from 1.
    matlab = np.array([[2, 0, 0], [0, 2, 0], [3, 4, 1]], float)
    for name in ("MO2", "MO10", "MO3"):
        content = {"I1": np.zeros((8, 9, 3), np.uint8), "landmarks": np.zeros((4, 2)), "T": matlab}
        content = {key: value for key, value in content.items() if value.ndim < 3 or version == "5"}
        savemat(tmp_path / "Map_Optical" / f"{name}.mat", content, format=version, do_compression=version == "5")
    pairs = open_pairs(PairSpec(str(tmp_path), "multimodality"))
    assert [pair.name for pair in pairs] == ["Map_Optical/MO2", "Map_Optical/MO10"]  # MO3 has no images
    # The first pixel is (1, 1) there: 2 * 1 + 3 = 5, 2 * 1 + 4 = 6; counted from 0 that is (4, 5).
    np.testing.assert_allclose(apply_homography(pairs[0].load().homography, np.zeros((1, 2))), [[4, 5]])


def test_multimodality_truth_takes_landmarks_of_b_to_those_of_a(tmp_path: Path) -> None:
    """As MATLAB's own tools make it: landmarks counted from 1, in rows, [x y 1] T of those in b are those in a."""
    generator = np.random.default_rng(0)
    turn = np.array([[0.9, 0.2, 1e-4], [-0.2, 0.9, -2e-4], [30.0, -12.0, 1.0]])
    in_b = np.column_stack([generator.uniform(1, 60, (6, 2)), np.ones(6)])
    in_a = in_b @ turn
    for name in ("MO1a.png", "MO1b.png"):
        _picture(tmp_path / name, 0)
    savemat(tmp_path / "MO1.mat", {"T": turn})
    (pair,) = open_pairs(PairSpec(str(tmp_path), "multimodality"))
    found = apply_homography(pair.load().homography, in_b[:, :2] - 1)
    np.testing.assert_allclose(found, in_a[:, :2] / in_a[:, 2:] - 1, atol=1e-9)
    assert pair.path0.name == "MO1b.png"


def test_multimodality_says_how_to_save_a_newer_file_again(tmp_path: Path) -> None:
    for name in ("X1a.png", "X1b.png"):
        _picture(tmp_path / name, 0)
    # Version 7.3 is HDF5 behind a header of 128 bytes that ends in the version and the byte order.
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "X1.mat").write_bytes(header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(InputError, match=r"X1\.mat: .*save it again with -v7"):
        open_pairs(PairSpec(str(tmp_path), "multimodality"))[0].load()


def test_multimodality_names_a_file_without_a_matrix(tmp_path: Path) -> None:
    for name in ("X1a.png", "X1b.png"):
        _picture(tmp_path / name, 0)
    savemat(tmp_path / "X1.mat", {"other": np.eye(3)})
    with pytest.raises(InputError, match=r"X1\.mat: no 3 x 3 matrix T"):
        open_pairs(PairSpec(str(tmp_path), "multimodality"))[0].load()


def _release(folder: Path, formats: list[str]) -> Callable[[int], np.ndarray]:
    images = [
        _picture(folder / f"MapData/1/1/{side}/p{n}.png", 2 * n + (side == "R")) for n in range(3) for side in "LR"
    ]
    store = zarr.create_group(folder / "mapdata.zarr", zarr_format=3)
    for name, chosen in (("map", images[0::2]), ("visible", images[1::2])):
        store.create_array(name, data=np.stack(chosen), chunks=(1, 40, 60, 3))
    rows = [
        {
            "pair_id": f"p{n}",
            "verdict": "rejected" if n == 1 else "accepted",
            "split": None if n == 1 else ("test" if n == 2 else "train"),
            "map_path": f"MapData/1/1/L/p{n}.png",
            "visible_path": f"MapData/1/1/R/p{n}.png",
            "zarr_index": n,
            "geometry": shapely.to_wkb(shapely.box(n, 0, n + 1, 1)),
        }
        for n in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    (folder / "release.json").write_text(json.dumps({"formats": formats}))
    return lambda index: images[index]


@pytest.mark.parametrize("formats", [["folders", "zarr"], ["zarr"]])
def test_a_release_gives_its_split_from_folders_or_zarr(tmp_path: Path, formats: list[str]) -> None:
    image = _release(tmp_path, formats)
    (pair,) = open_pairs(PairSpec(str(tmp_path), "release"))
    loaded = pair.load()
    assert pair.name == "p2"
    np.testing.assert_array_equal(loaded.image0, image(4))
    np.testing.assert_array_equal(loaded.image1, image(5))
    assert shapely.from_wkb(pair.footprint).bounds == (2, 0, 3, 1)
    assert len(set(pair.digests())) == 2


def test_a_folder_that_is_no_release_and_an_empty_split_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a release"):
        open_pairs(PairSpec(str(tmp_path), "release"))
    _release(tmp_path, ["folders"])
    with pytest.raises(InputError, match="no pair in the layout release"):
        open_pairs(PairSpec(str(tmp_path), "release", split="val"))


@pytest.mark.parametrize("name", ["../secret.png", "link.png", "/dev/zero", "MapData", "a\0b", None, "absent.png"])
def test_a_strangers_release_shows_nothing_outside_of_itself(tmp_path: Path, name: str | None) -> None:
    release = tmp_path / "release"
    _release(release, ["folders"])
    _picture(tmp_path / "secret.png", 0)
    (release / "link.png").symlink_to(tmp_path / "secret.png")
    table = pq.read_table(release / "manifest.parquet")
    names = pa.array([name] * len(table), pa.string())
    index = table.schema.get_field_index("visible_path")
    pq.write_table(table.set_column(index, "visible_path", names), release / "manifest.parquet")
    with pytest.raises(InputError, match="verify"):
        open_pairs(PairSpec(str(release), "release"))


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "3", ""])
def test_a_strangers_release_of_damaged_json_is_none(tmp_path: Path, text: str) -> None:
    _release(tmp_path, ["folders"])
    (tmp_path / "release.json").write_text(text)
    with pytest.raises(InputError, match="not a release"):
        open_pairs(PairSpec(str(tmp_path), "release"))


def test_a_limit_keeps_pairs_evenly_spaced(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", 0)
    lines = [f"n{n},a.png,a.png," for n in range(9)]
    (tmp_path / "p.csv").write_text("\n".join(["name,image0,image1,homography", *lines]))
    names = [pair.name for pair in open_pairs(PairSpec(str(tmp_path / "p.csv"), "csv", limit=3))]
    assert names == ["n0", "n4", "n8"]


def test_another_seed_warps_the_same_pairs_otherwise(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", 0)
    (tmp_path / "p.csv").write_text("name,image0,image1,homography\nn,a.png,a.png,")
    spec = PairSpec(str(tmp_path / "p.csv"), "csv")
    (first,), (again,), (second,) = (open_pairs(replace(spec, seed=seed)) for seed in (0, 0, 2))
    assert (first.name, second.name) == ("n", "n#2")
    assert first.digests() == second.digests()
    seen = [at_level(pair.load(), "easy").homography for pair in (first, again, second)]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert np.abs(seen[0] - seen[2]).max() > 1e-3
    assert replace(spec, seed=2).name == "p.csv, seed 2"


def test_trained_pairs_are_refused_by_digest_and_by_ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matcher.registry.SHIPPED", tmp_path)
    _release(tmp_path, ["folders"])
    pairs = open_pairs(PairSpec(str(tmp_path), "release"))
    for name in ("mapglue", "feature-map"):
        (tmp_path / f"{name}.safetensors").touch()
    refuse_trained("mapglue", pairs)  # no record: nothing is known against it
    record = tmp_path / "mapglue.training.json"
    record.write_text(json.dumps({"digests": [], "footprints": ["POLYGON((5 0, 6 0, 6 1, 5 1, 5 0))"]}))
    refuse_trained("mapglue", pairs)
    record.write_text(json.dumps({"digests": [pairs[0].digests()[1]], "footprints": []}))
    with pytest.raises(InputError, match=r"mapglue was trained on 1 of these 1 pairs, such as p2 \(an image of it"):
        refuse_trained("mapglue", pairs)
    record.write_text(json.dumps({"digests": [], "footprints": ["POLYGON((2.5 0.5, 9 0.5, 9 9, 2.5 9, 2.5 0.5))"]}))
    with pytest.raises(InputError, match="its ground was used in training"):
        refuse_trained("mapglue", pairs)
    refuse_trained("rootsift", pairs)
    record.rename(tmp_path / "feature-map.training.json")
    with pytest.raises(InputError, match="its ground was used in training"):
        refuse_trained("mapglue", pairs)
    record.write_text("{}")
    with pytest.raises(InputError, match="not a record of training"):
        read_record(record)


def test_sets_are_named_and_their_truth_is_doubted_where_known() -> None:
    assert PairSpec("data/Optical-Map", "srif", subset="final").name == "Optical-Map, final"
    assert PairSpec("data/Optical-Map", "srif").truth_px == 3
    assert PairSpec("data/Optical-SAR", "srif").truth_px is None
    assert PairSpec("work/release", "release").name == "release, test"
