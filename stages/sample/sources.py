"""Where the sites of a run come from: a list in the configuration, a file of points, or a sampling of the globe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import PermanentError
from stages.sample.footprints import KM_PER_DEGREE, Extent, Site, place_sites
from stages.sample.points import choose_points, default_continents, default_strata, quotas
from stages.sample.strata import Candidates, Stratum, draw_candidates
from stages.sample.world import World, load_world, unit_vectors

Row = dict[str, Any]
Position = tuple[float, float]


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListedSite(_Source):
    """One site: the outline, or the centre and the size."""

    point: str = Field(default="001", pattern=r"^\d{3,}$", description="Sampling point; pairs are split by it.")
    site: str = Field(default="1", pattern=r"^\d+$", description="Number of the site at its point.")
    bounds: tuple[float, float, float, float] | None = Field(
        default=None, description="West, south, east, north in degrees WGS84."
    )
    centre: Position | None = Field(default=None, description="Longitude and latitude, instead of bounds.")
    size: tuple[int, int] | None = Field(default=None, description="Width and height in px at gsd, with a centre.")
    gsd: float = Field(gt=0, description="Ground sample distance in metres.")
    stratum: str = Field(default="", description="What kind of place it is, for the release's statistics.")

    @model_validator(mode="after")
    def _one_way_to_say_where(self) -> ListedSite:
        if (self.bounds is None) == (self.centre is None) or (self.centre is None) != (self.size is None):
            raise ValueError("give either bounds, or centre and size")
        if self.bounds is not None and not (self.bounds[0] < self.bounds[2] and self.bounds[1] < self.bounds[3]):
            raise ValueError("bounds are west, south, east, north, with west < east and south < north")
        return self

    def located(self) -> Site:
        """Return the site with its centre and size; of bounds, the size is that of the outline on the ground."""
        if self.centre is not None and self.size is not None:
            return Site(0, int(self.site), *self.centre, self.stratum, *self.size, self.gsd)
        assert self.bounds is not None
        west, south, east, north = self.bounds
        lon, lat = (west + east) / 2, (south + north) / 2
        metres = 1000 * KM_PER_DEGREE / self.gsd
        width = max(1, round((east - west) * metres * np.cos(np.radians(lat))))
        return Site(0, int(self.site), lon, lat, self.stratum, width, max(1, round((north - south) * metres)), self.gsd)

    def row(self) -> Row:
        """Return the site as a row of `stages.tables.SITES`."""
        outline = {} if self.bounds is None else {"geometry": shapely.box(*self.bounds).wkb}
        return (
            {"point_id": self.point, "site_id": self.site, "stratum": self.stratum} | _row_of(self.located()) | outline
        )


class SiteList(_Source):
    """Sites as the configuration lists them."""

    kind: Literal["list"]
    sites: tuple[ListedSite, ...] = Field(min_length=1, description="The sites.")

    @model_validator(mode="after")
    def _no_site_twice(self) -> SiteList:
        names = [(site.point, site.site) for site in self.sites]
        twice = sorted({"/".join(name) for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}")
        return self

    def rows(self, seed: int) -> list[Row]:
        return [site.row() for site in self.sites]

    def count(self) -> int:
        return len(self.sites)

    def pixels(self) -> float:
        located = [site.located() for site in self.sites]
        return float(sum(site.width * site.height for site in located))


class _Footprints(_Source):
    """Sites of random sizes round sampling points."""

    sites_per_point: int = Field(default=3, ge=1, le=20, description="Sites at each point.")
    width: tuple[int, int] = Field(default=(7_000, 20_000), description="Least and greatest width of a site in px.")
    height: tuple[int, int] = Field(default=(5_000, 15_000), description="Least and greatest height of a site in px.")
    gsd: float = Field(default=0.6, gt=0, le=100, description="Ground sample distance in metres.")

    @model_validator(mode="after")
    def _ordered(self) -> _Footprints:
        for name in ("width", "height"):
            least, most = getattr(self, name)
            if not 512 <= least <= most:
                raise ValueError(f"{name} needs two numbers, at least 512, the smaller first")
        return self

    def _place(self, world: World, points: Candidates, seed: int) -> list[Row]:
        extent = Extent((self.width[0], self.height[0]), (self.width[1], self.height[1]), self.gsd)
        sites = place_sites(world, points, self.sites_per_point, extent, seed)
        missing = sorted(set(range(len(points))) - {s.point for s in sites if s.number == self.sites_per_point})
        if missing:
            where = f"{points.lon[missing[0]]:.4f}, {points.lat[missing[0]]:.4f}"
            raise PermanentError(
                f"no room for {self.sites_per_point} sites that do not overlap at {len(missing)} points, first at "
                f"{where} (lon, lat): take smaller sites, fewer of them, or points further apart"
            )
        return [
            {"point_id": f"{s.point + 1:03d}", "site_id": str(s.number), "stratum": s.stratum} | _row_of(s)
            for s in sites
        ]

    def _pixels(self, points: int) -> float:
        mean = [sum(pair) / 2 for pair in (self.width, self.height)]
        return points * self.sites_per_point * mean[0] * mean[1]


class Globe(_Footprints):
    """Points drawn over the land of the globe, stratified by kind of place and continent."""

    kind: Literal["globe"]
    points: int = Field(default=233, ge=1, le=5_000, description="Sampling points.")
    spacing_km: float = Field(default=100.0, ge=0, description="Least distance between two points.")
    strata: dict[Stratum, float] = Field(
        default_factory=lambda: {Stratum(k): v for k, v in default_strata().items()},
        description="Weights of the strata; one that is left out gets no points.",
    )
    continents: dict[Annotated[str, Field(pattern="^(AF|AS|EU|NA|OC|SA)$")], float] = Field(
        default_factory=default_continents, description="Weights of the continents, by GeoNames code."
    )
    countries: tuple[str, ...] = Field(
        default=(), description="ISO codes; if given, points lie in these countries only."
    )

    def rows(self, seed: int) -> list[Row]:
        world = load_world()
        candidates = draw_candidates(world, seed, self.countries)
        wanted = quotas(self.points, {k.value: v for k, v in self.strata.items()}, self.continents)
        return self._place(world, choose_points(candidates, wanted, self.spacing_km), seed)

    def count(self) -> int:
        return self.points * self.sites_per_point

    def pixels(self) -> float:
        return self._pixels(self.points)


class PointFile(_Footprints):
    """A user's own points: GeoParquet, GeoJSON, GeoPackage or any file that GDAL reads, with point geometries.

    A column `stratum` is taken over if there is one.
    """

    kind: Literal["points"]
    path: Path = Field(description="The file.")

    def rows(self, seed: int) -> list[Row]:
        points = self._read()
        return self._place(load_world(), points, seed)

    def count(self) -> int:
        return len(self._read()) * self.sites_per_point

    def pixels(self) -> float:
        return self._pixels(len(self._read()))

    def _read(self) -> Candidates:
        import geopandas

        try:
            read = geopandas.read_parquet if self.path.suffix == ".parquet" else geopandas.read_file
            frame = read(self.path)
        except (OSError, ValueError, RuntimeError) as error:
            raise PermanentError(
                f"{self.path}: cannot be read as points ({error}); check sample.source.path"
            ) from error
        if frame.crs is None or not len(frame) or not (frame.geometry.geom_type == "Point").all():
            raise PermanentError(f"{self.path}: needs point geometries with a CRS, at least one")
        frame = frame.to_crs("EPSG:4326")
        stratum = frame["stratum"].astype(str).to_numpy() if "stratum" in frame else np.full(len(frame), "")
        known = [value if value in {s.value for s in Stratum} else Stratum.VILLAGE.value for value in stratum]
        lon, lat = frame.geometry.x.to_numpy(), frame.geometry.y.to_numpy()
        points = Candidates(lon, lat, np.array(known), *np.full((2, len(frame)), ""))
        if len(np.unique(np.round(unit_vectors(lon, lat), 9), axis=0)) < len(frame):
            raise PermanentError(f"{self.path}: holds the same point twice")
        return points


def _row_of(site: Site) -> Row:
    return {
        "lon": site.lon,
        "lat": site.lat,
        "width": site.width,
        "height": site.height,
        "gsd": site.gsd,
        "geometry": site.geometry.wkb,
    }


Source = Annotated[SiteList | Globe | PointFile, Field(discriminator="kind")]


def sampled_points(rows: Sequence[Row]) -> list[tuple[float, float, str]]:
    """Return (lon, lat, stratum) of every point: those of its first site."""
    return [(row["lon"], row["lat"], row["stratum"]) for row in rows if row["site_id"] == "1"]
