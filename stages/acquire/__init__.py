"""Stage `acquire`: sites -> raster pairs, each side a tiled GeoTIFF with a no-data mask.

Inputs: `sample/sites.parquet` and the sources of the configuration. Output: `rasters/<point>/<site>/<side>.tif`, RGB
uint8, tagged DATE where the source knows it; tile services give EPSG:3857, files keep their CRS. A side of which
nothing exists under the footprint is no-data. The result's data: path, digest, width, height, crs, transform (6),
date, nodata_share (0 to 1), notes on what the raster lacks, if any, and the facts source, licence and attribution,
which are no part of a unit's key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import shapely
from pydantic import BaseModel, ConfigDict, Field, create_model

from pipeline.config import ChosenFrom
from pipeline.errors import PermanentError
from pipeline.files import digest_json
from pipeline.registry import Registry
from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, output, propagated
from pipeline.unit_progress import current_progress
from raster.image import Image
from stages.acquire.contact import PLACEHOLDER
from stages.acquire.source import Load, Site, Source, Strips
from stages.rasters import write_raster
from stages.tables import SITES, read_tables

SOURCES: Registry[type[BaseModel]] = Registry(
    "mapdata.sources",
    Source,
    "source",
    {
        "geotiff": "stages.acquire.geotiff:GeoTiffSource",
        "mbtiles": "stages.acquire.mbtiles:MBTilesSource",
        "tiles": "stages.acquire.service:TileServiceSource",
        "stac": "stages.acquire.stac:StacSource",
        "osm-render": "stages.acquire.osm_render:OsmRenderSource",
        "simulated-map": "stages.acquire.simulated:SimulatedMapSource",
        "simulated-image": "stages.acquire.simulated:SimulatedImageSource",
    },
    classes=True,
)
"""Sources by the `kind` that a configuration names."""

AnySource = Annotated[Source, ChosenFrom(SOURCES)]

_BYTES_A_PIXEL = 1.6


class AcquireParams(BaseModel):
    """Where rasters come from: one source for each role of the recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def sources(self) -> dict[str, Source]:
        """Return the sources by role, in the order of the recipe."""
        return {role: getattr(self, role) for role in type(self).model_fields}

    def __reduce__(self) -> tuple[Any, ...]:
        # The class of each set of roles is made at run time: a worker makes it again.
        return _restored, (self.sources(),)


@cache
def acquire_params(roles: tuple[str, ...]) -> type[AcquireParams]:
    """Return the model of the parameters of a recipe with these roles: a field for each.

    Args:
        roles: Roles of the recipe, such as ("map", "visible").

    Returns:
        The model.
    """
    fields: dict[str, Any] = {role: (AnySource, Field(description=f"Source of the role `{role}`.")) for role in roles}
    return create_model("AcquireParams", __base__=AcquireParams, __doc__=AcquireParams.__doc__, **fields)


def _restored(sources: Mapping[str, Source]) -> AcquireParams:
    fields: dict[str, Any] = dict(sources)
    return acquire_params(tuple(sources)).model_construct(**fields)


class AcquireStage(Stage[AcquireParams]):
    """Acquire rasters; a unit is a role of a site, such as `001/1/map`."""

    name: ClassVar[str] = "acquire"
    version: ClassVar[int] = 3
    Params: ClassVar[type[BaseModel]] = AcquireParams
    reads: ClassVar[tuple[str, ...]] = ("sample",)

    @classmethod
    def params_model(cls, roles: tuple[str, ...]) -> type[BaseModel]:
        """Return the model with a source for each role."""
        return acquire_params(roles)

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return a unit for each role of each site. Raises PermanentError if the terms of a source forbid its use."""
        sources = self.params.sources()
        for source in sources.values():
            source.check()
        units = []
        for row in _site_rows(run):
            site = Site.from_row(row)
            payload = {**row, "geometry": shapely.to_wkt(site.footprint, rounding_precision=12)}
            for side, source in sources.items():
                ground = source.grown(site)
                inputs = [source.identity(ground), *(run.digest(path) for path in source.files(ground))]
                weight = row["width"] * row["height"] / 1e6
                units.append(self._unit(f"{site.name}/{side}", source, payload | {"side": side}, inputs, weight))
        return units

    def _unit(self, name: str, source: Source, payload: dict[str, Any], inputs: list[str], weight: float) -> Unit:
        """Build a unit. Neither the other role's source nor what the source says of itself is part of its key."""
        key = digest_json([self.name, self.version, source.key_fields(), name, payload, inputs])
        return Unit(self.name, name, key, payload, weight, source.facts())

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Count requests as the sources do: one a tile of the very sites that `sample` has chosen or will choose.

        Keys and permissions are not needed for that: see `needs`.
        """
        sources = list(self.params.sources().values())
        amounts = propagated(before, "sample")
        rows = _site_rows(run) or (before["sample"].rows if "sample" in before else [])
        if not rows:
            return None
        sites = [Site.from_row(row) for row in rows]
        loads = [
            load for source in sources for site in sites if (load := _load(source, source.grown(site))) is not None
        ]
        hosts: dict[str, tuple[int, float | None]] = {}
        for load in loads:
            hosts[load.host] = (hosts.get(load.host, (0, None))[0] + load.requests, load.rate)
        cost: dict[str, float] = {}
        for load in loads:
            if load.cost is not None:
                cost[load.host] = cost.get(load.host, 0.0) + load.cost
        waits = [requests / rate for requests, rate in hosts.values() if rate]
        return Estimate(
            units=len(sources) * len(sites),
            requests=sum(requests for requests, _ in hosts.values()),
            downloaded=sum(load.bytes for load in loads),
            written=round(len(sources) * amounts.get("pixels", 0) * _BYTES_A_PIXEL),
            seconds=max([amounts.get("pixels", 0) * sum(source.SECONDS_A_PIXEL for source in sources), *waits]),
            hosts=hosts,
            cost=cost,
            propagated=amounts,
        )

    def needs(self) -> list[str]:
        """Return what sources ask for and do not have: keys, permissions."""
        return list(dict.fromkeys(need for source in self.params.sources().values() for need in source.needs()))

    def problems(self, before: Mapping[str, Estimate]) -> list[str]:
        """Return what is wrong with the sources: files, bands, contacts, values left from an example."""
        sites = [Site.from_row(row) for row in (before["sample"].rows if "sample" in before else [])]
        found = []
        for role, source in self.params.sources().items():
            found += [f"{role}.{name}: {value!r} is a placeholder" for name, value in placeholders(source)]
            found += [f"{role}.{each}" for each in source.problems(sites)]
        return found

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Acquire one side of one site; see `Source.open` for what it raises."""
        row = unit.payload
        site = Site.from_row(row)
        source = getattr(self.params, row["side"])
        path = workspace / "rasters" / site.name / f"{row['side']}.tif"
        with source.open(source.grown(site), workspace) as strips:
            date = strips.tags.get("DATE", "")
            pixels = strips.pixels if source.TELLS_PROGRESS else _telling_rows(strips)
            nodata = write_raster(path, strips.grid, pixels, {"DATE": date} if date else {})
            beside, notes = strips.files, strips.notes
        if nodata == 1:
            path.unlink()
            return Result(outcome=Outcome.NO_DATA, reason=f"{source.source} has nothing at site {site.name}")
        made = output(workspace, path)
        data = {"path": made.path, "digest": made.digest, "nodata_share": nodata, "date": date} | strips.grid.to_json()
        if notes:
            data["notes"] = list(notes)
        return Result((made, *(output(workspace, file) for file in beside)), data)


def placeholders(source: Source) -> list[tuple[str, str]]:
    """Return the fields of a source, with their values, that still hold what an example says in their place."""
    texts = ((name, getattr(source, name)) for name in type(source).model_fields)
    return [(name, text) for name, text in texts if isinstance(text, str) and PLACEHOLDER.search(text)]


def _telling_rows(strips: Strips) -> Iterator[Image]:
    progress = current_progress()
    progress.begin(strips.grid.height, "rows")
    for strip in strips.pixels:
        yield strip
        progress.advance(len(strip))


def _site_rows(run: RunView) -> list[dict[str, Any]]:
    tables = [output for result in run.read("sample").values() for output in result.outputs]
    paths = [run.workspace / table.path for table in tables if table.path.endswith("sites.parquet")]
    rows: list[dict[str, Any]] = read_tables(paths, SITES).to_pylist()
    return rows


def _load(source: Source, site: Site) -> Load | None:
    """Return what a site takes from a service; None for a site that the source will refuse."""
    try:
        return source.load(site)
    except PermanentError:
        return None
