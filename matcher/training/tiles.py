"""Real rasters from folders of XYZ tiles ({z}/{x}/{y}), joined into arrays with masks of what is data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from matcher.benchmark.pairs import read_image
from matcher.images import RGBImage

TILE = 256
WHITE = 250
BLANK_SHARE = 0.25
"""A tile of imagery with more white than this, or more of any one colour, is masked: imagery repeats none, and what
services put where they have no data is of one, white or another."""


@dataclass(frozen=True)
class TileRange:
    """Tiles x0..x1 and y0..y1 (inclusive) of one zoom level; y grows southward."""

    zoom: int
    x0: int
    x1: int
    y0: int
    y1: int


@dataclass(frozen=True, eq=False)
class Mosaic:
    """H x W x 3 uint8 and H x W bool, true where there is data."""

    image: RGBImage
    mask: npt.NDArray[np.bool_]


def read_mosaic(folder: Path, tiles: TileRange, *, imagery: bool) -> Mosaic:
    """Join the tiles of a range; a tile that is missing, or of `imagery` and blank, is masked."""
    shape = ((tiles.y1 - tiles.y0 + 1) * TILE, (tiles.x1 - tiles.x0 + 1) * TILE)
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)
    for x in range(tiles.x0, tiles.x1 + 1):
        for y in range(tiles.y0, tiles.y1 + 1):
            for path in (folder / str(tiles.zoom) / str(x)).glob(f"{y}.*"):
                rows, columns = (
                    slice((y - tiles.y0) * TILE, (y - tiles.y0 + 1) * TILE),
                    slice((x - tiles.x0) * TILE, (x - tiles.x0 + 1) * TILE),
                )
                tile = image[rows, columns] = read_image(path)
                mask[rows, columns] = not (imagery and is_blank(tile))
    return Mosaic(image, mask)


def is_blank(tile: RGBImage) -> bool:
    """Tell whether a tile of imagery (H x W x 3) has lost its data."""
    codes = tile.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    commonest = np.unique(codes, return_counts=True)[1].max() / codes.size
    return bool(max(commonest, (tile >= WHITE).all(-1).mean()) > BLANK_SHARE)
