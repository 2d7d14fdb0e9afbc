"""Stage `resolve`: candidates -> landmarks whose pages exist, with category, state and the title of each page.

Input: the candidates of `select`. Output, a unit for each 50 candidates: `landmarks/resolve/<number>/landmarks.parquet`
and `rejected.parquet` (see `stages.landmarks.tables`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from stages.landmarks.ground import per_landmark
from stages.landmarks.sources import AnyPages, key_params, problems_of
from stages.landmarks.tables import LANDMARKS, REJECTED, outputs_named, rows_of
from stages.tables import write_table

BATCH = 50
"""Candidates a unit: as many ids as Wikidata answers at once."""


class ResolveParams(BaseModel):
    """Where pages are looked up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: AnyPages = Field(description="What knows the pages of a landmark.")


class ResolveStage(Stage[ResolveParams]):
    """Resolve candidates; a unit is 50 of them."""

    name: ClassVar[str] = "resolve"
    version: ClassVar[int] = 2
    Params: ClassVar[type[BaseModel]] = ResolveParams
    reads: ClassVar[tuple[str, ...]] = ("select",)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the batches."""
        tables = outputs_named(run.read("select"), "candidates.parquet")
        rows = rows_of(run.workspace, [table.path for table in tables], LANDMARKS)
        unique = {row["landmark_id"]: row for row in rows}
        ordered = [unique[key] for key in sorted(unique)]
        return [
            self.unit(
                f"{start // BATCH:05d}",
                {"candidates": ordered[start : start + BATCH]},
                weight=len(ordered[start : start + BATCH]),
            )
            for start in range(0, len(ordered), BATCH)
        ]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Resolve a batch."""
        landmarks, rejected = self.params.source.resolved(unit.payload["candidates"], workspace)
        folder = workspace / "landmarks" / "resolve" / unit.name
        write_table(folder / "landmarks.parquet", sorted(landmarks, key=lambda row: str(row["landmark_id"])), LANDMARKS)
        rejected = sorted(rejected, key=lambda row: (str(row["osm_type"]), int(row["osm_id"])))
        write_table(folder / "rejected.parquet", rejected, REJECTED)
        made = tuple(output(workspace, folder / name) for name in ("landmarks.parquet", "rejected.parquet"))
        return Result(made, {"landmarks": len(landmarks), "rejected": len(rejected)})

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return what is wrong with the source: a contact that is not yours, a folder that is missing."""
        return problems_of(self.params)

    def key_params(self) -> Any:
        """Return the params, those that no result depends on left out."""
        return key_params(self.params)

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Count batches and requests."""
        found = per_landmark(before, "select", self.params.source, 0.001, 500)
        return found and replace(found, units=-(-found.units // BATCH))
