"""Stage `sample`: where to look -> `sample/sites.parquet`, one row a site (see `stages.tables.SITES`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.stage import Result, RunView, Stage, Unit, output
from stages.sample.listed import SiteByBounds, SiteByRaster, site_rows
from stages.tables import SITES, write_table


class SampleParams(BaseModel):
    """Which sites the dataset covers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sites: tuple[SiteByBounds | SiteByRaster, ...] = Field(
        min_length=1, description="The sites, each by its bounds or by a raster whose extent it takes."
    )


class SampleStage(Stage[SampleParams]):
    """List the sites: one unit, `sites`."""

    name: ClassVar[str] = "sample"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = SampleParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit."""
        return [self.unit("sites", {"seed": run.seed}, [site.identity() for site in self.params.sites])]

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Write the table. Raises PermanentError if two sites have one name or a raster is not georeferenced."""
        path = workspace / "sample" / "sites.parquet"
        rows = site_rows(self.params.sites)
        write_table(path, rows, SITES)
        return Result(
            (output(workspace, path),), {"points": len({row["point_id"] for row in rows}), "sites": len(rows)}
        )
