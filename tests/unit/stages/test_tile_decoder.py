"""Tiles of every depth that PNG knows become 8 bits."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from stages.fetch.responses import TileDecoder

pytestmark = pytest.mark.unit

SIZE = 64
VALUES = np.random.default_rng(0).integers(0, 65536, (SIZE, SIZE), dtype=np.uint16)


def png(depth: int, colour_type: int, rows: np.ndarray, transparent: int | None = None) -> bytes:
    """Write a PNG by hand; `rows` (SIZE, bytes a row)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    content = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, depth, colour_type, 0, 0, 0))]
    if transparent is not None:
        parts.append(chunk(b"tRNS", struct.pack(">H", transparent)))
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(content)), chunk(b"IEND", b"")])


def test_sixteen_bits_of_grey_keep_their_place_in_the_range() -> None:
    transparent = int(VALUES[5, 7])
    tile = TileDecoder(SIZE).decode(png(16, 0, VALUES.astype(">u2"), transparent))
    assert np.abs(tile[..., :3] - VALUES[..., None] / 257).max() <= 0.5
    np.testing.assert_array_equal(tile[..., 3] == 0, transparent == VALUES)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_grey_fill_the_range(bits: int) -> None:
    values = (VALUES >> (16 - bits)).astype(np.uint8)
    digits = np.unpackbits(values[..., None], axis=2)[..., 8 - bits :].reshape(SIZE, -1)
    tile = TileDecoder(SIZE).decode(png(bits, 0, np.packbits(digits, axis=1)))
    np.testing.assert_array_equal(tile[..., 0], values * (255 // (2**bits - 1)))
    assert (tile[..., 3] == 255).all()
