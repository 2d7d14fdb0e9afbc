"""Stage `clean`: which pairs are fit for use -> `clean/clean.parquet` (see `stages.tables.CLEAN`).

Input: `tiles/**/rows-*.parquet`, whose statistics are all that is looked at: no tile is decoded again. One unit,
`pairs`. Every pair keeps its row; a rejected one has the reasons. The result's data counts pairs by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output, propagated
from stages.clean.duplicates import exact_duplicates, near_duplicates
from stages.clean.rules import RULES, Rule, Thresholds
from stages.tables import CLEAN, PAIRS, pair_tables, read_tables, write_table

_SECONDS_A_PAIR = 0.0001


class CleanParams(BaseModel):
    """What makes a pair unfit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    thresholds: Thresholds = Field(Thresholds(), description="Limits of each rule; a pair beyond one is rejected.")
    near_duplicate_bits: int | None = Field(
        3,
        ge=0,
        le=7,
        description="Visible images whose perceptual hashes (64 bits) differ in at most so many bits are duplicates; "
        "the first is kept. null: only exact duplicates.",
    )


class CleanStage(Stage[CleanParams]):
    """Judge all pairs: one unit, `pairs`, for duplicates are looked for across the whole dataset."""

    name: ClassVar[str] = "clean"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = CleanParams
    reads: ClassVar[tuple[str, ...]] = ("tile",)
    rules: ClassVar[Mapping[str, Rule]] = RULES

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit."""
        tables = pair_tables(run)
        return [self.unit("pairs", {"tables": [table.path for table in tables]}, [table.digest for table in tables])]

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return one unit, its seconds in proportion to the pairs that the estimate of `tile` propagates."""
        amounts = propagated(before, "tile")
        return Estimate(1, seconds=amounts.get("pairs", 0) * _SECONDS_A_PAIR, propagated=amounts)

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Judge the pairs. Raises PermanentError if a table cannot be read."""
        columns = [name for name in PAIRS.names if name not in ("geometry", "homography", "transform", "crs")]
        pairs = read_tables([workspace / path for path in unit.payload["tables"]], PAIRS, columns).sort_by("pair_id")
        reasons = judge(pairs, self.params, self.rules)
        verdicts = ["rejected" if found else "accepted" for found in reasons]
        table = pa.table([pairs["pair_id"], pa.array(verdicts), pa.array(reasons, CLEAN.field("reasons").type)], CLEAN)
        path = workspace / "clean" / "clean.parquet"
        write_table(path, table, CLEAN)
        counts = Counter(reason.split(":")[0] for found in reasons for reason in found)
        data = {
            "pairs": len(reasons),
            "accepted": verdicts.count("accepted"),
            "rejected_by": dict(sorted(counts.items())),
        }
        return Result((output(workspace, path),), data)


def judge(pairs: pa.Table, params: CleanParams, rules: Mapping[str, Rule] = RULES) -> list[list[str]]:
    """Return the reasons against each pair of a table of `stages.tables.PAIRS`, none if it is fit.

    Of duplicates the first in the order of the table is kept; what a rule rejects is no duplicate of anything.

    Args:
        pairs: Table of `stages.tables.PAIRS`, of the whole dataset: duplicates are looked for across sites.
        params: Thresholds, and how many bits near duplicates may differ in (None: not looked for).
        rules: By the name that their reasons begin with; all of them judge each pair.

    Returns:
        A list a row, in the order of the table.
    """
    reasons: list[list[str]] = [[] for _ in range(pairs.num_rows)]
    for name, rule in rules.items():
        for index, text in rule(pairs, params.thresholds).items():
            reasons[index].append(f"{name}: {text}")
    ids = pairs["pair_id"].to_pylist()
    finders: dict[str, Callable[[pa.Table], Mapping[int, int]]] = {"exact duplicate": exact_duplicates}
    if (bits := params.near_duplicate_bits) is not None:
        finders["near duplicate"] = lambda table: near_duplicates(table["visible_hash"].to_numpy(), bits)
    for name, find in finders.items():
        fit = np.flatnonzero([not found for found in reasons])
        for later, first in find(pairs.take(fit)).items():
            reasons[fit[later]].append(f"{name}: same visible image as {ids[fit[first]]}")
    return reasons
