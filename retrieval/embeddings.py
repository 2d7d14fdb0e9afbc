"""Embeddings made elsewhere: a folder with a table of vectors for each modality.

`ground.npy` (N, D) with `ground.ids.txt`, a line an id; or `ground.parquet` with the columns `id` and `embedding`. The
same for `satellite`, `text` and `coordinates`. One table serves queries and gallery; its order is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrieval.benchmark import Items, Modality
from retrieval.errors import RetrievalError
from retrieval.vectors import Float32, Vectors

_BLOCK = 65_536
"""Rows that are read at once."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The embeddings of one modality: vectors (N, D), and the row of each id."""

    vectors: Vectors
    rows: dict[str, int]
    where: Path | str

    def take(self, items: Items) -> Vectors:
        """Return the vectors of items, in their order and in memory.

        Raises:
            RetrievalError: An item has no embedding.
        """
        wanted = self._rows_of(items)
        taken = np.empty((len(wanted), self.vectors.shape[1]), np.float32)
        for start in range(0, len(self.vectors), _BLOCK):
            inside = (wanted >= start) & (wanted < start + _BLOCK)
            if inside.any():
                taken[inside] = self.vectors.read(start, start + _BLOCK)[wanted[inside] - start]
        return Vectors.of(taken)

    def gallery(self, items: Items) -> tuple[Vectors, np.ndarray]:
        """Return the vectors of a gallery, and the position in it of each of them.

        A table that holds nothing else is searched as it lies, so that one in a file may be larger than memory.

        Args:
            items: The whole gallery.

        Returns:
            Vectors (N, D) of the N items, and (N,) int64.

        Raises:
            RetrievalError: The table lacks an item.
        """
        wanted = self._rows_of(items)
        if len(wanted) != len(self.vectors):
            return self.take(items), np.arange(len(wanted))
        order = np.empty(len(wanted), np.int64)
        order[wanted] = np.arange(len(wanted))
        return self.vectors, order

    def _rows_of(self, items: Items) -> np.ndarray:
        missing = [name for name in items.ids if name not in self.rows]
        if missing:
            raise RetrievalError(f"{self.where}: no embedding of {missing[0]} and {len(missing) - 1} more items")
        return np.array([self.rows[name] for name in items.ids], np.int64)


def has_embeddings(folder: Path, modality: Modality) -> bool:
    """Tell whether there is a table of a modality.

    Args:
        folder: Folder of embeddings, see the module.
        modality: One of a benchmark's modalities; it names the file.
    """
    return (folder / f"{modality}.npy").is_file() or (folder / f"{modality}.parquet").is_file()


def read_embeddings(folder: Path, modality: Modality) -> Embeddings:
    """Read the table of a modality.

    Args:
        folder: Folder of embeddings, see the module; `.npy` is preferred where both forms are there.
        modality: One of a benchmark's modalities; it names the file.

    Returns:
        The table; vectors of a `.npy` stay in the file and are read when asked for, those of a Parquet table are in
        memory.

    Raises:
        RetrievalError: There is none, it is damaged, or an id stands twice.
    """
    table, ids = folder / f"{modality}.npy", folder / f"{modality}.ids.txt"
    if table.is_file():
        if not ids.is_file():
            raise RetrievalError(f"{ids}: missing; it names the rows of {table.name}, a line an id")
        return _named(Vectors.from_file(table), _lines(ids), table)
    parquet = folder / f"{modality}.parquet"
    if parquet.is_file():
        return _named(*_from_parquet(parquet), parquet)
    raise RetrievalError(f"{folder}: neither {modality}.npy nor {modality}.parquet; encode the {modality} items first")


def write_embeddings(folder: Path, modality: Modality, ids: list[str], vectors: Float32) -> None:
    """Write the table of a modality as `.npy` with its ids.

    Args:
        folder: Made if missing.
        modality: Names the files.
        ids: One a vector, without line breaks.
        vectors: (N, D) of any length; written as float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{modality}.npy", np.ascontiguousarray(vectors, np.float32))
    (folder / f"{modality}.ids.txt").write_text("".join(f"{name}\n" for name in ids), encoding="utf-8")


def _lines(path: Path) -> list[str]:
    try:
        # Not splitlines(): ids may hold characters that it takes for the end of a line, too.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RetrievalError(f"{path}: cannot be read ({error}); write a line an id, in UTF-8") from error
    return lines if lines[-1] else lines[:-1]


def _named(vectors: Vectors, ids: list[str], where: Path) -> Embeddings:
    if len(ids) != len(vectors):
        raise RetrievalError(f"{where}: {len(vectors)} vectors but {len(ids)} ids")
    rows = {name: row for row, name in enumerate(ids)}
    if len(rows) != len(ids):
        twice = next(name for row, name in enumerate(ids) if rows[name] != row)
        raise RetrievalError(f"{where}: the id {twice} stands twice")
    return Embeddings(vectors, rows, where)


def _from_parquet(path: Path) -> tuple[Vectors, list[str]]:
    try:
        table = pq.read_table(path, columns=["id", "embedding"])
        ids, column = table["id"].to_pylist(), table["embedding"].combine_chunks()
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    except (OSError, ValueError, pa.ArrowException, KeyError) as error:
        raise RetrievalError(f"{path}: needs the columns id, and embedding, a list of numbers ({error})") from error
    if None in ids or None in lengths or len(lengths) != 1:
        raise RetrievalError(f"{path}: every row needs an id and an embedding, all of one length; lengths: {lengths}")
    try:
        return Vectors.of(flat.reshape(len(column), -1)), ids
    except RetrievalError as error:
        raise RetrievalError(f"{path}: {error}") from error


def joined(parts: Sequence[Path]) -> Embeddings:
    """Join Parquet tables of one modality that hold different items, and divide all vectors by their lengths.

    Args:
        parts: One or more files with the columns `id` and `embedding`.

    Returns:
        A table in memory, so that scores are cosine similarities; a vector of zeros stays one.

    Raises:
        RetrievalError: A file is damaged, an id stands twice, or lengths differ.
    """
    whole, ids = np.zeros((0, 0), np.float32), list[str]()
    for path in parts:
        vectors, names = _from_parquet(path)
        if not ids:
            rows = sum(pq.read_metadata(each).num_rows for each in parts)
            whole = np.empty((rows, vectors.shape[1]), np.float32)
        if vectors.shape[1] != whole.shape[1]:
            raise RetrievalError(f"{path}: embeddings of another length than those beside it; make them anew")
        part = vectors.read(0, len(vectors))
        lengths = np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
        whole[len(ids) : len(ids) + len(part)] = part / lengths
        ids += names
    return _named(Vectors.of(whole), ids, parts[0].parent)
