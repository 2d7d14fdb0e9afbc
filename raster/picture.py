"""Pictures of strangers: files of JPEG, PNG and the like, whole or not at all, and none that unpacks to a bomb."""

from __future__ import annotations

import io

import cv2
import numpy as np
import PIL.Image

from raster.errors import RasterError
from raster.image import Image

MOST_PIXELS = 100_000_000


def decode_picture(body: bytes, formats: tuple[str, ...] | None = None) -> Image:
    """Decode a picture, turned upright as its EXIF says.

    Args:
        body: The file's bytes.
        formats: Which formats are taken, as Pillow calls them; None for all that it and OpenCV know.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        RasterError: It is no picture, has more than `MOST_PIXELS`, or is damaged or cut short.
    """
    try:
        with PIL.Image.open(io.BytesIO(body), formats=formats) as head:  # decodes no pixels
            width, height = head.size
    except PIL.UnidentifiedImageError:
        raise RasterError("no image of a known format") from None
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise RasterError(f"no image that can be read ({error})") from error
    if width * height > MOST_PIXELS:
        raise RasterError(f"{width} x {height} pixels are more than 100 million; reduce the image")
    # OpenCV fills what is missing of a JPEG with grey.
    image = None if _is_cut_short(body) else cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise RasterError("damaged or cut short, it cannot be decoded")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def _is_cut_short(body: bytes) -> bool:
    """Tell whether a JPEG ends before its picture does."""
    at = 2
    while body[:2] == b"\xff\xd8" and at + 4 <= len(body) and body[at] == 0xFF:
        marker, length = body[at + 1], int.from_bytes(body[at + 2 : at + 4])
        if marker == 0xDA:  # the picture follows; in it 0xFF is always escaped
            return body.find(b"\xff\xd9", at + 2 + length) < 0
        at += 1 if marker == 0xFF else 2 + length
    return body[:2] == b"\xff\xd8"
