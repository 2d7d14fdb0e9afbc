"""A side of a pair: any raster file, georeferenced or not, read by windows at any whole reduction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from matcher.dense.matcher import warp
from matcher.dense.poses import View, inverse, resizing
from matcher.images import as_rgb
from pipeline.errors import PermanentError
from stages.gdal import Session
from stages.grid import FloatArray, Grid, apply_homography
from stages.rasters import grid_of, open_dataset

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Side:
    """An open raster: `width`, `height`, and its `grid`, None where the file does not say where it lies."""

    def __init__(self, dataset: rasterio.DatasetReader, path: Path) -> None:
        self._dataset = dataset
        self.path = path
        self.width, self.height = dataset.width, dataset.height
        located = dataset.crs is not None and not dataset.transform.is_identity
        self.grid: Grid | None = grid_of(dataset, path) if located else None

    def read(self, x: int, y: int, width: int, height: int, reduce: int = 1) -> tuple[Image, Mask]:
        """Return the pixels and the mask (True: data) of a window inside the raster, `reduce` x `reduce` px averaged.

        `width` and `height` need not be multiples of `reduce`: the last pixels are of what remains.
        """
        shape = -(-height // reduce), -(-width // reduce)
        window = Window(x, y, shape[1] * reduce, shape[0] * reduce)
        bands = (1, 2, 3) if self._dataset.count >= 3 else (1,)
        # beyond the raster's right and bottom edge GDAL reads nothing: pad what the last blocks lack
        inside = window.intersection(Window(0, 0, self.width, self.height))
        full = max(1, round(inside.height / reduce)), max(1, round(inside.width / reduce))
        try:
            pixels = self._dataset.read(
                bands, window=inside, out_shape=(len(bands), *full), resampling=Resampling.average
            )
            mask = self._dataset.dataset_mask(window=inside, out_shape=full, resampling=Resampling.nearest)
        except RasterioError as error:
            raise PermanentError(f"{self.path}: cannot read this raster ({error}); replace the file") from error
        image = as_rgb(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)), str(self.path))
        missing = (0, max(0, shape[0] - full[0])), (0, max(0, shape[1] - full[1]))
        image = np.pad(image, (*missing, (0, 0)), mode="edge")[: shape[0], : shape[1]]
        return image, np.pad(mask > 0, missing)[: shape[0], : shape[1]]

    def view(self, side: int, bounds: tuple[int, int, int, int] | None = None) -> tuple[View, FloatArray]:
        """Return the part within `bounds` (x0, y0, x1, y1; by default all) so reduced that its longer side is about
        `side` pixels or less than twice that, and the matrix from the raster's pixels to the view's."""
        x0, y0, x1, y1 = bounds or (0, 0, self.width, self.height)
        reduce = max(1, max(x1 - x0, y1 - y0) // side)
        image, mask = self.read(x0, y0, x1 - x0, y1 - y0, reduce)
        shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], dtype=np.float64)
        return View(image, mask, torch.device("cpu")), resizing(1 / reduce, 1 / reduce) @ shift

    def clip(self, points: FloatArray, margin: float = 0.0) -> tuple[int, int, int, int] | None:
        """Return the bounds within the raster that hold `points` and `margin` pixels around them, or None."""
        if not np.isfinite(points).all():
            return None
        low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin) + 1
        x0, y0 = np.clip(low, 0, (self.width, self.height)).astype(int)
        x1, y1 = np.clip(high, 0, (self.width, self.height)).astype(int)
        return (int(x0), int(y0), int(x1), int(y1)) if x1 - x0 > 8 and y1 - y0 > 8 else None

    def warped(self, homography: FloatArray, width: int, height: int) -> tuple[Image, Mask]:
        """Return the raster warped onto `width` x `height` pixels by a homography from its own pixels to those."""
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
        sources = apply_homography(inverse(homography), corners)
        bounds = self.clip(sources, margin=8)
        if bounds is None:
            return np.zeros((height, width, 3), np.uint8), np.zeros((height, width), bool)
        x0, y0, x1, y1 = bounds
        area = abs(cv2.contourArea(sources.astype(np.float32))) / max(width * height, 1)
        reduce = max(1, int(np.sqrt(area) + 0.1))
        image, mask = self.read(x0, y0, x1 - x0, y1 - y0, reduce)
        offset = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], dtype=np.float64)
        small = resizing(1 / reduce, 1 / reduce) @ offset
        return warp(image, mask, homography @ inverse(small), width, height)


@contextmanager
def open_side(path: Path) -> Iterator[Side]:
    """Open any raster that GDAL reads. Raises PermanentError naming the file if it is missing or no raster."""
    with Session().activate(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with open_dataset(path) as dataset:
            yield Side(dataset, path)
