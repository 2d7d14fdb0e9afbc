"""Parts of an open raster against the same made of the whole image in memory, and the homography of a pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from specimen_files import UTM, write

from raster.homography import apply_homography, translation
from raster.pair import open_pair
from raster.pixels import outline, resizing
from raster.reader import open_raster
from raster.resample import bounds_around, reduced, warped
from raster.warp import warp

pytestmark = pytest.mark.unit

WIDTH, HEIGHT = 300, 200


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin(x / 23 + y / 37), np.sin(y / 19 - x / 51), np.cos((x + y) / 29)]
    return np.stack([127 + 100 * wave for wave in waves], axis=-1).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path, image: np.ndarray) -> Path:
    return write(tmp_path / "v.tif", image, mask=np.arange(WIDTH) < WIDTH - 40 + np.zeros((HEIGHT, 1)))


def test_reduced_keeps_corners_and_masks_blocks_with_a_gap(path: Path, image: np.ndarray) -> None:
    with open_raster(path) as raster:
        small, mask, matrix = reduced(raster, 70)
    assert small.shape == (50, 75, 3)
    assert np.allclose(apply_homography(matrix, outline(WIDTH, HEIGHT)), outline(75, 50))
    blocks = image.reshape(50, 4, 75, 4, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(small - blocks).max() <= 0.5
    np.testing.assert_array_equal(mask, np.broadcast_to(np.arange(75) < 65, (50, 75)))


@pytest.mark.parametrize("scale", [1.0, 0.7, 0.3])
def test_a_warped_part_is_that_of_the_warped_whole(path: Path, image: np.ndarray, scale: float) -> None:
    turn = np.array([[0.96, -0.28, 40], [0.28, 0.96, -20], [0, 0, 1]])
    matrix = np.asarray(resizing(scale, scale) @ turn)
    valid = np.broadcast_to(np.arange(WIDTH) < WIDTH - 40, (HEIGHT, WIDTH))
    whole, whole_mask = warp(image, np.ascontiguousarray(valid), matrix, 120, 90)
    with open_raster(path) as raster:
        part, mask = warped(raster, matrix, 120, 90)
    both = mask & whole_mask
    assert (mask != whole_mask).mean() < 0.05
    assert both.sum() > 1000
    assert np.abs(part[both].astype(int) - whole[both].astype(int)).mean() < 3


def test_what_a_warp_does_not_meet_is_empty(path: Path) -> None:
    with open_raster(path) as raster:
        image, mask = warped(raster, translation(-5000, 0), 20, 10)
        assert image.shape == (10, 20, 3)
        assert not image.any()
        assert not mask.any()
        assert bounds_around(raster, np.array([[10.0, 20], [50, np.inf]])) is None
        assert bounds_around(raster, np.array([[10.2, 20], [50, 60.5]]), 5) == (5, 15, 56, 67)


def test_the_homography_of_a_pair_is_that_of_both_places(tmp_path: Path, image: np.ndarray) -> None:
    finer = write(tmp_path / "m.tif", image, transform=Affine(0.5, 0, 600010, 0, -0.5, 5199990))
    coarser = write(tmp_path / "v.tif", image, crs=UTM)
    with open_pair(finer, coarser) as pair:
        assert pair.georeferenced is not None
        # The map's outer corner lies 10 pixels right of and below the visible raster's; its pixels are half as wide.
        assert np.allclose(apply_homography(pair.georeferenced, [[-0.5, -0.5], [1.5, 3.5]]), [[9.5, 9.5], [10.5, 11.5]])
    unplaced = write(tmp_path / "n.tif", image, crs=None, transform=None)
    with open_pair(unplaced, coarser) as pair:
        assert pair.georeferenced is None
