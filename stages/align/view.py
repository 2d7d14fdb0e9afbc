"""A raster as the dense matcher takes it: an image with its mask, reduced."""

from __future__ import annotations

import torch

from matcher.dense.masked_image import MaskedImage
from raster.homography import Matrix
from raster.reader import RasterReader
from raster.resample import reduced


def reduced_view(raster: RasterReader, longest: int) -> tuple[MaskedImage, Matrix]:
    """Read a whole raster reduced, and the matrix from its pixels to the view's; see `raster.resample.reduced`.

    Args:
        raster: The raster.
        longest: What the longer side of the view has at least, in pixels, and less than twice of; a smaller raster is
            read as it is.

    Returns:
        The view, on the CPU, and the matrix (3x3), full-resolution pixels -> pixels of the view.
    """
    image, mask, matrix = reduced(raster, longest)
    return MaskedImage(image, mask, torch.device("cpu")), matrix
