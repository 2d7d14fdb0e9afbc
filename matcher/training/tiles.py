"""Real rasters from folders of XYZ tiles ({zoom}/{x}/{y}), joined into arrays with masks of which pixels hold data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from matcher.benchmark.pairs import read_image
from matcher.errors import InputError
from matcher.images import RGBImage
from matcher.training.config import Tiles

TILE = 256
WHITE = 250
BLANK_SHARE = 0.25
"""A tile of imagery of which a larger share is white, or of any one colour, is masked: real imagery repeats no
colour so often, and services fill areas without data with one colour, white or another."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A raster joined from tiles: H x W x 3 uint8 RGB, and H x W bool, true where there is data."""

    image: RGBImage
    mask: npt.NDArray[np.bool_]


def read_mosaic(tiles: Tiles, *, imagery: bool) -> Mosaic:
    """Join the tiles of a rectangle.

    Args:
        tiles: Where the tiles are.
        imagery: Whether they are imagery, of which blank tiles hold no data; in a map, they do.

    Returns:
        The raster; tiles that are missing or blank are masked.

    Raises:
        InputError: There is no tile at all, or one cannot be decoded.
    """
    files = tile_files(tiles)
    if not files:
        raise InputError(
            f"{tiles.folder}: no tile of zoom {tiles.zoom}, columns {tiles.x[0]} to {tiles.x[1]}, rows {tiles.y[0]} to "
            f"{tiles.y[1]} ({tiles.zoom}/x/y.*); check the folder and the rectangle"
        )
    (x0, x1), (y0, y1) = tiles.x, tiles.y
    shape = ((y1 - y0 + 1) * TILE, (x1 - x0 + 1) * TILE)
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)
    for path in files:
        row, column = (int(path.stem) - y0) * TILE, (int(path.parent.name) - x0) * TILE
        window = slice(row, row + TILE), slice(column, column + TILE)
        tile = image[window] = read_image(path)
        mask[window] = not (imagery and is_blank(tile))
    return Mosaic(image, mask)


def tile_files(tiles: Tiles) -> list[Path]:
    """Return the files of a rectangle of tiles that are there."""
    columns = (tiles.folder / str(tiles.zoom) / str(x) for x in range(tiles.x[0], tiles.x[1] + 1))
    rows = range(tiles.y[0], tiles.y[1] + 1)
    return [file for column in columns for y in rows for file in sorted(column.glob(f"{y}.*"))]


def tile_bounds(tiles: Tiles) -> tuple[float, float, float, float]:
    """Return west, south, east and north, in degrees, of a rectangle of Web Mercator tiles."""
    count = 2**tiles.zoom

    def latitude(row: int) -> float:
        return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row / count))))

    west, east = (column / count * 360 - 180 for column in (tiles.x[0], tiles.x[1] + 1))
    return west, latitude(tiles.y[1] + 1), east, latitude(tiles.y[0])


def is_blank(tile: RGBImage) -> bool:
    """Return whether a tile of imagery (H x W x 3) holds no data but a filling.

    Args:
        tile: H x W x 3 uint8 RGB, of imagery: a map may be of one colour and still hold data.
    """
    codes = tile.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    commonest = np.unique(codes, return_counts=True)[1].max() / codes.size
    return bool(max(commonest, (tile >= WHITE).all(-1).mean()) > BLANK_SHARE)
