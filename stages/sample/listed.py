"""Sites that the configuration lists one by one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pyproj import Geod
from shapely import Polygon, box

from pipeline.errors import PermanentError
from raster.config_path import ConfigPath
from raster.longitude import ground_polygon, surrounds_pole, wrapped, wrapped_ring
from stages.rasters import files_of, open_any

_GEOD = Geod(ellps="WGS84")


class _Listed(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True)

    point: str = Field(pattern=r"^[0-9A-Za-z]{1,64}$", description='Id of the sampling point, such as "001".')
    site: str = Field("1", pattern=r"^[0-9A-Za-z]{1,64}$", description='Id of the site within its point, such as "1".')
    stratum: str = Field("", description="What kind of place it is, such as `city`.")

    @abstractmethod
    def extent(self) -> tuple[Polygon, float]:
        """Return the footprint in WGS84 degrees and the ground sample distance in metres."""

    def files(self) -> list[Path]:
        """Return the files that the extent comes from. Their contents count, not their places."""
        return []


class SiteByBounds(_Listed):
    """A site given by its bounds."""

    bounds: tuple[float, float, float, float] = Field(
        description="West, south, east, north in WGS84 degrees. Longitudes count from -180 or from 0; west > east, or "
        "east > 180, means that the site lies across the antimeridian."
    )
    gsd: float = Field(gt=0, description="Wanted ground sample distance, metres a pixel.")

    @model_validator(mode="after")
    def _check(self) -> SiteByBounds:
        west, south, east, north = self.bounds
        meet = (east - west) % 360 == 0 and east - west != 360
        within = -180 <= west <= 360 and -180 <= east <= 360 and -90 <= south < north <= 90
        if not within or meet:
            raise ValueError("bounds are west, south, east, north: longitudes within -180 to 360, south < north")
        if 180 < (east - west if east > west else east - west + 360) < 360 or east - west > 360:
            raise ValueError("a site is at most 180 degrees wide, or the whole globe")
        return self

    def extent(self) -> tuple[Polygon, float]:
        """Return the box of the bounds."""
        west, south, east, north = self.bounds
        east = east if east > west else east + 360
        if east - west == 360:
            return box(-180, south, 180, north), self.gsd
        turn = 360 * math.floor(((west + east) / 2 + 180) / 360)
        return box(west - turn, south, east - turn, north), self.gsd


class SiteByRaster(_Listed):
    """A site that takes its extent and resolution from a georeferenced raster file."""

    raster: ConfigPath = Field(description="GeoTIFF, relative to the configuration; usually the visible side's.")

    def files(self) -> list[Path]:
        """Return the raster, and what lies beside it and belongs to it."""
        return files_of(self.raster)

    def extent(self) -> tuple[Polygon, float]:
        """Return the raster's outline.

        Raises:
            PermanentError: The raster cannot be read, is not georeferenced, or reaches beyond what its CRS can show.
        """
        with open_any(self.raster) as reader:
            grid = reader.grid
        ring = shapely.get_coordinates(shapely.Polygon(grid.corners()).exterior)[:-1]
        dense = shapely.segmentize(shapely.Polygon(ring), max(grid.width, grid.height) / 16)
        dense_ring = shapely.get_coordinates(dense.exterior)[:-1]
        places = [np.clip(grid.to_lonlat(each), (-180, -90), (180, 90)) for each in (ring, dense_ring)]
        if not np.isfinite(np.concatenate(places)).all():
            raise PermanentError(
                f"{self.raster}: its outline lies outside the domain of its CRS, as of the whole globe in an oval; "
                "give the site by bounds"
            )
        ground = ground_polygon(places[1])
        # The corners alone are the site's outline, unless they cannot tell round which pole it lies.
        return (ground if surrounds_pole(ground) else ground_polygon(places[0])), grid.gsd


def site_rows(sites: Sequence[_Listed]) -> list[dict[str, Any]]:
    """Return the rows of `sample/sites.parquet`, ordered by point and site.

    Args:
        sites: The configured sites.

    Returns:
        Values by column.

    Raises:
        PermanentError: A name recurs, or a raster cannot be read.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    spelt: dict[str, str] = {}  # some file systems take Ab and aB for one folder
    for site in sites:
        names = {part.lower(): part for part in (site.point, f"{site.point}/{site.site}")}
        if (site.point, site.site) in rows or any(spelt.setdefault(low, name) != name for low, name in names.items()):
            raise PermanentError(
                f"sample: site {site.point}/{site.site} is listed twice, capital letters or not; give each its own name"
            )
        footprint, gsd = site.extent()
        west, south, east, north = footprint.bounds
        lon, lat = float(wrapped((west + east) / 2)), (south + north) / 2
        if surrounds_pole(footprint):
            lat = north if north == 90 else south
            width = height = 2 * _GEOD.line_length([lon, lon], [south, north])
        else:
            # Between places at most 30 degrees apart: from side to side, the shortest way may be round the globe.
            lons = np.linspace(west, east, 1 + max(1, math.ceil((east - west) / 30)))
            width = _GEOD.line_length(lons, np.full(len(lons), lat))
            height = _GEOD.line_length([lon, lon], [south, north])
        rows[site.point, site.site] = {
            "point_id": site.point,
            "site_id": site.site,
            "lon": lon,
            "lat": lat,
            "stratum": site.stratum,
            "width": max(1, round(width / gsd)),
            "height": max(1, round(height / gsd)),
            "gsd": gsd,
            "geometry": shapely.to_wkb(wrapped_ring(footprint)),
        }
    return [rows[key] for key in sorted(rows)]
