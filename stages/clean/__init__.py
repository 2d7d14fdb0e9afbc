"""Stage `clean`: which pairs are fit for use -> `clean/clean.parquet` (see `stages.tables.CLEAN`).

Inputs: `tiles/**/rows-*.parquet`, whose statistics are all that is looked at: no tile is decoded again; what people say
of pairs, `verdicts/<point>/<site>.tiles.csv`, and of whole sites (stage `review`). One unit, `pairs`. Every pair keeps
its row; a rejected one has the reasons. The result's data counts pairs by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from pipeline.files import digest_file
from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, output, propagated
from stages.clean.duplicates import exact_duplicates, near_duplicates
from stages.clean.people import SaidOfPair, said_of_pairs
from stages.clean.rules import RULES, Rule, Thresholds
from stages.review import review_of
from stages.review.verdicts import read_tile_verdicts, tiles_file
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
    version: ClassVar[int] = 2
    Params: ClassVar[type[BaseModel]] = CleanParams
    reads: ClassVar[tuple[str, ...]] = ("align", "review", "tile")
    rules: ClassVar[Mapping[str, Rule]] = RULES

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit."""
        tables, aligned = pair_tables(run), run.read("align")
        sites = list(dict.fromkeys(name.rpartition("/")[0] for name in run.read("tile")))
        reviews = {
            name: review_of(run, name, aligned[name].outcome is Outcome.DONE) for name in sites if name in aligned
        }
        rejected = {name: review.sentence for name, review in reviews.items() if review.rejected_by_person}
        judged = [name for name in sites if tiles_file(run.workspace, name).is_file()]
        payload = {"tables": [table.path for table in tables], "judged": judged, "rejected": rejected}
        digests = [digest_file(tiles_file(run.workspace, name)) for name in judged]
        return [self.unit("pairs", payload, [*(table.digest for table in tables), *digests])]

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return one unit, its seconds in proportion to the pairs that the estimate of `tile` propagates."""
        amounts = propagated(before, "tile")
        return Estimate(1, seconds=amounts.get("pairs", 0) * _SECONDS_A_PAIR, propagated=amounts)

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Judge the pairs. Raises PermanentError if a table or a verdict cannot be read."""
        columns = [name for name in PAIRS.names if name not in ("geometry", "homography", "transform", "crs")]
        pairs = read_tables([workspace / path for path in unit.payload["tables"]], PAIRS, columns).sort_by("pair_id")
        asked = unit.payload
        verdicts_of_people = [
            verdict for name in asked["judged"] for verdict in read_tile_verdicts(tiles_file(workspace, name))
        ]
        said, lapsed = said_of_pairs(pairs, verdicts_of_people, asked["rejected"])
        reasons = judge(pairs, self.params, self.rules, said)
        verdicts = ["rejected" if found else "accepted" for found in reasons]
        people = [said[row] if row in said else SaidOfPair() for row in range(pairs.num_rows)]
        columns = [
            pairs["pair_id"],
            pa.array(verdicts),
            pa.array(reasons, CLEAN.field("reasons").type),
            pa.array([each.review for each in people], pa.string()),
            pa.array([each.operator for each in people], pa.string()),
        ]
        table = pa.table(columns, schema=CLEAN)
        path = workspace / "clean" / "clean.parquet"
        write_table(path, table, CLEAN)
        counts = Counter(reason.split(":")[0] for found in reasons for reason in found)
        data = {
            "pairs": len(reasons),
            "accepted": verdicts.count("accepted"),
            "rejected_by": dict(sorted(counts.items())),
        }
        if verdicts_of_people:
            data |= {"judged_by_people": len(verdicts_of_people) - lapsed, "lapsed_verdicts": lapsed}
        return Result((output(workspace, path),), data)


def judge(
    pairs: pa.Table,
    params: CleanParams,
    rules: Mapping[str, Rule] = RULES,
    said: Mapping[int, SaidOfPair] | None = None,
) -> list[list[str]]:
    """Return the reasons against each pair of a table of `stages.tables.PAIRS`, none if it is fit.

    Of duplicates the first in the order of the table is kept; what a rule rejects is no duplicate of anything. What a
    person keeps no rule rejects, nor does its likeness to another image; an exact duplicate stays one.

    Args:
        pairs: Table of `stages.tables.PAIRS`, of the whole dataset: duplicates are looked for across sites.
        params: Thresholds, and how many bits near duplicates may differ in (None: not looked for).
        rules: By the name that their reasons begin with; all of them judge each pair.
        said: What people say of pairs, by row; nothing by default.

    Returns:
        A list a row, in the order of the table.
    """
    said = said or {}
    reasons: list[list[str]] = [[] for _ in range(pairs.num_rows)]
    for name, rule in rules.items():
        for index, text in rule(pairs, params.thresholds).items():
            reasons[index].append(f"{name}: {text}")
    for index, each in said.items():
        kept = [] if each.review == "keep" else reasons[index]
        reasons[index] = [*kept, *each.reasons]
    ids = pairs["pair_id"].to_pylist()
    finders: dict[str, Callable[[pa.Table], Mapping[int, int]]] = {"exact duplicate": exact_duplicates}
    if (bits := params.near_duplicate_bits) is not None:
        finders["near duplicate"] = lambda table: near_duplicates(table["visible_hash"].to_numpy(), bits)
    for name, find in finders.items():
        fit = np.flatnonzero([not found for found in reasons])
        for later, first in find(pairs.take(fit)).items():
            row = int(fit[later])
            if name != "near duplicate" or row not in said or said[row].review != "keep":
                reasons[row].append(f"{name}: same visible image as {ids[fit[first]]}")
    return reasons
