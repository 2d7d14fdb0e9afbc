"""A side of a pair: any raster file, georeferenced or not, read by windows at any whole reduction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from matcher.dense.masked_image import MaskedImage
from matcher.images import as_rgb
from pipeline.errors import PermanentError
from raster.gdal import Session
from raster.grid import Grid
from raster.homography import FloatArray, apply_homography, inverse, resizing
from raster.warp import warp
from stages.rasters import grid_of, open_dataset

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

STRIP = 512
"""Rows read at once: what a raster takes in memory beside its reduced version."""


class Side:
    """An open raster: `width`, `height`, and its `grid`, None where the file does not say where it lies."""

    def __init__(self, dataset: rasterio.DatasetReader, path: Path) -> None:
        self._dataset = dataset
        self.path = path
        self.width, self.height = dataset.width, dataset.height
        located = dataset.crs is not None and not dataset.transform.is_identity
        self.grid: Grid | None = grid_of(dataset, path) if located else None
        self._bands = [1, 2, 3] if dataset.count >= 3 else [1]
        self._palette = _palette(dataset)

    def read(self, x: int, y: int, width: int, height: int, reduce: int = 1) -> tuple[Image, Mask]:
        """Return the pixels and the mask (True: data) of a window, blocks of `reduce` x `reduce` px averaged.

        The shapes are ceil(height / reduce) x ceil(width / reduce). What of the last blocks lies beyond the raster is
        like its border; a block has data where all its pixels do.
        """
        columns, rows = -(-width // reduce), -(-height // reduce)
        image, mask = np.empty((rows, columns, 3), np.uint8), np.empty((rows, columns), bool)
        strip = max(1, STRIP // reduce)
        for top in range(0, rows, strip):
            count = min(strip, rows - top)
            pixels, valid = self._rows(x, y + top * reduce, columns * reduce, count * reduce)
            if reduce > 1:  # several times as fast as GDAL's own averaging
                pixels = np.asarray(cv2.resize(pixels, (columns, count), interpolation=cv2.INTER_AREA), np.uint8)
                shares = cv2.resize(valid.astype(np.float32), (columns, count), interpolation=cv2.INTER_AREA)
                valid = np.asarray(shares > 1 - 0.5 / reduce**2)
            image[top : top + count], mask[top : top + count] = pixels, valid
        return image, mask

    def _rows(self, x: int, y: int, width: int, height: int) -> tuple[Image, Mask]:
        """Read a window at full resolution; where it reaches beyond the right and bottom edge, repeat the border."""
        window = Window(x, y, min(width, self.width - x), min(height, self.height - y))
        try:
            bands = self._dataset.read(self._bands, window=window)
            valid = self._dataset.dataset_mask(window=window) > 0
        except RasterioError as error:
            raise PermanentError(f"{self.path}: cannot read this raster ({error}); replace the file") from error
        image = self._as_rgb(np.moveaxis(bands, 0, -1))
        beyond = (0, height - image.shape[0]), (0, width - image.shape[1])
        if not np.any(beyond):
            return image, valid
        return np.pad(image, (*beyond, (0, 0)), mode="edge"), np.pad(valid, beyond, mode="edge")

    def _as_rgb(self, pixels: NDArray[Any]) -> Image:
        if self._palette is not None:
            return np.asarray(self._palette[pixels[..., 0]], np.uint8)
        if pixels.dtype != np.uint8:
            low, high = self._range
            pixels = (np.clip((pixels.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
        return as_rgb(np.ascontiguousarray(pixels), str(self.path))

    @cached_property
    def _range(self) -> tuple[float, float]:
        """The values that become 0 and 255, the same all over the raster: its 0.5th and 99.5th percentile."""
        shape = min(self.height, 1024), min(self.width, 1024)
        sample = self._dataset.read(self._bands, out_shape=(len(self._bands), *shape)).astype(np.float64)
        data = sample[:, self._dataset.dataset_mask(out_shape=shape) > 0]
        data = data[np.isfinite(data)]
        low, high = np.percentile(data, (0.5, 99.5)) if data.size else (0.0, 1.0)
        return float(low), float(high)

    def view(self, side: int, bounds: tuple[int, int, int, int] | None = None) -> tuple[MaskedImage, FloatArray]:
        """Return the part within `bounds` (x0, y0, x1, y1; by default all) so reduced that its longer side is about
        `side` pixels or less than twice that, and the matrix from the raster's pixels to the view's."""
        x0, y0, x1, y1 = bounds or (0, 0, self.width, self.height)
        reduce = max(1, max(x1 - x0, y1 - y0) // side)
        image, mask = self.read(x0, y0, x1 - x0, y1 - y0, reduce)
        shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], dtype=np.float64)
        return MaskedImage(image, mask, torch.device("cpu")), resizing(1 / reduce, 1 / reduce) @ shift

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


def _palette(dataset: rasterio.DatasetReader) -> Image | None:
    """Return the colours (256 x 3) that a raster's values stand for, if they do."""
    if dataset.count > 2 or dataset.colorinterp[0] is not ColorInterp.palette or dataset.dtypes[0] != "uint8":
        return None
    colours = np.zeros((256, 3), np.uint8)
    for value, colour in dataset.colormap(1).items():
        colours[value] = colour[:3]
    return colours


@contextmanager
def open_side(path: Path) -> Iterator[Side]:
    """Open any raster that GDAL reads. Raises PermanentError naming the file if it is missing or no raster."""
    with Session().activate(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with open_dataset(path) as dataset:
            yield Side(dataset, path)
