"""Thumbnails of raster pairs."""

from __future__ import annotations

import cv2
import numpy as np
import rasterio
from rasterio.enums import Resampling

from catalog.pairs.model import Raster, RasterPair

_SIDE = 256
_QUALITY = 80


def pair_thumbnail(pair: RasterPair) -> bytes | None:
    """Return map and visible raster side by side as JPEG, each at most 256 px wide and high; None without rasters.

    Args:
        pair: Its files are read at low resolution.
    """
    if not all(raster.file.exists() for raster in pair.sides.values()):
        return None
    images = [_small(raster) for raster in pair.sides.values()]
    height = max(image.shape[0] for image in images)
    padded = [np.pad(image, ((0, height - image.shape[0]), (0, 0), (0, 0)), constant_values=255) for image in images]
    picture = np.concatenate(padded, axis=1)
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _small(raster: Raster) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with rasterio.open(raster.file) as file:
        scale = min(1.0, _SIDE / max(file.width, file.height))
        shape = 3, max(1, round(file.height * scale)), max(1, round(file.width * scale))
        bands = [1, 2, 3] if file.count >= 3 else [1, 1, 1]
        return np.asarray(file.read(bands, out_shape=shape, resampling=Resampling.average).transpose(1, 2, 0))
