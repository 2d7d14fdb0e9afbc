"""What a source of rasters is: something that gives one side of a site as a grid and strips of pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field
from shapely import Polygon

from pipeline.errors import PermanentError
from raster.grid import Grid, reproject
from raster.image import Image, Mask


@dataclass(frozen=True)
class Site:
    """A site to acquire: ids, footprint (WGS84), wanted ground sample distance in metres, stratum."""

    point_id: str
    site_id: str
    footprint: Polygon
    gsd: float
    stratum: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Site:
        """Make a site of a row of `sample/sites.parquet`, whose geometry may also be WKT."""
        geometry = row["geometry"]
        outline = shapely.from_wkt(geometry) if isinstance(geometry, str) else shapely.from_wkb(geometry)
        footprint = Polygon(shapely.get_coordinates(outline))
        return cls(row["point_id"], row["site_id"], footprint, row["gsd"], row["stratum"])

    @property
    def name(self) -> str:
        """Point and site, "001/1"."""
        return f"{self.point_id}/{self.site_id}"


@dataclass(frozen=True)
class Load:
    """What a site takes from a host: requests, bytes (roughly), and the rate the host gets at most (None: no limit)."""

    host: str
    requests: int
    bytes: int
    rate: float | None


@dataclass(frozen=True)
class Strips:
    """One side of a site while it is open: its grid, and RGBA strips (rows, width, 4) uint8 from top to bottom.

    Alpha 0 is no data. Strips may have any heights that add up to the grid's; a source makes them one after another, so
    that memory stays bounded, and may make each in the memory of the one before. `tags` are facts only known once open,
    such as the date; they complete the source's.
    """

    grid: Grid
    pixels: Iterator[Image]
    tags: Mapping[str, str]


def rgba(pixels: Image, mask: Mask) -> Image:
    """Return a strip of pixels (rows, width, 3) and their mask as RGBA."""
    return np.dstack([pixels, np.where(mask, np.uint8(255), np.uint8(0))])


class Source(BaseModel, ABC):
    """Base of all sources. A configuration chooses one by `kind`: a name of `stages.acquire.SOURCES`, or module:Class.

    Another package declares its sources as entry points of the group `mapdata.sources`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    SECONDS_A_PIXEL: ClassVar[float] = 3e-8
    """Of one worker, for estimates: reading or decoding, and writing the raster. Drawing takes more."""

    kind: str = Field(description="Which source: a name, or module:Class.")
    source: str = Field(description="What the imagery is, for the manifest: service or collection and layer.")
    licence: str = Field(description="Licence of the imagery: SPDX identifier or the name of its terms.")
    attribution: str = Field(description="Line of credit that the licence asks for.")
    date: str = Field("", description="Date of the imagery or of the map's data, ISO 8601, as precise as known.")

    @abstractmethod
    def open(self, site: Site, workspace: Path) -> AbstractContextManager[Strips]:
        """Open this side of a site. Raises TransientError or PermanentError naming what is wrong and what to do."""

    def check(self) -> None:
        """Raise PermanentError if the source may not be used as it is configured, such as by its terms."""
        return None

    def load(self, site: Site) -> Load | None:
        """Return what a site takes from a service; None for sources on disk."""
        return None

    def identity(self, site: Site) -> str:
        """Return what changes when the source's own content for the site does; "" if that cannot be known."""
        return ""


def window_of(site: Site, whole: Grid, what: str) -> Grid:
    """Return the window of `whole` that covers the site's footprint, in whole pixels, clipped to `whole`.

    Raises PermanentError naming `what` if the site lies outside.
    """
    outline = shapely.get_coordinates(site.footprint)
    corners = whole.to_pixel(reproject(outline, "EPSG:4326", whole.crs)) + 0.5
    x0, y0 = (max(0, round(value)) for value in corners.min(axis=0))
    x1, y1 = (
        min(most, round(value)) for most, value in zip((whole.width, whole.height), corners.max(axis=0), strict=True)
    )
    if x1 <= x0 or y1 <= y0:
        raise PermanentError(f"{what}: site {site.name} lies outside; check the site's place and the source's CRS")
    return whole.window(x0, y0, x1 - x0, y1 - y0)
