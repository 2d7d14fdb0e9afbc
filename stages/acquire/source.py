"""What a source of rasters is: something that gives one side of a site as a grid and strips of pixels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from shapely import Polygon

from pipeline.errors import PermanentError
from raster.grid import Grid, reproject
from raster.image import Image, Mask
from raster.longitude import period, surrounds_pole, unwrapped
from raster.pixels import to_corner

_METRES_A_DEGREE = 111_195.0
"""Of latitude, on a sphere."""


@dataclass(frozen=True)
class Site:
    """A site to acquire.

    Attributes:
        point_id: Id of its sampling point, "001".
        site_id: Id within the point, "1".
        footprint: Outline in WGS84 degrees (longitude, latitude). Longitudes run on across the antimeridian, such as
            from 179.9 to 180.1; the outline of a site at a pole is the whole cap, from -180 to 180.
        gsd: Wanted ground sample distance in metres.
        stratum: Kind of place, such as "city", or "".
    """

    point_id: str
    site_id: str
    footprint: Polygon
    gsd: float
    stratum: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Site:
        """Make a site of a row of `sample/sites.parquet`, whose geometry is WKB or WKT with wrapped longitudes."""
        geometry = row["geometry"]
        outline = shapely.from_wkt(geometry) if isinstance(geometry, str) else shapely.from_wkb(geometry)
        footprint = Polygon(unwrapped(shapely.get_coordinates(outline)))
        return cls(row["point_id"], row["site_id"], footprint, row["gsd"], row["stratum"])

    def grown(self, margin_m: float) -> Site:
        """Return the site with a margin of so many metres round it; a cap round a pole grows towards the equator."""
        if not margin_m:
            return self
        west, south, east, north = self.footprint.bounds
        degrees = margin_m / _METRES_A_DEGREE
        if surrounds_pole(self.footprint):
            cap = (west, south - degrees, east, north) if north == 90 else (west, south, east, north + degrees)
            return replace(self, footprint=shapely.box(*cap))
        shrink = np.array([math.cos(math.radians((south + north) / 2)), 1.0])
        plane = shapely.transform(self.footprint, lambda points: points * shrink)
        wide = shapely.buffer(plane, degrees, join_style="mitre", mitre_limit=2.0)
        wide = shapely.transform(wide, lambda points: np.clip(points / shrink, (-540, -90), (540, 90)))
        return replace(self, footprint=wide)

    @property
    def name(self) -> str:
        """Point and site, "001/1"."""
        return f"{self.point_id}/{self.site_id}"


@dataclass(frozen=True)
class Load:
    """What a site takes from a host.

    Attributes:
        host: Name of the host, with its port if there is one.
        requests: Number of requests, as long as none has to be repeated.
        bytes: Roughly how much is downloaded.
        rate: Requests per second that the host gets at most; None for no limit.
        cost: What the requests cost; None where none is configured.
    """

    host: str
    requests: int
    bytes: int
    rate: float | None
    cost: float | None = None


@dataclass(frozen=True)
class Strips:
    """One side of a site while it is open: its grid, and RGBA strips (rows, width, 4) uint8 from top to bottom.

    Alpha 0 is no data. Strips may have any heights that add up to the grid's; a source makes them one after another, so
    that memory stays bounded, and may make each in the memory of the one before. `tags` are facts only known once open,
    such as the date; they complete the source's. `files` are what the source wrote beside the raster. `notes` are
    sentences on what the raster lacks, for the user.
    """

    grid: Grid
    pixels: Iterator[Image]
    tags: Mapping[str, str]
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def rgba(pixels: Image, mask: Mask) -> Image:
    """Return a strip of pixels (rows, width, 3) and their mask as RGBA.

    Args:
        pixels: (rows, width, 3) uint8 RGB.
        mask: (rows, width) bool, true where there is data.

    Returns:
        (rows, width, 4) uint8; alpha is 255 or 0. The colour of pixels without data is left.
    """
    return np.dstack([pixels, np.where(mask, np.uint8(255), np.uint8(0))])


class Source(BaseModel, ABC):
    """Base of all sources. A configuration chooses one by `kind`: a name of `stages.acquire.SOURCES`, or module:Class.

    Another package declares its sources as entry points of the group `mapdata.sources`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    KEYLESS: ClassVar[frozenset[str]] = frozenset()
    """Fields that no pixel depends on, such as rate limits, or the places of `files`: a change of them acquires nothing
    anew. Those of this class (source, licence, attribution, date) always are among them."""

    TELLS_PROGRESS: ClassVar[bool] = False
    """Whether the source itself tells how far a unit is; else the rows of its strips are counted."""

    SECONDS_A_PIXEL: ClassVar[float] = 3e-8
    """Of one worker, for estimates: reading or decoding, and writing the raster. Drawing takes more."""

    kind: str = Field(description="Which source: a name, or module:Class.")
    source: str = Field(description="What the imagery is, for the manifest: service or collection and layer.")
    licence: str = Field(description="Licence of the imagery: SPDX identifier or the name of its terms.")
    attribution: str = Field(description="Line of credit that the licence asks for.")
    date: str = Field("", description="Date of the imagery or of the map's data, ISO 8601, as precise as known.")
    margin_m: float = Field(
        0.0,
        ge=0,
        le=5_000,
        description="Ground beyond the site that is acquired too, metres on each side: as far as the role may lie off "
        "the other one, so that once aligned it covers it up to the edge.",
    )

    @abstractmethod
    def open(self, site: Site, workspace: Path) -> AbstractContextManager[Strips]:
        """Open one role of a site.

        Args:
            site: The site.
            workspace: Folder of the run, for caches.

        Returns:
            A context manager of the strips.

        Raises:
            TransientError: What may pass, such as a service that fails.
            PermanentError: What will not pass, naming what is wrong and what to do.
        """

    def problems(self, sites: Sequence[Site]) -> list[str]:
        """Return what is wrong with the configured values that only a look around can tell, such as a missing file.

        Args:
            sites: Those of the run as far as they are known without long work; may be empty.

        Returns:
            What is wrong, each with the field; nothing is fetched.
        """
        return []

    def needs(self) -> list[str]:
        """Return what a run will ask for that is not there yet, such as a key or a permission."""
        return []

    def check(self) -> None:
        """Check that the source may be used as it is configured: whether all that it needs is there.

        Raises:
            PermanentError: It may not, such as by its terms.
        """
        if needs := self.needs():
            raise PermanentError("; ".join(needs))

    def load(self, site: Site) -> Load | None:
        """Return what a site takes from a service; None for sources on disk.

        Args:
            site: The site.

        Returns:
            The requests and bytes.
        """
        return None

    def identity(self, site: Site) -> str:
        """Return what changes when the source's own content for the site does; "" if that cannot be known.

        Args:
            site: The site.

        Returns:
            A text that is part of the unit's key.
        """
        return ""

    def files(self, site: Site) -> Sequence[Path]:
        """Return the files on disk that the site's pixels come from. Their contents count, not their places."""
        return ()

    def grown(self, site: Site) -> Site:
        """Return the site with the source's margin round it: the ground that is to be acquired.

        Args:
            site: The site.
        """
        return site.grown(self.margin_m)

    def key_fields(self) -> dict[str, Any]:
        """Return the fields that pixels depend on."""
        fields = self.model_dump(mode="json", exclude={"source", "licence", "attribution", "date", *self.KEYLESS})
        if not self.margin_m:
            del fields["margin_m"]  # it came later: without one, nothing is acquired anew
        return fields

    def facts(self) -> dict[str, str]:
        """Return what the source says of its imagery; goes with every raster and pair."""
        facts = {"source": self.source, "licence": self.licence, "attribution": self.attribution}
        return facts | ({"date": self.date} if self.date else {})


def site_path(path: Path, site: Site) -> Path:
    """Return the file of a site: `{point_id}` and `{site_id}` filled in, other braces left as part of the name.

    Args:
        path: The configured path.
        site: The site.

    Returns:
        The path of the site's own file.
    """
    return Path(str(path).replace("{point_id}", site.point_id).replace("{site_id}", site.site_id))


def missing_files(field: str, path: Path, sites: Sequence[Site]) -> list[str]:
    """Return as a problem of a configured field that files are missing, naming the first.

    Args:
        field: Of the configuration.
        path: Its value, see `site_path`.
        sites: Those whose files are looked for; a path without braces is looked for in any case.

    Returns:
        At most one problem.
    """
    named = any(part in str(path) for part in ("{point_id}", "{site_id}"))
    paths = {site_path(path, site) for site in sites} if named else {path}
    missing = sorted(each for each in paths if not each.is_file())
    count = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    return [f"{field}: {missing[0]}: there is no such file{count}"] if missing else []


def window_of(site: Site, whole: Grid, what: str) -> Grid:
    """Return the window of a grid that covers the site's footprint, in whole pixels, clipped to the grid.

    Args:
        site: The site. Where the grid's CRS repeats round the globe, the copy of the site that lies farthest inside
            the grid counts, so that a raster of longitudes 0 to 360 serves sites at negative longitudes.
        whole: The grid.
        what: How messages call the grid's source.

    Raises:
        PermanentError: The site lies outside the grid or the domain of its CRS.
    """
    outline = site_outline(site, whole.crs)
    if np.isfinite(outline).all():
        repeat = period(whole.crs)
        shifts = [0.0] if repeat is None else [0.0, repeat, -repeat]
        window = max((_pixel_window(whole, outline + np.array([shift, 0.0])) for shift in shifts), key=_area)
        if _area(window) > 0:
            x0, y0, x1, y1 = window
            return whole.window(x0, y0, x1 - x0, y1 - y0)
    raise PermanentError(f"{what}: site {site.name} lies outside; check the site's place and the source's CRS")


def site_outline(site: Site, crs: str) -> NDArray[np.float64]:
    """Return the vertices (N, 2) of a site's footprint in a CRS, continuous across its seam; inf outside its domain.

    Args:
        site: The site.
        crs: Any CRS that pyproj understands.

    Returns:
        Coordinates (N, 2) in that CRS.
    """
    footprint = site.footprint
    if surrounds_pole(footprint):
        footprint = shapely.segmentize(footprint, 1.0)
    lonlat = shapely.get_coordinates(footprint)
    outline = reproject(lonlat, "EPSG:4326", crs)
    repeat = period(crs)
    if repeat is not None and np.isfinite(outline).all():
        expected = outline[0, 0] + (lonlat[:, 0] - lonlat[0, 0]) / 360 * repeat
        outline = outline + np.stack([np.round((expected - outline[:, 0]) / repeat) * repeat, 0 * expected], axis=1)
    return outline


def _pixel_window(whole: Grid, outline: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Return first and end columns and rows of what an outline covers of a grid; the end may lie before the first."""
    corners = to_corner(whole.to_pixel(outline))
    x0, y0 = (max(0, round(value)) for value in corners.min(axis=0))
    x1, y1 = (
        min(size, round(value)) for size, value in zip((whole.width, whole.height), corners.max(axis=0), strict=True)
    )
    return x0, y0, x1, y1


def _area(window: tuple[int, int, int, int]) -> int:
    x0, y0, x1, y1 = window
    return max(0, x1 - x0) * max(0, y1 - y0)
