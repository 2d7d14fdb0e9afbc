"""Turning tiles into bytes, and what each format is called on disk."""

from __future__ import annotations

import io
from enum import StrEnum

import fpng
import simplejpeg
from PIL import Image as PillowImage

from raster.image import Image


class TileFormat(StrEnum):
    """How tiles are stored. All but JPEG keep every pixel as it is."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    NONE = "none"

    @property
    def label(self) -> str:
        """The word of the column `format`."""
        return "npy" if self is TileFormat.NONE else str(self)

    @property
    def suffix(self) -> str:
        """Suffix of files."""
        return {"jpeg": ".jpg", "none": ".npy"}.get(self, f".{self}")


def encode(tile: Image, tile_format: TileFormat, quality: int) -> bytes:
    """Encode a tile.

    Args:
        tile: uint8 (size, size, 3) RGB.
        tile_format: The format.
        quality: Quality of JPEG, 1 to 100.

    Returns:
        The file's bytes.
    """
    match tile_format:
        case TileFormat.PNG:
            return fpng.from_ndarray(tile)
        case TileFormat.JPEG:
            return simplejpeg.encode_jpeg(tile, quality, "RGB", "420")
        case TileFormat.WEBP:
            buffer = io.BytesIO()
            PillowImage.fromarray(tile).save(buffer, "WEBP", lossless=True, quality=0, method=0)
            return buffer.getvalue()
        case TileFormat.NONE:
            return tile.tobytes()
