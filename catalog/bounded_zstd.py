"""A zstd codec for Zarr stores of strangers: a chunk never unpacks to more than its array says that it holds."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import zarr
from zarr.codecs import ZstdCodec
from zarr.registry import register_codec

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer


_TURN = threading.Lock()


class BoundedZstd(ZstdCodec):
    """Unpacks into a buffer of the chunk's own size; the frame's claim of another one is not believed.

    Chunks of text of any length have no size of their own; they are unpacked as zarr does it.
    """

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        if chunk_spec.dtype.to_native_dtype().hasobject:
            return super()._decode_sync(chunk_bytes, chunk_spec)
        size = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        try:
            unpacked = pa.Codec("zstd").decompress(chunk_bytes.to_bytes(), decompressed_size=size)
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"a chunk does not unpack to its {size} bytes ({error})") from error
        return chunk_spec.prototype.buffer.from_array_like(np.frombuffer(unpacked, np.uint8))


@contextmanager
def bounded_zstd() -> Iterator[None]:
    """Arrays that are opened in this context unpack zstd within bounds, also when they are read later.

    The configuration of zarr is one for all threads, so they take turns: each must find it as the one before did.
    """
    with _TURN, zarr.config.set({"codecs.zstd": f"{__name__}.{BoundedZstd.__qualname__}"}):
        yield


register_codec("zstd", BoundedZstd)
