"""Stage `sample`: where to look. One unit, "sites".

Inputs: the configuration (a list of sites, a file of points, or quotas for the globe). Outputs: `sample/sites.parquet`
(GeoParquet; columns and units in `stages.tables.SITES`), `sample/sites.geojson` and, of sampled points,
`sample/world.png`, a map of them. Errors: `PermanentError` naming the quota, the site or the file that is at fault.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
from pydantic import BaseModel, ConfigDict, Field, model_validator
from shapely import get_coordinates, wkb
from shapely.geometry import mapping

from pipeline.files import write_bytes, write_json
from pipeline.stage import Estimate, Result, RunView, Stage, Unit, output
from raster.longitude import ground_polygon, split_at_antimeridian
from stages.sample.listed import SiteByBounds, SiteByRaster, site_rows
from stages.sample.sampled import Globe, PointFile, Row, sampled_points
from stages.tables import SITES, write_table

_GEOPARQUET = json.dumps(
    {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"]}},
    }
)


class SampleParams(BaseModel):
    """Which sites the dataset covers: one of the three fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sites: tuple[SiteByBounds | SiteByRaster, ...] = Field(
        default=(), description="The sites one by one, each by its bounds or by a raster whose extent it takes."
    )
    globe: Globe | None = Field(default=None, description="Sites round points drawn over the land of the globe.")
    points: PointFile | None = Field(default=None, description="Sites round the points of a file.")

    @model_validator(mode="after")
    def _one_of_three(self) -> SampleParams:
        if sum(map(bool, (self.sites, self.globe, self.points))) != 1:
            raise ValueError("give exactly one of sites, globe, points")
        return self


class SampleStage(Stage[SampleParams]):
    """Choose the sites of the run; see the module."""

    name: ClassVar[str] = "sample"
    version: ClassVar[int] = 3
    Params: ClassVar[type[BaseModel]] = SampleParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return the one unit."""
        files = [path for site in self.params.sites for path in site.files()]
        if self.params.points is not None:
            files.append(self.params.points.path)
        return [self.unit("sites", {"seed": run.seed}, [run.digest(path) for path in files])]

    def key_params(self) -> Any:
        """Return the params without the places of files, whose contents count instead."""
        return self.params.model_dump(mode="json", exclude={"sites": {"__all__": {"raster"}}, "points": {"path"}})

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Choose the sites and write the tables."""
        rows = self._rows(unit.payload["seed"])
        folder = workspace / "sample"
        write_table(folder / "sites.parquet", rows, SITES.with_metadata({"geo": _GEOPARQUET}))
        write_json(folder / "sites.geojson", _geojson(rows))
        paths = [folder / "sites.parquet", folder / "sites.geojson"]
        if not self.params.sites:
            write_bytes(folder / "world.png", _world_png(rows))
            paths.append(folder / "world.png")
        data = {"points": len({row["point_id"] for row in rows}), "sites": len(rows)}
        return Result(tuple(output(workspace, path) for path in paths), data)

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return the files of points and sites that are missing."""
        points = self.params.points
        named = [("points.path", points.path)] if points is not None else []
        named += [
            (f"sites.{index}.raster", site.raster)
            for index, site in enumerate(self.params.sites)
            if isinstance(site, SiteByRaster)
        ]
        return [f"{field}: {path}: there is no such file" for field, path in named if not path.exists()]

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate:
        """Count the sites and their pixels, by choosing them: later stages plan with these very sites."""
        rows = self._rows(run.seed)
        pixels = float(sum(row["width"] * row["height"] for row in rows))
        points = len({row["point_id"] for row in rows})
        gsd = sum(row["gsd"] for row in rows) / len(rows)
        amounts = {"points": points, "raster_pairs": len(rows), "pixels": pixels, "gsd": gsd}
        return Estimate(1, seconds=2 + 0.03 * len(rows), propagated=amounts, rows=rows)

    def _rows(self, seed: int) -> list[Row]:
        sampled = self.params.globe or self.params.points
        return sampled.rows(seed) if sampled else site_rows(self.params.sites)


def _geojson(rows: Sequence[Row]) -> dict[str, object]:
    features = []
    for row in rows:
        outline = ground_polygon(get_coordinates(wkb.loads(row["geometry"]))[:-1])
        properties = {key: value for key, value in row.items() if key != "geometry"}
        geometry = mapping(split_at_antimeridian(outline))
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def _world_png(rows: Sequence[Row]) -> bytes:
    from stages.sample.earth_data import load_land_share
    from stages.sample.overview_map import draw_overview

    picture = draw_overview(load_land_share(), sampled_points(rows))
    return bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1])
