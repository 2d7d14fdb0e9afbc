"""Encoding items in batches. Vectors are kept by the digest of what was encoded, so nothing is encoded twice.

The cache is one SQLite file. Every batch is committed, so that a killed run goes on where it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from retrieval.benchmark import Items, Modality
from retrieval.embeddings import Embeddings
from retrieval.encoders.base import Encoder
from retrieval.errors import RetrievalError
from retrieval.images import read_image
from retrieval.vectors import Float32, Vectors

Progress = Callable[[int, int], None]


class VectorCache:
    """Vectors by key, in a file or, without a path, in memory."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the file.

        Raises:
            RetrievalError: The file is no cache.
        """
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path or ":memory:", timeout=60)
        try:
            self._file.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        except sqlite3.DatabaseError as error:
            raise RetrievalError(f"{path}: is no cache of vectors ({error}); delete it or name another file") from error

    def get(self, key: bytes) -> Float32 | None:
        """Return the vector of a key, None if it is not there."""
        row = self._file.execute("SELECT value FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else np.frombuffer(row[0], np.float32)

    def put(self, keys: Sequence[bytes], vectors: Float32) -> None:
        """Keep vectors; they are on disk when this returns.

        Args:
            keys: One a vector; what a key had before is replaced.
            vectors: (N, D), stored as float32.
        """
        rows = [(key, vector.astype(np.float32).tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        with self._file:
            self._file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def opened_cache(path: Path | None) -> Iterator[VectorCache]:
    """Open a cache and close it at the end."""
    with closing(VectorCache(path)) as cache:
        yield cache


def encode_items(
    encoder: Encoder, modality: Modality, items: Items, cache: VectorCache, progress: Progress | None = None
) -> Float32:
    """Encode all items of one modality.

    Args:
        encoder: The encoder.
        modality: Of the items.
        items: With their contents, or for coordinates with their places.
        cache: Where vectors are looked for and kept.
        progress: Is told how many of how many are done, after every batch.

    Returns:
        (N, D) float32, in the order of the items.

    Raises:
        RetrievalError: The encoder does not encode this modality, or an item cannot be read.
    """
    if modality not in encoder.modalities:
        known = ", ".join(sorted(encoder.modalities))
        raise RetrievalError(f"the encoder {encoder.name} does not encode {modality}; it encodes {known}")
    if not len(items):
        raise RetrievalError(f"there are no {modality} items to encode")
    found: list[Float32] = []
    for start in range(0, len(items), encoder.batch):
        positions = range(start, min(start + encoder.batch, len(items)))
        found += _batch(encoder, modality, items, positions, cache)
        if progress is not None:
            progress(positions.stop, len(items))
    return np.stack(found)


def encode_sides(
    encoder: Encoder, sides: Mapping[Modality, Items], cache: VectorCache, progress: Progress | None = None
) -> dict[Modality, Embeddings]:
    """Encode the queries, or the galleries, of a benchmark: a table for each modality that the encoder can encode.

    Args:
        encoder: The encoder.
        sides: Items by modality; vectors are of unit length, so that scores are cosine similarities.
        cache: Where vectors are looked for and kept.
        progress: Is told how many of how many items of a modality are done.
    """
    tables: dict[Modality, Embeddings] = {}
    for name, items in sides.items():
        if name in encoder.modalities and len(items):
            vectors = encode_items(encoder, name, items, cache, progress)
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            rows = {each: row for row, each in enumerate(items.ids)}
            tables[name] = Embeddings(Vectors.of(vectors), rows, encoder.name)
    return tables


def _batch(encoder: Encoder, modality: Modality, items: Items, positions: range, cache: VectorCache) -> list[Float32]:
    contents = [_content(items, modality, position) for position in positions]
    seed = f"{encoder.identity}\0{modality}\0".encode()
    keys = [blake3(seed + _bytes(content)).digest() for content in contents]
    vectors = [cache.get(key) for key in keys]
    missing = [n for n, vector in enumerate(vectors) if vector is None]
    if missing:
        made = _encoded(encoder, modality, [contents[n] for n in missing])
        cache.put([keys[n] for n in missing], made)
        for n, vector in zip(missing, made, strict=True):
            vectors[n] = vector
    return [vector for vector in vectors if vector is not None]


def _content(items: Items, modality: Modality, position: int) -> Any:
    if modality == "coordinates":
        if items.lonlat is None:
            raise RetrievalError("the items of coordinates have no coordinates")
        return items.lonlat[position]
    if items.content is None:
        raise RetrievalError(f"the {modality} items have no content that could be encoded")
    return items.content(position)


def _bytes(content: Any) -> bytes:
    if isinstance(content, Path):
        try:
            return content.read_bytes()
        except OSError as error:
            raise RetrievalError(f"{content}: cannot be read ({error}); verify the dataset") from error
    return content.encode() if isinstance(content, str) else np.asarray(content, np.float64).tobytes()


def _encoded(encoder: Encoder, modality: Modality, contents: Sequence[Any]) -> Float32:
    if modality == "coordinates":
        made = encoder.encode_places(np.array(contents, np.float64))
    elif modality == "text":
        made = encoder.encode_texts(contents)
    else:
        made = encoder.encode_images([read_image(path) for path in contents], modality)
    vectors = np.asarray(made, np.float32)
    if vectors.ndim != 2 or len(vectors) != len(contents) or not np.isfinite(vectors).all():
        raise RetrievalError(
            f"the encoder {encoder.name} gave {vectors.shape} for {len(contents)} {modality} items, or values that are "
            "not finite; it must give (N, D)"
        )
    return vectors
