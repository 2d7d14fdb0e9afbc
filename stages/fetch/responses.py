"""Judging a tile service's answer: is it the picture that was asked for, the fact that there is none, or a lie?"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from pipeline.files import digest_bytes

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


class InvalidResponse(Exception):
    """An answer that calls itself good and is not: a page instead of a picture, a truncated or empty file."""


class UnsafeResponse(Exception):
    """An answer that no honest service gives: a bomb, a foreign redirect, a path in a header. Never asked for again."""


@dataclass(frozen=True)
class TileDecoder:
    """What a tile must be: `size` x `size` px; and the BLAKE3 digests of answers that mean 'no imagery here'."""

    size: int
    placeholders: Collection[str] = ()

    def is_placeholder(self, body: bytes) -> bool:
        return digest_bytes(body) in self.placeholders

    def decode(self, body: bytes) -> NDArray[np.uint8]:
        """Return the tile as RGBA (size, size, 4) uint8; alpha 0 where the tile has nothing.

        Raises `InvalidResponse` for what is no whole picture of this size, `UnsafeResponse` for a decompression bomb.
        """
        if not body:
            raise InvalidResponse("an empty body")
        try:
            with Image.open(io.BytesIO(body), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > 64 * self.size * self.size:
                    raise UnsafeResponse(f"a picture of {width} x {height} px where {self.size} x {self.size} was due")
                if (width, height) != (self.size, self.size):
                    raise InvalidResponse(f"a picture of {width} x {height} px, not {self.size} x {self.size}")
                if image.format == "JPEG":
                    return simplejpeg.decode_jpeg(body, colorspace="RGBA", strict=True)
                return _as_rgba(image)
        except Image.DecompressionBombError as error:
            raise UnsafeResponse("a picture so large that only a decompression bomb has its size") from error
        except (OSError, ValueError, SyntaxError) as error:
            raise InvalidResponse(_describe(body, error)) from error


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
