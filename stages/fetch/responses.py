"""Checking the body of a tile: the picture that was asked for, the fact that there is none, or something else."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from pipeline.files import digest_bytes

TILE_SIZES = (256, 512)
"""Widths of tiles that services offer, px."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_MAX_AREA_FACTOR = 64
"""A picture of more than this many times the pixels that were asked for is taken for a decompression bomb."""

_SIGNATURES: tuple[tuple[str, int, tuple[bytes, ...]], ...] = (
    ("AVIF", 4, (b"ftypavif", b"ftypavis", b"ftypmif1")),
    ("HEIC", 4, (b"ftypheic", b"ftypheix", b"ftyphevc")),
    ("JPEG XL", 0, (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")),
    ("JPEG 2000", 0, (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")),
    ("TIFF", 0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("BMP", 0, (b"BM",)),
    ("LERC", 0, (b"Lerc2 ", b"CntZImage ")),
    ("vector tile, packed", 0, (b"\x1f\x8b",)),
    # Field 3 of a vector tile's message, a layer, whose own first field is its name or its version.
    ("vector tile", 0, (b"\x1a",)),
)
"""Formats of tiles that are not read: name, offset and values of the bytes that tell them."""


class InvalidResponse(Exception):
    """A response with a good status that is not what was asked for: a page, a truncated or an empty file."""


class UnsafeResponse(Exception):
    """A response that is never accepted: a bomb, a foreign redirect, a format that is not read. Not repeated."""


@dataclass(frozen=True)
class TileDecoder:
    """Decodes and checks tiles.

    Attributes:
        size: Width and height of a tile, px.
        placeholders: BLAKE3 digests of the bodies that mean 'no imagery here'.
    """

    size: int
    placeholders: Collection[str] = ()

    def is_placeholder(self, body: bytes) -> bool:
        """Tell whether a body is one of the 'no imagery' pictures."""
        return digest_bytes(body) in self.placeholders

    def decode(self, body: bytes) -> NDArray[np.uint8]:
        """Decode a tile.

        Args:
            body: The file: JPEG, PNG, WebP or GIF.

        Returns:
            RGBA (size, size, 4) uint8; alpha is 0 where the tile has no data.

        Raises:
            InvalidResponse: The body is not a whole picture of this size.
            UnsafeResponse: It is a decompression bomb, or of a format that is not read.
        """
        if not body:
            raise InvalidResponse("an empty body")
        if name := unsupported_format(body):
            raise UnsafeResponse(f"a tile of the format {name}, which is not read ({', '.join(_FORMATS)} are)")
        try:
            with Image.open(io.BytesIO(body), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > _MAX_AREA_FACTOR * self.size * self.size:
                    raise UnsafeResponse(f"a picture of {width} x {height} px where {self.size} x {self.size} was due")
                if width == height and width in TILE_SIZES and width != self.size:
                    raise UnsafeResponse(f"a tile of {width} px where {self.size} px were due; set tile_size: {width}")
                if (width, height) != (self.size, self.size):
                    raise InvalidResponse(f"a picture of {width} x {height} px, not {self.size} x {self.size}")
                if image.format == "JPEG":
                    return simplejpeg.decode_jpeg(body, colorspace="RGBA", strict=True)
                return _as_rgba(image)
        except Image.DecompressionBombError as error:
            raise UnsafeResponse("a picture so large that only a decompression bomb has its size") from error
        except (OSError, ValueError, SyntaxError) as error:
            raise InvalidResponse(_describe(body, error)) from error


def unsupported_format(body: bytes) -> str:
    """Return the name of the format of a body that is known but not read, else ""."""
    return next((name for name, at, values in _SIGNATURES if body[at:].startswith(values)), "")


def _as_rgba(image: Image.Image) -> NDArray[np.uint8]:
    """Return a picture as RGBA; 16 bits of grey, which Pillow would cut off at 255, are scaled to 8."""
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("RGBA"))
    values = np.asarray(image).astype(np.uint32)
    grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
    transparent = image.info.get("transparency")
    alpha = np.full(grey.shape, 255, np.uint8) if transparent is None else np.where(values == transparent, 0, 255)
    return np.dstack([grey, grey, grey, alpha.astype(np.uint8)])


def _describe(body: bytes, error: Exception) -> str:
    head = body.lstrip()[:32].lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg", b"{", b"<service")):
        return "a text page instead of a picture"
    return f"no whole picture ({type(error).__name__}, {len(body)} bytes)"


def picture_width(body: bytes) -> int:
    """Return the width of a tile in px, one of `TILE_SIZES`; the first of them if the body does not tell."""
    try:
        with Image.open(io.BytesIO(body), formats=_FORMATS) as image:
            return image.width if image.width in TILE_SIZES else TILE_SIZES[0]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return TILE_SIZES[0]
