"""Stage `acquire`: sites -> raster pairs, each side a tiled GeoTIFF with a no-data mask.

Inputs: `sample/sites.parquet` and the sources of the configuration. Output: `rasters/<point>/<site>/<side>.tif`, RGB
uint8, tagged SOURCE, LICENCE, ATTRIBUTION and DATE; tile services give EPSG:3857, files keep their CRS. A side of which
nothing exists under the footprint is no-data. The result's data: path, digest, width, height, crs, transform (6),
source, licence, attribution, date, nodata_share (0 to 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import shapely
from pydantic import BaseModel, ConfigDict, Field

from pipeline.stage import Outcome, Result, RunView, Stage, Unit, output
from stages.acquire.geotiff import GeoTiffSource
from stages.acquire.mbtiles import MBTilesSource
from stages.acquire.osm_render import OsmRenderSource
from stages.acquire.service import TileServiceSource
from stages.acquire.simulated import SimulatedImageSource, SimulatedMapSource
from stages.acquire.source import Site
from stages.rasters import SIDES, write_raster
from stages.tables import SITES, read_tables

AnySource = Annotated[
    GeoTiffSource | MBTilesSource | TileServiceSource | OsmRenderSource | SimulatedMapSource | SimulatedImageSource,
    Field(discriminator="kind"),
]


class AcquireParams(BaseModel):
    """Where the two sides of every raster pair come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    map: AnySource = Field(description="Source of the electronic map.")
    visible: AnySource = Field(description="Source of the visible image.")


class AcquireStage(Stage[AcquireParams]):
    """Acquire rasters; a unit is a side of a site, such as `001/1/map`."""

    name: ClassVar[str] = "acquire"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = AcquireParams

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return two units a site."""
        tables = [output for result in run.results.get("sample", {}).values() for output in result.outputs]
        paths = [run.workspace / table.path for table in tables if table.path.endswith("sites.parquet")]
        units = []
        for row in read_tables(paths, SITES).to_pylist():
            site = Site.from_row(row)
            payload = {**row, "geometry": shapely.to_wkt(site.footprint, rounding_precision=12)}
            for side in SIDES:
                identity = getattr(self.params, side).identity(site)
                weight = row["width"] * row["height"] / 1e6
                units.append(self.unit(f"{site.name}/{side}", payload | {"side": side}, [identity], weight))
        return units

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Acquire one side of one site; see `Source.open` for what it raises."""
        row = unit.payload
        site = Site.from_row(row)
        source = getattr(self.params, row["side"])
        path = workspace / "rasters" / site.name / f"{row['side']}.tif"
        tags = {"SOURCE": source.source, "LICENCE": source.licence, "ATTRIBUTION": source.attribution}
        with source.open(site, workspace) as strips:
            tags["DATE"] = source.date or strips.tags.get("DATE", "")
            nodata = write_raster(path, strips.grid, strips.pixels, tags)
        if nodata == 1:
            path.unlink()
            return Result(outcome=Outcome.NO_DATA, reason=f"{source.source} has nothing at site {site.name}")
        made = output(workspace, path)
        facts = {key.lower(): value for key, value in tags.items()}
        data = {"path": made.path, "digest": made.digest, "nodata_share": nodata} | strips.grid.to_json() | facts
        return Result((made,), data)
