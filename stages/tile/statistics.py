"""What the stage `clean` needs to know of a tile, measured on a thumbnail made while the tile is in memory.

Thumbnails are made tile by tile and measured many at once: on 64 x 64 px a call costs more than the arithmetic.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from raster.image import Image

THUMBNAIL_PX = 64

GREY_BINS = 32
"""Of the histogram whose entropy is taken."""

_PIXELS = THUMBNAIL_PX**2
_HASH_PX = 32
_TOGETHER = 16
"""Thumbnails measured at once: few enough for the processor's cache, enough to outweigh the calls."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Levels(BaseModel):
    """Which pixels of a tile's thumbnail the figures count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edge: int = Field(
        default=16, ge=1, le=255, description="Least difference of grey between neighbours that makes an edge."
    )
    bright: int = Field(
        default=200, ge=0, le=255, description="Level that all channels of a bright, colourless pixel reach."
    )
    colourless: int = Field(
        default=32, ge=0, le=255, description="Greatest difference between the channels of a bright, colourless pixel."
    )


class Thumbnail(NamedTuple):
    """A small image (64, 64, 3), where it is made of data only (64, 64), and the share of the tile without data."""

    pixels: Image
    valid: Bools
    nodata: float


class Statistics(NamedTuple):
    """Figures of one tile; see the columns of `stages.tables.PAIRS`."""

    nodata: float
    edges: float
    entropy: float
    std: float
    dominant: float
    brightness: float
    saturation: float
    bright: float
    hash: int


def thumbnail(tile: Image, mask: Image | None) -> Thumbnail:
    """Shrink a tile (size, size, 3) RGB with its mask (None: all data) by area averages.

    Args:
        tile: uint8 (size, size, 3) RGB.
        mask: (size, size); None if the whole tile has data.

    Returns:
        The thumbnail.
    """
    pixels = _shrink(tile)
    if mask is None:
        return Thumbnail(pixels, np.ones(pixels.shape[:2], bool), 0.0)
    return Thumbnail(pixels, _shrink(mask) == 255, 1 - cv2.countNonZero(mask) / mask.size)


def measure(thumbnails: Sequence[Thumbnail], levels: Levels | None = None) -> list[Statistics]:
    """Return the figures of each tile. All but nodata are 0 where a thumbnail has no pixel with data.

    Args:
        thumbnails: Thumbnails (N).
        levels: Which pixels count; the defaults of `Levels` if None.

    Returns:
        Figures of each, in the same order.
    """
    parts = (thumbnails[start : start + _TOGETHER] for start in range(0, len(thumbnails), _TOGETHER))
    return [figures for part in parts for figures in _measure(part, levels or Levels())]


def _measure(thumbnails: Sequence[Thumbnail], levels: Levels) -> Iterator[Statistics]:
    pixels = np.concatenate([small.pixels for small in thumbnails])  # one below the other
    valid = np.stack([small.valid for small in thumbnails])
    count = np.maximum(valid.sum(axis=(1, 2)), 1)
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8).reshape(valid.shape)
    red, green, blue = np.ascontiguousarray(pixels.reshape(-1, 3).T).reshape(3, *valid.shape)
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    spread = high - low

    def mean(values: NDArray[Any]) -> Floats:
        """Return the mean over the pixels with data; sums of whole numbers are exact."""
        total = (values * valid).sum(axis=(1, 2), dtype=np.float64 if values.dtype.kind == "f" else np.int64)
        return np.asarray(total / count, np.float64)

    brightness = mean(grey)
    variance = mean(grey.astype(np.int32) ** 2) - brightness**2
    codes = red.astype(np.int32) << 16 | green.astype(np.int32) << 8 | blue
    columns = (
        np.array([small.nodata for small in thumbnails]),
        mean(_edges(grey, valid, levels.edge)),
        _entropy(grey, valid, count),
        np.sqrt(np.maximum(variance, 0)),
        _commonest(codes, valid) / count,
        brightness,
        mean(np.divide(spread, np.maximum(high, 1), dtype=np.float32)),
        mean((low >= levels.bright) & (spread <= levels.colourless)),
        np.where(valid.any(axis=(1, 2)), perceptual_hashes(grey), np.uint64(0)),
    )
    return itertools.starmap(Statistics, zip(*(column.tolist() for column in columns), strict=True))


def perceptual_hashes(grey: Image) -> NDArray[np.uint64]:
    """Return 64 bits an image of (N, 64, 64): which of its 8 x 8 lowest frequencies exceed their median, row by row.

    The pHash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), on 32 x 32 px.
    A flat image has no pattern; its hash is 0.

    Args:
        grey: uint8 (N, 64, 64).

    Returns:
        uint64 (N,).
    """
    stacked = (_HASH_PX, len(grey) * _HASH_PX)
    small = cv2.resize(grey.reshape(-1, THUMBNAIL_PX), stacked, interpolation=cv2.INTER_AREA).astype(np.float32)
    images = small.reshape(-1, _HASH_PX, _HASH_PX)
    frequencies = np.stack([cv2.dct(image)[:8, :8].ravel() for image in images])
    # Below half a grey level there is nothing but rounding.
    strong = np.abs(frequencies) > 0.5
    bits = (frequencies > np.median(frequencies, axis=1, keepdims=True)) & strong
    bits[:, 0] &= strong[:, 1:].any(axis=1)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


def _shrink(image: Image) -> Image:
    # By halves where they are whole: OpenCV averages blocks of 2 x 2 px several times faster than larger ones.
    while image.shape[0] % (2 * THUMBNAIL_PX) == 0:
        image = _resize(image, image.shape[0] // 2)
    return image if image.shape[0] == THUMBNAIL_PX else _resize(image, THUMBNAIL_PX)


def _resize(image: Image, size: int) -> Image:
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _edges(grey: Image, valid: Bools, least: int) -> Bools:
    """Return the pixels that differ by `least` from the next one with data to the right or below."""
    levels = grey.astype(np.int16)
    edge = np.zeros(grey.shape, bool)
    edge[:, :, :-1] |= (np.abs(np.diff(levels, axis=2)) >= least) & valid[:, :, 1:]
    edge[:, :-1] |= (np.abs(np.diff(levels, axis=1)) >= least) & valid[:, 1:]
    return edge


def _entropy(grey: Image, valid: Bools, count: NDArray[np.int64]) -> Floats:
    masks = valid.view(np.uint8)
    bins = [cv2.calcHist([image], [0], mask, [GREY_BINS], [0, 256]) for image, mask in zip(grey, masks, strict=True)]
    shares = np.stack(bins)[..., 0] / count[:, None]
    logarithms = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logarithms).sum(axis=1) + 0.0


def _commonest(codes: NDArray[np.int32], valid: Bools) -> NDArray[np.int64]:
    """Return how often the commonest colour occurs. In imagery hardly two pixels have the same, in filling all do."""
    unlike = -1 - np.arange(_PIXELS, dtype=np.int32)  # what has no data is like no other
    ordered = np.sort(np.where(valid.reshape(-1, _PIXELS), codes.reshape(-1, _PIXELS), unlike), axis=1)
    places = np.arange(1, _PIXELS, dtype=np.int32)
    starts = np.where(ordered[:, 1:] != ordered[:, :-1], places, 0)  # of runs; the first starts at 0
    np.maximum.accumulate(starts, axis=1, out=starts)
    longest = (places - starts).max(axis=1).astype(np.int64) + 1
    return np.where(valid.any(axis=(1, 2)), longest, 0)
