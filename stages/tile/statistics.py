"""What the stage `clean` needs to know of a tile, measured on a thumbnail while the tile is in memory."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.rasters import Image

THUMBNAIL_PX = 64
EDGE_LEVELS = 16
"""Least difference of grey levels between neighbours of the thumbnail that makes an edge."""
BRIGHT_LEVEL = 200
COLOURLESS_LEVELS = 32
"""A pixel is bright and colourless if all channels reach the one and differ by no more than the other."""


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


def measure(tile: Image, mask: Image | None) -> Statistics:
    """Measure a tile (size, size, 3) RGB with its mask (None: all data). All but nodata are 0 if it has no data."""
    nodata = 0.0 if mask is None else 1 - cv2.countNonZero(mask) / mask.size
    thumbnail = _shrink(tile)
    valid = np.ones(thumbnail.shape[:2], bool) if mask is None else _shrink(mask) == 255
    if not valid.any():
        return Statistics(nodata, 0, 0, 0, 0, 0, 0, 0, 0)
    grey = np.asarray(cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY), np.uint8)
    values, colours = grey[valid], thumbnail[valid]
    high, low = colours.max(axis=1), colours.min(axis=1)
    spread = high - low
    return Statistics(
        nodata=nodata,
        edges=_edge_share(grey, valid),
        entropy=_entropy(values),
        std=float(values.std()),
        dominant=_dominant_share(colours),
        brightness=float(values.mean()),
        saturation=float((spread / np.maximum(high, 1)).mean()),
        bright=float(((low >= BRIGHT_LEVEL) & (spread <= COLOURLESS_LEVELS)).mean()),
        hash=perceptual_hash(grey),
    )


def perceptual_hash(grey: Image) -> int:
    """Return 64 bits: which of the 8 x 8 lowest frequencies of a grey image exceed their median, row by row.

    The pHash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), on 32 x 32 px.
    A flat image has no pattern; its hash is 0.
    """
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    frequencies = cv2.dct(small)[:8, :8].ravel()
    # Below half a grey level there is nothing but rounding.
    bits = (frequencies > np.median(frequencies)) & (np.abs(frequencies) > 0.5)
    bits[0] &= np.abs(frequencies[1:]).max() > 0.5
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _shrink(image: Image) -> Image:
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _edge_share(grey: Image, valid: NDArray[np.bool_]) -> float:
    """Return the share of pixels with data that differ by `EDGE_LEVELS` from the next one to the right or below."""
    levels = grey.astype(np.int16)
    edge = np.zeros(grey.shape, bool)
    edge[:, :-1] |= (np.abs(np.diff(levels, axis=1)) >= EDGE_LEVELS) & valid[:, 1:]
    edge[:-1] |= (np.abs(np.diff(levels, axis=0)) >= EDGE_LEVELS) & valid[1:]
    return float(edge[valid].mean())


def _entropy(values: Image) -> float:
    counts = np.bincount(values >> 3, minlength=32)
    shares = counts[counts > 0] / values.size
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _dominant_share(colours: Image) -> float:
    """Return the share of the commonest colour. In imagery hardly two pixels have quite the same, in filling all do."""
    red, green, blue = colours.astype(np.int32).T
    codes = np.sort(red << 16 | green << 8 | blue)
    starts = np.flatnonzero(np.diff(codes, prepend=-1, append=-1))
    return float(np.diff(starts).max() / len(codes))
