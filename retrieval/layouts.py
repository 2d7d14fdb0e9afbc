"""Datasets of several layouts, read by one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from retrieval.benchmark import Benchmark
from retrieval.errors import RetrievalError
from retrieval.official import read_official
from retrieval.other_sets import read_cvusa, read_university
from retrieval.release import read_release

LAYOUTS: Mapping[str, Callable[[Path], Benchmark]] = {
    "release": read_release,
    "mmlandmarks": read_official,
    "university-1652": read_university,
    "university-1652-street": partial(read_university, ground="street"),
    "cvusa": read_cvusa,
}
"""Name of a layout -> its reader. A reader takes the dataset's folder."""

_SIGNS = {
    "release": "manifest.parquet",
    "mmlandmarks": "query/mml_query.csv",
    "university-1652": "test/query_drone",
    "cvusa": "splits/val-19zl.csv",
}


def read_dataset(root: Path, layout: str | None = None) -> Benchmark:
    """Read a dataset.

    Args:
        root: Its folder.
        layout: One of `LAYOUTS`; None to tell by the files.

    Raises:
        RetrievalError: The layout is unknown, or the dataset cannot be read.
    """
    if layout is None:
        found = [name for name, sign in _SIGNS.items() if (root / sign).exists()]
        if not found:
            signs = ", ".join(f"{name}: {sign}" for name, sign in _SIGNS.items())
            raise RetrievalError(f"{root}: is of no known layout; looked for {signs}")
        layout = found[0]
    if layout not in LAYOUTS:
        raise RetrievalError(f"no layout {layout!r}; there are: {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](root)
