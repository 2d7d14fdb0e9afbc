"""Content encodings of HTTP bodies, unpacked within a size limit.

Requests ask for none, but some servers pack bodies regardless, and object stores keep what an upload declared.
"""

from __future__ import annotations

import zlib

import pyarrow

from stages.fetch.responses import InvalidResponse, UnsafeResponse

_PLAIN = frozenset({"", "identity", "aws-chunked"})
"""Encodings that leave the body as it is. `aws-chunked` belongs to uploads; S3 repeats it as metadata of an object."""
_ZLIB = frozenset({"gzip", "x-gzip", "deflate"})
_ARROW = {"br": "brotli", "zstd": "zstd"}
_MAX_LAYERS = 2


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Unpack a body.

    Args:
        body: As received.
        encoding: The header Content-Encoding: one encoding or several, in the order in which they were applied.
        limit: Greatest number of bytes of the result.

    Returns:
        The body without its encodings.

    Raises:
        InvalidResponse: The body ends too early.
        UnsafeResponse: It is not packed as the header says, unpacks to more than the limit, or its encoding is unknown.
    """
    layers = [name for part in encoding.split(",") if (name := part.strip().lower()) not in _PLAIN]
    if len(layers) > _MAX_LAYERS:
        raise UnsafeResponse(f"a body packed {len(layers)} times over")
    for name in reversed(layers):
        if name in _ZLIB:
            body = _inflated(body, name, limit)
        elif name in _ARROW:
            body = _decompressed(body, name, limit)
        else:
            raise UnsafeResponse(f"a body packed as {name!r}, which nobody asked for")
        if len(body) > limit:
            raise UnsafeResponse(f"a body packed as {name!r} that unpacks to more than {limit} bytes")
    return body


def _inflated(body: bytes, name: str, limit: int) -> bytes:
    # "deflate" means the zlib format, but some servers send its bare stream; 32 tells gzip and zlib apart by itself.
    for window_bits in (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS) if name == "deflate" else (32 + zlib.MAX_WBITS,):
        stream = zlib.decompressobj(window_bits)
        try:
            result = stream.decompress(body, limit + 1)
        except zlib.error:
            continue
        if stream.eof or len(result) > limit:
            return result
        raise InvalidResponse(f"a body packed as {name!r} that is cut short")
    raise UnsafeResponse(f"a body that is not packed as {name!r}, as its header says")


def _decompressed(body: bytes, name: str, limit: int) -> bytes:
    try:
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(body), _ARROW[name]) as stream:
            return bytes(stream.read(limit + 1))
    except (OSError, pyarrow.ArrowException) as error:
        raise UnsafeResponse(f"a body that is not packed as {name!r}, as its header says, or is cut short") from error
