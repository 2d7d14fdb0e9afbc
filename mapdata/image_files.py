"""Reading whatever image file a user names as an RGB image."""

from __future__ import annotations

from pathlib import Path

from matcher.errors import InputError
from raster.errors import RasterError
from raster.image import Image
from raster.reader import open_raster

MAX_PIXELS = 100_000_000


def read_image_file(path: Path) -> Image:
    """Read an image file as a whole; what has no data shows white.

    Args:
        path: Anything that GDAL reads; see `raster.reader.RasterReader` for what becomes of bands, palettes and types.

    Returns:
        H x W x 3 uint8, RGB.

    Raises:
        InputError: The file is missing, is no image, or holds more than 100 million pixels.
    """
    try:
        with open_raster(path) as raster:
            if raster.width * raster.height > MAX_PIXELS:
                size = f"{raster.width} x {raster.height} pixels"
                raise InputError(f"{path}: {size}; for whole rasters there is mapdata align")
            image, mask = raster.read(0, 0, raster.width, raster.height)
    except RasterError as error:
        raise InputError(str(error)) from error
    image[~mask] = 255
    return image
