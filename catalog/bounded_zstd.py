"""A zstd codec for Zarr stores of strangers: a chunk never unpacks to more than its array says that it holds."""

from __future__ import annotations

import math
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


class BoundedZstd(ZstdCodec):
    """Unpacks into a buffer of the chunk's own size; the frame's claim of another one is not believed."""

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        size = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        try:
            unpacked = pa.Codec("zstd").decompress(chunk_bytes.to_bytes(), decompressed_size=size)
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"a chunk does not unpack to its {size} bytes ({error})") from error
        return chunk_spec.prototype.buffer.from_array_like(np.frombuffer(unpacked, np.uint8))


@contextmanager
def bounded_zstd() -> Iterator[None]:
    """Arrays that are opened in this context unpack zstd within bounds, also when they are read later."""
    with zarr.config.set({"codecs.zstd": f"{__name__}.{BoundedZstd.__qualname__}"}):
        yield


register_codec("zstd", BoundedZstd)
