"""Files of rows that know what they were measured on: so that results accumulate, and those of several machines join.

A file of rows is Parquet of `ROWS`; its metadata hold a `Batch`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from matcher.benchmark.metrics import corner_error_of
from matcher.benchmark.rows import ROWS
from matcher.errors import InputError
from raster.strict_json import parse_json

_METADATA = b"mapdata:benchmark"
_TOLERANCE_PX = 1e-6


@dataclass(frozen=True)
class Batch:
    """What a file of rows holds.

    Attributes:
        unit: Name of the unit of work that measured it.
        payload: Its payload: matcher, pairs, levels and their parameters, first and last pair.
        settings: Its settings, such as the time limit.
        digests: A digest a pair of the whole set, in its order: of names, images and truth.
        weights: Digest of the matcher's weights files, "" for one without.
        made: `hardware`, `commit` and `day`.
    """

    unit: str
    payload: Mapping[str, Any]
    settings: Mapping[str, Any]
    digests: Sequence[str]
    weights: str
    made: Mapping[str, str]

    @property
    def matcher(self) -> str:
        """Return the name of the matcher."""
        return str(self.payload["matcher"])

    def protocol(self) -> dict[str, Any]:
        """Return what rows must share to be compared: the set of pairs, wherever it lies, and how it is measured."""
        pairs = {name: value for name, value in self.payload["pairs"].items() if name != "path"}
        return {"pairs": pairs, "digests": list(self.digests)}


def schema_of(batch: Batch) -> pa.Schema:
    """Return the schema of a file of rows: `ROWS`, with the batch in its metadata."""
    return ROWS.with_metadata({_METADATA: json.dumps(asdict(batch), sort_keys=True).encode()})


def batches_in(folder: Path) -> Iterator[tuple[Path, Batch]]:
    """Yield the files of rows below a folder, in order. Files of other programs, or of earlier versions, are left out.

    Args:
        folder: Such as `benchmark/rows`; may be absent.
    """
    for path in sorted(folder.rglob("*.parquet")):
        try:
            schema = pq.read_schema(path)
            text = (schema.metadata or {}).get(_METADATA)
            if text is not None and schema.names == ROWS.names:
                yield path, Batch(**parse_json(text))
        except (OSError, pa.ArrowInvalid, ValueError, TypeError):
            continue


def read_rows(paths: Iterable[Path]) -> pa.Table:
    """Read files of rows one after the other. Of rows of one matcher, level and pair the first is kept.

    Raises:
        InputError: A file cannot be read.
    """
    parts = [ROWS.empty_table()]
    for path in paths:
        try:
            parts.append(pq.read_table(path, schema=ROWS, partitioning=None))
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{path}: cannot be read as rows of a benchmark ({error}); measure it again") from error
    return first_of_each(pa.concat_tables(parts))


def first_of_each(rows: pa.Table) -> pa.Table:
    """Return the rows without those of a matcher, level and pair that came before."""
    seen: set[tuple[str, str, str]] = set()
    keys = zip(*(rows[name].to_pylist() for name in ("matcher", "level", "pair")), strict=True)
    fresh = [key not in seen and not seen.add(key) for key in keys]  # type: ignore[func-returns-value]
    return rows.filter(pa.array(fresh, pa.bool_()))


def check_rows(rows: pa.Table) -> list[str]:
    """Return what contradicts itself in rows, as a maintainer checks those of somebody else.

    The corner error must follow from the estimate, the true homography and the size of image 0; and all rows of a level
    and pair must have the same truth.
    """
    wrong = []
    truths: dict[tuple[str, str], list[float]] = {}
    for row in rows.to_pylist():
        name = f"{row['matcher']}, {row['level']}, {row['pair']}"
        if row["truth"] is None:
            if np.isfinite(row["corner_error_px"]):
                wrong.append(f"{name}: has an error but no true homography")
            continue
        known = truths.setdefault((row["level"], row["pair"]), row["truth"])
        if not np.allclose(known, row["truth"], rtol=1e-9, atol=1e-9):
            wrong.append(f"{name}: its true homography is not that of other matchers' rows of this pair")
        estimate = None if row["estimate"] is None else np.reshape(row["estimate"], (3, 3))
        error = corner_error_of(estimate, np.reshape(row["truth"], (3, 3)), row["width"], row["height"])
        said = row["corner_error_px"]
        if not (error == said or abs(error - said) <= _TOLERANCE_PX * max(1.0, error)):
            wrong.append(f"{name}: says {said:.6g} px, its homographies give {error:.6g} px")
    return wrong


def joined(folders: Sequence[Path]) -> list[tuple[Path, Batch]]:
    """Return the files of rows of several folders of results, checked against each other.

    Raises:
        InputError: A folder has none, sets of pairs or levels differ, or rows contradict themselves.
    """
    found: list[tuple[Path, Batch]] = []
    for folder in folders:
        own = list(batches_in(folder / "benchmark" / "rows"))
        if not own:
            raise InputError(
                f"{folder}: has no rows of a benchmark (benchmark/rows/**/*.parquet of this version); give the folder "
                "that was --out or --workspace"
            )
        found += own
    levels: dict[str, Any] = {}
    first_path, first = found[0]
    for path, batch in found:
        if batch.protocol() != first.protocol():
            raise InputError(
                f"{path}: was measured on other pairs than {first_path} (digests or choice of pairs differ): only "
                "results on the same pairs can be merged"
            )
        for level, parameters in batch.payload["parameters"].items():
            if levels.setdefault(level, parameters) != parameters:
                raise InputError(f"{path}: its level {level!r} has other parameters than that of {first_path}")
    if wrong := check_rows(
        pa.concat_tables([pq.read_table(path, schema=ROWS, partitioning=None) for path, _ in found])
    ):
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(f"rows contradict themselves: {wrong[0]}{more}")
    return found
