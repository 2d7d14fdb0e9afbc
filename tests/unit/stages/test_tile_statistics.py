"""The figures of tiles against the obvious way, one tile and one pixel at a time."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.tile.statistics import Statistics, Thumbnail, measure, thumbnail

pytestmark = pytest.mark.unit

Image = NDArray[np.uint8]


def picture(seed: int) -> Thumbnail:
    """Return a thumbnail with flat parts and structure, of which some or all pixels may be without data."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (rng.integers(1, 9), rng.integers(1, 9), 3), np.uint8)
    pixels = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_NEAREST if seed % 2 else cv2.INTER_LINEAR)
    valid = rng.random((64, 64)) < rng.choice([0.0, 0.01, 0.5, 1.0])
    return Thumbnail(np.asarray(pixels, np.uint8), valid, float(1 - valid.mean()))


def slowly(small: Thumbnail) -> Statistics:
    """Return the figures of one thumbnail, without the hash."""
    grey = cv2.cvtColor(small.pixels, cv2.COLOR_RGB2GRAY).astype(int)
    places = [(int(y), int(x)) for y, x in np.argwhere(small.valid)]
    if not places:
        return Statistics(small.nodata, 0, 0, 0, 0, 0, 0, 0, 0)
    colours = [tuple(small.pixels[place].tolist()) for place in places]
    levels = np.array([grey[place] for place in places])
    edges = 0
    for y, x in places:
        neighbours = [(y + 1, x), (y, x + 1)]
        edges += any(
            max(other) < 64 and small.valid[other] and abs(grey[other] - grey[y, x]) >= 16 for other in neighbours
        )
    shares = np.array(list(Counter((levels // 8).tolist()).values())) / len(places)
    bright = [min(colour) >= 200 and max(colour) - min(colour) <= 32 for colour in colours]
    return Statistics(
        nodata=small.nodata,
        edges=edges / len(places),
        entropy=-(shares * np.log2(shares)).sum(),
        std=levels.std(),
        dominant=max(Counter(colours).values()) / len(places),
        brightness=levels.mean(),
        saturation=np.mean([(max(colour) - min(colour)) / max(*colour, 1) for colour in colours]),
        bright=np.mean(bright),
        hash=0,
    )


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 10**6), max_size=20))
def test_many_at_once_are_what_each_is_alone(seeds: list[int]) -> None:
    pictures = [picture(seed) for seed in seeds]
    found = measure(pictures)
    for small, figures in zip(pictures, found, strict=True):
        assert figures._replace(hash=0) == pytest.approx(slowly(small), abs=1e-6)
        assert [figures] == measure([small])
        assert figures.hash == 0 or small.valid.any()


@pytest.mark.parametrize("size", [16, 64, 100, 512, 640, 768])
def test_a_thumbnail_is_the_area_average(size: int) -> None:
    rng = np.random.default_rng(size)
    coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
    tile = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
    mask = np.full((size, size), 255, np.uint8)
    mask[: size // 2] = 0
    small = thumbnail(tile, mask)
    assert small.pixels.shape == (64, 64, 3)
    assert small.nodata == pytest.approx(0.5)
    assert not small.valid[:32].any()
    assert small.valid[33:].all()
    if size % 64 == 0:
        block = size // 64
        averages = tile.reshape(64, block, 64, block, 3).mean(axis=(1, 3))
        assert np.abs(small.pixels - averages).max() <= 2, "each halving may round"
    whole = thumbnail(tile, None)
    assert whole.valid.all()
    assert whole.nodata == 0
