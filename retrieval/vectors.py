"""Embedding vectors that may be larger than memory: an array, or an `.npy` file that is read in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors (N, D) float32, in memory or in a file.

    Attributes:
        source: An array (N, D), or the path of an `.npy` file of float32 or float16 in C order.
        shape: (N, D).
    """

    source: Float32 | Path
    shape: tuple[int, int]

    @classmethod
    def of(cls, array: npt.ArrayLike) -> Vectors:
        """Take vectors from memory.

        Args:
            array: (N, D), any real type; converted to float32.

        Raises:
            RetrievalError: The array is not two-dimensional or holds a value that is not finite.
        """
        vectors = np.ascontiguousarray(array, np.float32)
        if vectors.ndim != 2:
            raise RetrievalError(f"vectors must be a table (N, D), not of shape {vectors.shape}")
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise RetrievalError(f"vector {row} holds a value that is not finite: repair the encoder's output")
        return cls(vectors, (len(vectors), vectors.shape[1]))

    @classmethod
    def from_file(cls, path: Path) -> Vectors:
        """Take vectors from an `.npy` file without reading them yet.

        Raises:
            RetrievalError: The file is missing, damaged, pickled, or not a C-ordered table of floats.
        """
        try:
            header = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise RetrievalError(f"{path}: no readable table of vectors ({error}); write it with numpy.save") from error
        if not isinstance(header, np.ndarray):
            raise RetrievalError(f"{path}: holds several arrays; write one table with numpy.save")
        if header.ndim != 2 or header.dtype.kind != "f" or not header.flags.c_contiguous:
            raise RetrievalError(f"{path}: needs floats (N, D) in C order, found {header.dtype} {header.shape}")
        return cls(path, (header.shape[0], header.shape[1]))

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> Float32:
        """Return the vectors [start, stop) as float32.

        A file is read, not mapped: mapped pages would count as memory of this process.

        Args:
            start: First row, from 0.
            stop: Row after the last; beyond the end it is cut off.

        Returns:
            (stop - start, D) float32; a view where the vectors are in memory.

        Raises:
            RetrievalError: A value in the file is not finite.
        """
        if not isinstance(self.source, Path):
            return self.source[start:stop]
        header = np.load(self.source, mmap_mode="r", allow_pickle=False)
        stop = min(stop, self.shape[0])
        with self.source.open("rb") as file:
            file.seek(header.offset + start * self.shape[1] * header.dtype.itemsize)
            values = np.fromfile(file, header.dtype, (stop - start) * self.shape[1])
        block = values.reshape(stop - start, self.shape[1]).astype(np.float32, copy=False)
        if not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise RetrievalError(f"{self.source}: vector {row} holds a value that is not finite")
        return block
