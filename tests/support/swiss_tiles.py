"""Rasters of the real Swiss tiles at zoom 16, whole or spoilt, with georeferences right or wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from affine import Affine

from raster.grid import Grid
from stages.rasters import write_raster

HALF = 20037508.342789244
PIXEL = 2 * HALF / (256 * 2**16)
Tiles = tuple[int, int, int, int]
"""First and last tile, x then y, inclusive."""


def assemble(root: Path, layer: str, suffix: str, tiles: Tiles) -> np.ndarray:
    """Return z16 tiles as RGBA; alpha 0 where a tile is missing."""
    x0, x1, y0, y1 = tiles
    image = np.zeros(((y1 - y0 + 1) * 256, (x1 - x0 + 1) * 256, 4), np.uint8)
    for x in range(x0, x1 + 1):
        for y in range(y0, y1 + 1):
            path = root / "tiles" / layer / "16" / str(x) / f"{y}.{suffix}"
            if path.is_file():
                tile = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGBA)
                image[(y - y0) * 256 :, (x - x0) * 256 :][:256, :256] = tile
    return image


def save(path: Path, image: np.ndarray, tiles: Tiles, change: np.ndarray | None = None) -> Path:
    """Write a raster on the tiles' grid, its georeference followed by `change` (3 x 3, on Web Mercator metres)."""
    transform = Affine(PIXEL, 0, -HALF + tiles[0] * 256 * PIXEL, 0, -PIXEL, HALF - tiles[2] * 256 * PIXEL)
    if change is not None:
        transform = Affine(*change[:2].ravel()) @ transform
    write_raster(path, Grid("EPSG:3857", transform, image.shape[1], image.shape[0]), iter([image]), {})
    return path


def change_about(tiles: Tiles, degrees: float, scale: float, east: float, north: float) -> np.ndarray:
    """Return a similarity of the ground (3 x 3, metres) about the middle of the tiles."""
    middle = np.array([-HALF + (tiles[0] + tiles[1] + 1) * 128 * PIXEL, HALF - (tiles[2] + tiles[3] + 1) * 128 * PIXEL])
    angle = np.deg2rad(degrees)
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix[:2, 2] = middle + np.array([east, north]) - matrix[:2, :2] @ middle
    return matrix
