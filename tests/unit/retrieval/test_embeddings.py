"""Tables of vectors that were made elsewhere: what is read of them, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrieval.benchmark import Items
from retrieval.embeddings import read_embeddings, write_embeddings
from retrieval.errors import RetrievalError

pytestmark = pytest.mark.unit

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)


def items(*ids: str) -> Items:
    return Items(list(ids), np.arange(len(ids)))


def test_names_of_any_script_name_their_vectors(tmp_path: Path) -> None:
    ids = ["Straße 7", "東京タワー", "a\u2028b", "a\x85b"]
    write_embeddings(tmp_path, "ground", ids, VECTORS)
    table = read_embeddings(tmp_path, "ground")
    assert table.take(items(*reversed(ids))).read(0, 4).tolist() == VECTORS[::-1].tolist()


def test_a_table_may_hold_more_than_the_gallery(tmp_path: Path) -> None:
    """One table serves queries and gallery, which may be different images."""
    write_embeddings(tmp_path, "ground", ["q", "g1", "g0", "q1"], VECTORS)
    vectors, order = read_embeddings(tmp_path, "ground").gallery(items("g0", "g1"))
    assert vectors.read(0, 2)[np.argsort(order)].tolist() == VECTORS[[2, 1]].tolist()


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ([[1.0, 2.0], None], "needs an id and an embedding"),
        ([[1.0, 2.0], [1.0]], "all of one length"),
        ([[1.0, 2.0], [1.0, None]], "not finite"),
        ([[1.0, 2.0], [float("nan"), 1.0]], "vector 1 holds a value that is not finite"),
        ([1.0, 2.0], "a list of numbers"),
        ([["a", "b"], ["c", "d"]], "a list of numbers"),
    ],
)
def test_a_damaged_parquet_table_is_named(tmp_path: Path, column: list[Any], what: str) -> None:
    pq.write_table(pa.table({"id": ["a", "b"], "embedding": column}), tmp_path / "text.parquet")
    with pytest.raises(RetrievalError, match=rf"text\.parquet.*{what}"):
        read_embeddings(tmp_path, "text")


def test_other_parquet_tables_are_named(tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    for table in (pa.table({"id": ["a"]}), pa.table({"id": [None], "embedding": [[1.0]]}), pa.table({"x": [1]})):
        pq.write_table(table, path)
        with pytest.raises(RetrievalError, match=r"text\.parquet"):
            read_embeddings(tmp_path, "text")
    path.write_bytes(b"PAR1 broken")
    with pytest.raises(RetrievalError, match=r"text\.parquet"):
        read_embeddings(tmp_path, "text")


def test_other_files_in_place_of_a_table_are_named(tmp_path: Path) -> None:
    write_embeddings(tmp_path, "ground", list("abcd"), VECTORS)
    (tmp_path / "ground.ids.txt").write_bytes(b"a\nb\n\xff\nd\n")
    with pytest.raises(RetrievalError, match=r"ground\.ids\.txt: cannot be read"):
        read_embeddings(tmp_path, "ground")
    np.savez(tmp_path / "several.npz", first=VECTORS, second=VECTORS)
    (tmp_path / "ground.npy").write_bytes((tmp_path / "several.npz").read_bytes())
    with pytest.raises(RetrievalError, match="holds several arrays"):
        read_embeddings(tmp_path, "ground")
    np.save(tmp_path / "ground.npy", VECTORS)
    whole = (tmp_path / "ground.npy").read_bytes()
    (tmp_path / "ground.npy").write_bytes(whole[:-5])
    with pytest.raises(RetrievalError, match="no readable table"):
        read_embeddings(tmp_path, "ground")


def test_an_id_that_stands_twice_is_refused() -> None:
    with pytest.raises(RetrievalError, match="the id a stands twice"):
        items("a", "b", "a")
