"""Reading image files."""

from __future__ import annotations

from pathlib import Path

from raster.errors import RasterError
from raster.image import Image
from raster.picture import decode_picture
from retrieval.errors import RetrievalError


def read_image(path: Path) -> Image:
    """Read an image file as RGB (H, W, 3) uint8.

    Raises:
        RetrievalError: It is missing, no image, damaged or cut short, or has more than 100 million pixels.
    """
    try:
        return decode_picture(path.read_bytes())
    except OSError as error:
        raise RetrievalError(f"{path}: no such image ({error.strerror}); verify the dataset") from error
    except RasterError as error:
        raise RetrievalError(f"{path}: {error}") from error
