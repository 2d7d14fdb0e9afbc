"""A release as training wants it: chosen pairs, warped by known homographies, in batches."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.compute as pc
import pytest
import torch

from catalog.dataset import open_dataset
from mapdata import RandomWarp, collate
from raster.homography import apply_homography
from raster.levels import HomographyRange

pytestmark = pytest.mark.integration


def test_pairs_are_chosen_by_columns_and_place(whole_release: Path) -> None:
    everything = open_dataset(whole_release, "all")
    good = open_dataset(whole_release, "all", where=(pc.field("residual_px") < 2) & (pc.field("row") == 1))
    assert set(good.table["row"].to_pylist()) == {1}
    assert len(good) == 12
    assert good[0]["pair_id"] == good.table["pair_id"][0].as_py()
    assert len(open_dataset(whole_release, "train", where=pc.field("map_source") == "another service")) == 0
    box = everything.table["bbox"][20].as_py()
    centre_x, centre_y = (box["xmin"] + box["xmax"]) / 2, (box["ymin"] + box["ymax"]) / 2
    here = open_dataset(whole_release, "all", bounds=(centre_x, centre_y, centre_x, centre_y))
    assert here.table["pair_id"].to_pylist() == [everything.table["pair_id"][20].as_py()]
    round_the_globe = open_dataset(whole_release, "all", bounds=(centre_x, -90, centre_x - 1e-6, 90))
    assert len(round_the_globe) == len(everything)
    assert len(open_dataset(whole_release, "all", bounds=(170, -90, -170, 90))) == 0
    with pytest.raises(ValueError, match="nothing"):
        open_dataset(whole_release, where=pc.field("nothing") == 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_a_warped_pair_has_the_true_homography(whole_release: Path, dtype: torch.dtype) -> None:
    limits = HomographyRange(rotation_deg=20, scale=1.1, shift=0.05, perspective=1e-4)
    plain = open_dataset(whole_release, dtype=dtype)[4]
    pair = open_dataset(whole_release, dtype=dtype, transform=RandomWarp(limits, seed=3))[4]
    assert torch.equal(pair["map"], plain["map"])
    matrix = pair["homography"].numpy()
    assert not np.allclose(matrix, np.eye(3), atol=0.01)
    # Each pixel of the window is the pixel of the unwarped image that the homography sends there.
    height, width = pair["visible"].shape[1:]
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    back = apply_homography(np.linalg.inv(matrix), np.stack([x.ravel(), y.ravel()], 1)).reshape(height, width, 2)
    image = np.ascontiguousarray(plain["visible"].permute(1, 2, 0)).astype(np.float32)
    expected = cv2.remap(image, back.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    scale = 1 if dtype == torch.uint8 else 255
    error = np.abs(pair["visible"].permute(1, 2, 0).numpy().astype(np.float32) - expected) * scale
    assert np.median(error) < 1.5
    assert np.quantile(error, 0.99) < 12


def test_warps_follow_the_seed_or_the_random_numbers_of_torch(whole_release: Path) -> None:
    def drawn(transform: RandomWarp, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return open_dataset(whole_release, transform=transform)[0]["homography"]

    fixed, free = RandomWarp("easy", seed=1), RandomWarp("easy")
    assert torch.equal(drawn(fixed, 0), drawn(fixed, 1))
    assert torch.equal(drawn(free, 0), drawn(free, 0))
    assert not torch.equal(drawn(free, 0), drawn(free, 1))
    assert torch.equal(drawn(RandomWarp("aligned"), 0), torch.eye(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="choose aligned, easy"):
        RandomWarp("brutal")


def test_batches_of_several_sizes_are_padded(whole_release: Path) -> None:
    dataset = open_dataset(whole_release, transform=RandomWarp("normal", seed=1))
    loader = torch.utils.data.DataLoader(dataset, batch_size=6, collate_fn=collate)
    batch = next(iter(loader))
    sizes = batch["visible_size"]
    assert batch["visible"].shape == (6, 3, *sizes.max(dim=0).values.tolist())
    assert len({tuple(size) for size in sizes.tolist()}) > 1
    assert batch["map_size"].tolist() == [[64, 64]] * 6
    for index, (height, width) in enumerate(sizes.tolist()):
        assert torch.equal(batch["visible"][index, :, :height, :width], dataset[index]["visible"])
        assert not batch["visible"][index, :, height:].any()
    assert batch["homography"].shape == (6, 3, 3)
    assert batch["pair_id"] == dataset.table["pair_id"].to_pylist()[:6]
    assert collate([{"year": None, "image": torch.ones(3, 2, 2)}] * 2)["year"] == [None, None]
