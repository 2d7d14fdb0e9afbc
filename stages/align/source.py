"""A side of a pair: any raster file, georeferenced or not, read by windows at any whole reduction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from matcher.dense.poses import View
from raster.homography import FloatArray
from raster.image import Image, Mask
from raster.reader import RasterReader
from raster.resample import Bounds, bounds_around, reduced, warped
from stages.rasters import open_any


class Side:
    """An open raster: `width`, `height`, and its `grid`, None where the file does not say where it lies."""

    def __init__(self, raster: RasterReader) -> None:
        self._raster = raster
        self.width, self.height, self.grid = raster.width, raster.height, raster.located

    def read(self, x: int, y: int, width: int, height: int, reduce: int = 1) -> tuple[Image, Mask]:
        """Read a window; see `RasterReader.read`."""
        return self._raster.read(x, y, width, height, reduce)

    def view(self, side: int, bounds: Bounds | None = None) -> tuple[View, FloatArray]:
        """Read a part; see `raster.resample.reduced`."""
        image, mask, matrix = reduced(self._raster, side, bounds)
        return View(image, mask, torch.device("cpu")), matrix

    def clip(self, points: FloatArray, margin: float = 0.0) -> Bounds | None:
        """Return the bounds around points; see `raster.resample.bounds_around`."""
        return bounds_around(self._raster, points, margin)

    def warped(self, homography: FloatArray, width: int, height: int) -> tuple[Image, Mask]:
        """Warp the raster; see `raster.resample.warped`."""
        return warped(self._raster, homography, width, height)


@contextmanager
def open_side(path: Path) -> Iterator[Side]:
    """Open any raster that GDAL reads. Raises PermanentError naming the file if it is missing or no raster."""
    with open_any(path) as raster:
        yield Side(raster)
