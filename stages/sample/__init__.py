"""Stage `sample`: where to look. One unit, "sites".

Inputs: the configuration (a list of sites, a file of points, or quotas for the globe). Outputs: `sample/sites.parquet`
(columns and units in `stages.tables.SITES`), `sample/sites.geojson`, and, of sampled points,
`sample/world.png`, a map of them.
Errors: `PermanentError` naming the quota, the point or the file that cannot be met or read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import cv2
from pydantic import BaseModel, ConfigDict, Field
from shapely import wkb
from shapely.geometry import mapping

from pipeline.files import digest_file, write_bytes, write_json
from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from stages.sample.sources import PointFile, Row, SiteList, Source, sampled_points
from stages.tables import SITES, write_table


class SampleParams(BaseModel):
    """Which sites a run has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Source = Field(
        SiteList(), description="A list (kind: list), a file (kind: points), or the globe (kind: globe)."
    )


class SampleStage(Stage[SampleParams]):
    """Choose the sites of the run; see the module."""

    name: ClassVar[str] = "sample"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = SampleParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        source = self.params.source
        inputs = [digest_file(source.path)] if isinstance(source, PointFile) and source.path.is_file() else []
        return [self.unit("sites", {"seed": run.seed}, inputs)]

    def run(self, unit: Unit, workspace: Path) -> Result:
        rows = self.params.source.rows(unit.payload["seed"])
        rows.sort(key=lambda row: (row["point_id"], int(row["site_id"])))
        folder = workspace / "sample"
        write_table(folder / "sites.parquet", rows, SITES)
        write_json(folder / "sites.geojson", _geojson(rows))
        paths = [folder / "sites.parquet", folder / "sites.geojson"]
        if self.params.source.kind != "list":
            write_bytes(folder / "world.png", _world_png(sampled_points(rows)))
            paths.append(folder / "world.png")
        data = {"points": len({row["point_id"] for row in rows}), "sites": len(rows)}
        return Result(tuple(output(workspace, path) for path in paths), data)

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate:
        source = self.params.source
        sites = source.count()
        return Estimate(1, seconds=2 + 0.03 * sites, handed={"raster_pairs": sites, "pixels": source.pixels()})


def _geojson(rows: Sequence[Row]) -> dict[str, object]:
    features = [
        {
            "type": "Feature",
            "geometry": _geometry(row),
            "properties": {key: value for key, value in row.items() if key != "geometry"},
        }
        for row in rows
    ]
    return {"type": "FeatureCollection", "features": features}


def _geometry(row: Row) -> dict[str, object] | None:
    if "geometry" not in row:
        return None
    geometry: dict[str, object] = mapping(wkb.loads(row["geometry"]))
    return geometry


def _world_png(points: Sequence[tuple[float, float, str]]) -> bytes:
    from stages.sample.picture import draw_world
    from stages.sample.world import load_land_share

    picture = draw_world(load_land_share(), points)
    return bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1])
