"""Smaller versions of a raster, cut into tiles, in one file outside `rasters/`: made once, then read at once.

The file is a row of records: level, column, row and length, then the tile as JPEG. A tile of level 1 is made
of the raster, half its size; one of a higher level of the four tiles below it. So a making that was interrupted goes on
after the last whole record, to the same bytes; and a tile is one read of the file. Every tile has the full size: beyond
the raster's border its last pixels go on.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from raster.image import Image
from raster.reader import RasterReader

TILE = 512
QUALITY = 88
_HEADER = struct.Struct("<4sHIII")
_MARK = b"TILE"


def levels_of(width: int, height: int) -> int:
    """Return the highest level: there the raster fits one tile. Level n shrinks by 2^n.

    Args:
        width: Of the raster, full-resolution pixels.
        height: The same.

    Returns:
        0 where the raster itself fits a tile.
    """
    return max(0, math.ceil(math.log2(max(width, height, TILE) / TILE)))


def tiles_of(width: int, height: int, level: int) -> tuple[int, int]:
    """Return the columns and rows of tiles of a level.

    Args:
        width: Of the raster, full-resolution pixels.
        height: The same.
        level: 0 for the raster itself.

    Returns:
        Tiles that lie only partly on the raster are counted too.
    """
    shrink = TILE << level
    return -(-width // shrink), -(-height // shrink)


class Pyramid:
    """The levels 1 and up of a raster, open for reading; `build` makes what is missing."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        self.path = path
        self._size = width, height
        self._places: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._end = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._scan()

    @property
    def total(self) -> int:
        """How many tiles the whole has."""
        return len(list(self._all()))

    @property
    def made(self) -> int:
        """How many tiles are there."""
        return len(self._places)

    @property
    def complete(self) -> bool:
        """Whether all tiles are there."""
        return self.made == self.total

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        """Return a tile as JPEG, in one read; None where it is not made yet or lies outside.

        Args:
            level: 1 or more; level 0 is read from the raster itself.
            column: From the left, 0 first.
            row: From the top, 0 first.
        """
        place = self._places.get((level, column, row))
        return None if place is None else os.pread(self._file, place[1], place[0])

    def build(self, raster: RasterReader, stop: Callable[[], bool] = lambda: False) -> bool:
        """Make the tiles that are missing, the raster's windows read once each; return whether all are there now.

        Args:
            raster: The raster; memory stays within a few of its tiles.
            stop: Asked before each tile.
        """
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._scan()
            os.ftruncate(self._file, self._end)  # a record that was cut off
            for level, column, row in self._all():
                if (level, column, row) not in self._places:
                    if stop():
                        return False
                    image = self._of_raster(raster, column, row) if level == 1 else self._of_tiles(level, column, row)
                    self._append(level, column, row, image)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _all(self) -> Iterator[tuple[int, int, int]]:
        for level in range(1, levels_of(*self._size) + 1):
            columns, rows = tiles_of(*self._size, level)
            yield from ((level, column, row) for row in range(rows) for column in range(columns))

    def _scan(self) -> None:
        """Find the records, up to the first that is cut off."""
        size = os.fstat(self._file).st_size
        while self._end + _HEADER.size <= size:
            mark, level, column, row, length = _HEADER.unpack(os.pread(self._file, _HEADER.size, self._end))
            start = self._end + _HEADER.size
            if mark != _MARK or start + length > size:
                break
            self._places[level, column, row] = start, length
            self._end = start + length

    def _append(self, level: int, column: int, row: int, image: Image) -> None:
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=QUALITY)
        record = _HEADER.pack(_MARK, level, column, row, len(data)) + data
        os.pwrite(self._file, record, self._end)
        self._places[level, column, row] = self._end + _HEADER.size, len(data)
        self._end += len(record)

    def _of_raster(self, raster: RasterReader, column: int, row: int) -> Image:
        width, height = self._size
        x, y = column * 2 * TILE, row * 2 * TILE
        here = min(2 * TILE, width - x), min(2 * TILE, height - y)
        pixels, mask = raster.read(x, y, *here)
        if not mask.all():
            pixels[~mask] = 0
        beyond = (0, 2 * TILE - here[1]), (0, 2 * TILE - here[0]), (0, 0)
        return _halved(np.pad(pixels, beyond, mode="edge") if np.any(beyond) else pixels)

    def _of_tiles(self, level: int, column: int, row: int) -> Image:
        """Join the four tiles below and halve them."""
        joined = np.zeros((2 * TILE, 2 * TILE, 3), np.uint8)
        for y in range(2):
            for x in range(2):
                data = self.tile(level - 1, 2 * column + x, 2 * row + y)
                if data is not None:
                    joined[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] = simplejpeg.decode_jpeg(data)
        return _halved(joined)


def _halved(image: Image) -> Image:
    return np.asarray(cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)
