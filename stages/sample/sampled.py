"""Sites round sampling points: of the globe, by quotas, or of a user's file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import PermanentError
from raster.config_path import ConfigPath
from raster.longitude import wrapped_ring
from stages.sample.earth_data import EarthData, load_earth_data
from stages.sample.footprints import Choice, SampledFootprint, SizeRange, place_sites
from stages.sample.point_file import read_points
from stages.sample.points import choose_points, default_continents, default_strata, quotas
from stages.sample.strata import Candidates, Stratum, sample_candidates

Row = dict[str, Any]

_LEAST_LAND = {stratum: 0.97 for stratum in Stratum} | {Stratum.CITY: 0.7, Stratum.SUBURB: 0.7, Stratum.COAST: 0.3}


class _SiteSizes(BaseModel):
    """Sites of random sizes round sampling points."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sites_per_point: int = Field(default=3, ge=1, le=20, description="Sites at each point.")
    width: tuple[int, int] = Field(default=(7_000, 20_000), description="Least and greatest width of a site in px.")
    height: tuple[int, int] = Field(default=(5_000, 15_000), description="Least and greatest height of a site in px.")
    gsd: float = Field(default=0.6, gt=0, le=100, description="Ground sample distance in metres.")

    candidates: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Random footprints at each point, of which those with most to show are taken.",
    )
    least_land: dict[Stratum, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict,
        description="Share of land that a footprint of a stratum should have; those with less are taken last. Default: "
        "city and suburb 0.7, coast 0.3, others 0.97.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> _SiteSizes:
        for name in ("width", "height"):
            least, most = getattr(self, name)
            if not 512 <= least <= most:
                raise ValueError(f"{name} needs two numbers, at least 512, the smaller first")
        return self

    @property
    def choice(self) -> Choice:
        """How footprints are chosen."""
        return Choice(self.candidates, {**_LEAST_LAND, **self.least_land})

    def _place(self, earth: EarthData, points: Candidates, seed: int) -> list[Row]:
        extent = SizeRange((self.width[0], self.height[0]), (self.width[1], self.height[1]), self.gsd)
        sites = place_sites(earth, points, self.sites_per_point, extent, self.choice, seed)
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


class Globe(_SiteSizes):
    """Points drawn over the land of the globe, stratified by kind of place and continent."""

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
        """Return the rows of `sample/sites.parquet`.

        Args:
            seed: Of the run; decides which points are taken.

        Raises:
            PermanentError: A quota cannot be met, or the sites of a point find no room; the message names which.
        """
        earth = load_earth_data()
        candidates = sample_candidates(earth, seed, self.countries)
        wanted = quotas(self.points, {k.value: v for k, v in self.strata.items()}, self.continents)
        return self._place(earth, choose_points(candidates, wanted, self.spacing_km), seed)


class PointFile(_SiteSizes):
    """A user's own points: CSV, GeoParquet, GeoJSON, GeoPackage or any file that GDAL reads, with point geometries.

    A CSV names its coordinates `lon` and `lat` (or longitude and latitude, or x and y), WGS84 degrees. A column `name`
    (or `id`, or `point`) names the points, a column `stratum` says what kind of place each is; without, it is unknown.
    """

    path: ConfigPath = Field(description="The file.")

    def rows(self, seed: int) -> list[Row]:
        """Return the rows of `sample/sites.parquet`.

        Args:
            seed: Of the run; decides where the sites of a point lie.

        Raises:
            PermanentError: The file cannot be read or lacks what is needed, or the sites of a point find no room.
        """
        frame = read_points(self.path)
        points = Candidates(
            frame.geometry.x.to_numpy(),
            frame.geometry.y.to_numpy(),
            frame["stratum"].to_numpy(str),
            *np.full((2, len(frame)), ""),
        )
        rows = self._place(load_earth_data(), points, seed)
        names = dict(zip((f"{index:03d}" for index in range(1, len(frame) + 1)), frame["name"], strict=True))
        return [row | {"point_id": names[row["point_id"]]} for row in rows]


def _row_of(site: SampledFootprint) -> Row:
    return {
        "lon": site.lon,
        "lat": site.lat,
        "width": site.width,
        "height": site.height,
        "gsd": site.gsd,
        "geometry": wrapped_ring(site.geometry).wkb,
    }


def sampled_points(rows: Sequence[Row]) -> list[tuple[float, float, str]]:
    """Return (lon, lat, stratum) of every point: those of its first site."""
    return [(row["lon"], row["lat"], row["stratum"]) for row in rows if row["site_id"] == "1"]
