"""Reading whatever image file a user names as an RGB image."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader

from matcher.errors import InputError
from matcher.images import RGBImage, as_rgb

MAX_PIXELS = 100_000_000


def read_image_file(path: Path) -> RGBImage:
    """Read the first three bands (or the only one) of whatever GDAL reads as H x W x 3 uint8; no-data shows white.

    Palettes are resolved; ranges other than 8 bits are stretched. Raises InputError for a file that is missing, is no
    image or holds more than 100 million pixels.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                if raster.width * raster.height > MAX_PIXELS:
                    size = f"{raster.width} x {raster.height} pixels"
                    raise InputError(f"{path}: {size}; for whole rasters there is mapdata align")
                image, mask = _read_bands(raster), raster.dataset_mask()
    except RasterioIOError as error:
        raise InputError(f"{path}: not an image that can be read ({error})") from error
    return np.where(mask[..., None] > 0, as_rgb(_in_range(image), str(path)), np.uint8(255))


def _read_bands(raster: DatasetReader) -> np.ndarray:
    """Return H x W x 1 or H x W x 3 values."""
    if raster.colorinterp[0] == ColorInterp.palette:
        palette = np.zeros((max(raster.colormap(1)) + 1, 3), np.uint8)
        for index, colour in raster.colormap(1).items():
            palette[index] = colour[:3]
        return np.asarray(palette[raster.read(1)])
    return np.moveaxis(raster.read([1, 2, 3] if raster.count >= 3 else [1]), 0, -1)


def _in_range(image: np.ndarray) -> np.ndarray:
    """Values of other types than 8 or 16 bits have no fixed range: map theirs to [0, 1]."""
    if image.dtype in (np.uint8, np.uint16):
        return image
    values = image.astype(np.float64)
    finite = np.isfinite(values)
    low, high = np.percentile(values[finite], (0.5, 99.5)) if finite.any() else (0.0, 0.0)
    return np.asarray(np.clip((np.where(finite, values, low) - low) / max(high - low, 1e-12), 0, 1))
