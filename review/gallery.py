"""All pairs of tiles of a workspace, to be filtered, looked at and judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger import Ledger
from review.errors import Refused
from review.sites import Sites
from stages.review.verdicts import TileVerdict, read_tile_verdicts, tiles_file
from stages.tables import CLEAN, PAIRS, SPLIT, read_tables

_MEASURED = [name for name, kind in zip(PAIRS.names, PAIRS.types, strict=True) if pa.types.is_float32(kind)]
STATISTICS = (*_MEASURED, "residual_px")
_PAUSE_SECONDS = 10.0
"""The least time between two looks into the ledger: beside a run it changes all the time."""

MAX_ROWS = 300
"""Rows given at once."""

_COLUMNS = [
    *("pair_id", "point_id", "site_id", "row", "col", "size", "format", "map_path", "visible_path", "index"),
    *("map_digest", "visible_digest", "method"),
    *STATISTICS,
]


@dataclass(frozen=True)
class Query:
    """What to show: empty texts and None stand for all.

    Attributes:
        site: "001/1".
        split: train, val, test.
        verdict: accepted, rejected.
        rule: Name that reasons start with.
        person: keep, reject, any (judged by a person), none.
        statistic: One of `STATISTICS`, by which `low` and `high` limit and `descending` orders.
        low: Least value.
        high: Greatest value.
        descending: Order by the statistic, greatest first; None: by id.
        text: Part of the id.
    """

    site: str = ""
    split: str = ""
    verdict: str = ""
    rule: str = ""
    person: str = ""
    statistic: str = ""
    low: float | None = None
    high: float | None = None
    descending: bool | None = None
    text: str = ""


class Gallery:
    """The table of pairs, read again when the run has made another. May be called from several threads."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._lock = threading.RLock()
        self._made_of: object = None
        self._looked = -1, -_PAUSE_SECONDS
        self._table = PAIRS.empty_table()
        self._choices: dict[str, Any] = {}
        self._verdicts: dict[str, TileVerdict] = {}
        self._version = 0
        self._find = lru_cache(maxsize=8)(self._filtered)

    def prepare(self) -> None:
        """Read the table."""
        with self._lock:
            self._refresh()

    def summary(self, query: Query, count: int = 0) -> dict[str, Any]:
        """Return how many pairs there are, what a query finds of them, and what can be chosen.

        Args:
            query: Which pairs, and their order.
            count: How many of the first rows to give.

        Returns:
            JSON-able: `total`, `found`, `rows` (see `rows`), `judged` by people, and the choices of filters.
        """
        with self._lock:
            self._refresh()
            found = {"total": self._table.num_rows, "found": len(self._find(query, self._version))}
            return found | self._choices | {"judged": len(self._verdicts), "rows": self.rows(query, 0, count)}

    def rows(self, query: Query, offset: int, count: int) -> list[dict[str, Any]]:
        """Return some of the rows that a query finds, at most `MAX_ROWS`.

        Args:
            query: Which pairs, and their order.
            offset: Rows to skip.
            count: Rows wanted.

        Returns:
            JSON-able, without the paths of files. `person` is what a person said of the pair, or None; `lapsed` in it
            tells that a tile has changed since. `seen` names the tiles themselves.
        """
        with self._lock:
            self._refresh()
            chosen = self._find(query, self._version)[max(offset, 0) : max(offset, 0) + min(max(count, 0), MAX_ROWS)]
            found = self._table.take(pa.array(chosen)).to_pylist()
            for row in found:
                said = self._verdicts.get(row["pair_id"])
                person = None
                if said is not None:
                    lapsed = (said.map_digest, said.visible_digest) != (row["map_digest"], row["visible_digest"])
                    words = {"verdict": said.verdict, "reason": said.reason, "operator": said.operator}
                    person = words | {"date": said.date, "lapsed": lapsed}
                row["person"] = person
                row["seen"] = seen(row)
                for name in ("map_path", "visible_path"):
                    del row[name]
            return found

    def count(self, query: Query) -> int:
        """Return how many pairs a query finds."""
        with self._lock:
            self._refresh()
            return len(self._find(query, self._version))

    def found(self, query: Query) -> dict[str, str]:
        """Return the ids of all pairs that a query finds, and of each which tiles it has now: see `seen`."""
        with self._lock:
            self._refresh()
            columns = self._table.select(["pair_id", "map_digest", "visible_digest"])
            chosen = columns.take(pa.array(self._find(query, self._version)))
            return {row["pair_id"]: seen(row) for row in chosen.to_pylist()}

    def row(self, pair_id: str) -> Mapping[str, Any]:
        """Return the row of a pair. Raises Refused (404) where there is none."""
        with self._lock:
            self._refresh()
            number = self._number.get(pair_id)
            if number is None:
                raise Refused(404, "there is no such pair")
            found: Mapping[str, Any] = self._table.slice(number, 1).to_pylist()[0]
            return found

    def judged(self, name: str) -> list[TileVerdict]:
        """Return the verdicts on pairs of a site, as they are on disk."""
        return read_tile_verdicts(tiles_file(self._sites.root, name))

    def said(self, name: str, verdicts: Sequence[TileVerdict]) -> None:
        """Take note of the verdicts that a site has now.

        Args:
            name: The site, such as "001/1".
            verdicts: All of them; those known before of this site are forgotten.
        """
        with self._lock:
            point, _, site = name.partition("/")
            start = f"{point}_{site}_"
            others = {key: said for key, said in self._verdicts.items() if not key.startswith(start)}
            self._verdicts = others | {said.pair_id: said for said in verdicts}
            self._version += 1

    def _refresh(self) -> None:
        self._sites.all()
        version, when = self._looked
        if version == self._sites.version or time.monotonic() - when < _PAUSE_SECONDS:
            return
        with Ledger(self._sites.workspace.ledger, read_only=True) as ledger:
            results = {stage: ledger.results(stage) for stage in ("tile", "clean", "split")}
        outputs = {
            stage: [e for r in made.values() for e in r.outputs if e.path.endswith(".parquet")]
            for stage, made in results.items()
        }
        made_of = {stage: [entry.digest for entry in entries] for stage, entries in outputs.items()}
        self._looked = self._sites.version, time.monotonic()
        if made_of == self._made_of:
            return
        paths = {stage: [self._sites.root / entry.path for entry in entries] for stage, entries in outputs.items()}
        self._load(paths)
        self._made_of = made_of

    def _load(self, paths: Mapping[str, Sequence[Path]]) -> None:
        table = read_tables(paths["tile"], PAIRS, _COLUMNS).sort_by("pair_id").combine_chunks()
        clean, split = read_tables(paths["clean"], CLEAN), read_tables(paths["split"], SPLIT)
        for name, other in (("verdict", clean), ("reasons", clean), ("split", split)):
            where = pc.index_in(table["pair_id"], other["pair_id"])
            table = table.append_column(name, other[name].take(where))
        self._table = table
        self._site = pc.binary_join_element_wise(table["point_id"], table["site_id"], "/")
        self._rejected_by = _by_rule(table["reasons"])
        self._number = {pair_id: number for number, pair_id in enumerate(table["pair_id"].to_pylist())}
        sites = pc.unique(self._site).to_pylist()
        self._choices = {
            "sites": sorted(sites),
            "splits": [name for name in pc.unique(table["split"]).to_pylist() if name],
            "rules": {rule: len(rows) for rule, rows in self._rejected_by.items()},
            "statistics": STATISTICS,
        }
        self._verdicts = {said.pair_id: said for name in sites for said in self.judged(name)}
        self._version += 1

    def _filtered(self, query: Query, version: int) -> NDArray[np.intp]:
        """Return the numbers of the rows that a query finds, in its order."""
        table = self._table
        chosen = np.ones(table.num_rows, bool)
        for name, value in (("split", query.split), ("verdict", query.verdict)):
            if value:
                chosen &= _true(pc.equal(table[name], value))
        if query.site:
            chosen &= _true(pc.equal(self._site, query.site))
        if query.text:
            chosen &= _true(pc.match_substring(table["pair_id"], query.text))
        if query.rule:
            rejected = np.zeros(len(chosen), bool)
            rejected[self._rejected_by.get(query.rule, [])] = True
            chosen &= rejected
        if query.person:
            chosen &= self._by_people(query.person)
        if not query.statistic:
            return np.flatnonzero(chosen)
        if query.statistic not in STATISTICS:
            raise Refused(422, f"there is no statistic {query.statistic[:40]!r}")
        values = np.asarray(table[query.statistic].to_numpy(zero_copy_only=False), np.float64)
        with np.errstate(invalid="ignore"):
            if query.low is not None:
                chosen &= values >= query.low
            if query.high is not None:
                chosen &= values <= query.high
        rows = np.flatnonzero(chosen)
        if query.descending is None:
            return rows
        keys = -values[rows] if query.descending else values[rows]
        return rows[np.argsort(keys, kind="stable")]

    def _by_people(self, person: str) -> NDArray[np.bool_]:
        judged = np.zeros(self._table.num_rows, bool)
        for pair_id, said in self._verdicts.items():
            if pair_id in self._number and person in (said.verdict, "any", "none"):
                judged[self._number[pair_id]] = True
        return ~judged if person == "none" else judged


def seen(row: Mapping[str, Any]) -> str:
    """Return which tiles a row means: a verdict on them is none on those that a run cut since."""
    return f"{row['map_digest'][:16]}-{row['visible_digest'][:16]}"


def _by_rule(reasons: pa.ChunkedArray) -> dict[str, NDArray[np.intp]]:
    """Return the numbers of the rows that each rule rejects, by its name: what reasons start with, up to a colon."""
    together = reasons.combine_chunks()
    rows = pc.list_parent_indices(together).to_numpy()
    names = pc.replace_substring_regex(pc.list_flatten(together), ":.*", "").to_numpy(zero_copy_only=False)
    return {str(rule): np.unique(rows[names == rule]) for rule in sorted(set(names))}


def _true(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), bool)
