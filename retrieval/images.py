"""Reading image files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.errors import RetrievalError

_MOST_PIXELS = 100_000_000


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image file as RGB (H, W, 3).

    The size is read from the head of the file first, so that a file that claims to be huge is not unpacked.

    Raises:
        RetrievalError: It is missing, no image, or has more than 100 million pixels.
    """
    try:
        with Image.open(path) as head:
            width, height = head.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RetrievalError(f"{path}: missing or no image ({error}); verify the dataset") from error
    if width * height > _MOST_PIXELS:
        raise RetrievalError(f"{path}: {width} x {height} pixels are more than 100 million; reduce the image")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise RetrievalError(f"{path}: cannot be decoded; verify the dataset")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)
