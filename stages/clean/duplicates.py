"""Finding pairs whose visible images are the same, exactly or nearly, among all pairs of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
_BITS = 64
_BLOCK = 1024


def exact_duplicates(pairs: pa.Table) -> Mapping[int, int]:
    """Return the rows whose visible image has the digest of an earlier row, with the first such row."""
    first: dict[str, int] = {}
    digests = pairs["visible_digest"].to_pylist()
    found = ((row, first.setdefault(digest, row)) for row, digest in enumerate(digests))
    return {row: original for row, original in found if row != original}


def near_duplicates(hashes: Hashes, bits: int) -> Mapping[int, int]:
    """Return the rows whose hash differs in at most `bits` bits from that of an earlier row that is kept itself.

    The value is the first such row. Hash 0 belongs to images without any pattern and is like no other.

    Hashes that differ in at most `bits` bits agree wholly in one of `bits` + 1 parts (multi-index hashing; Norouzi,
    Punjani and Fleet, CVPR 2012), so only those that share a part are compared.

    Args:
        hashes: (N,) uint64 perceptual hashes, in the order in which rows are kept.
        bits: Most bits in which the hashes of duplicates differ, of 64; 0 looks for equal hashes.
    """
    values, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    near: dict[int, set[int]] = {}
    for a, b in _candidates(values, bits):
        distance = np.bitwise_count(values[a] ^ values[b])
        for i, j in zip(a[distance <= bits].tolist(), b[distance <= bits].tolist(), strict=True):
            near.setdefault(i, set()).add(j)
            near.setdefault(j, set()).add(i)

    original: dict[int, int] = {}  # value -> row that stands for it
    result: dict[int, int] = {}
    for row, value in enumerate(inverse.tolist()):
        if values[value] == 0:
            continue
        if row == first[value]:
            kept = [int(first[other]) for other in near.get(value, ()) if original.get(other) == first[other]]
            original[value] = min(kept, default=row)
        if original[value] != row:
            result[row] = original[value]
    return result


def _candidates(values: Hashes, bits: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield arrays of indices of sorted hashes that agree in a part, the smaller first; a couple may recur."""
    edges = np.linspace(0, _BITS, bits + 2).astype(int)
    for low, high in pairwise(edges):
        part = (values >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(part, kind="stable")
        starts = np.flatnonzero(np.diff(part[order], prepend=part[order[:1]] + np.uint64(1)))
        for members in np.split(order, starts[1:]):
            # Members ascend, for the values are sorted: each couple comes once, the smaller first.
            for start in range(0, len(members) - 1, _BLOCK):
                a, b = np.meshgrid(members[start : start + _BLOCK], members[start + 1 :], indexing="ij")
                yield a[a < b], b[a < b]
