"""Source `stac` of aerial images: one image of each year from the items of a STAC catalog, such as NAIP's."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import numpy as np
import shapely
from affine import Affine
from pydantic import Field, field_validator, model_validator
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from raster.grid import Grid, reproject
from raster.image import Image
from stages.acquire.asset_access import AssetAccess, RequesterPays, SharedAccess, Unsigned
from stages.acquire.contact import contact_problems
from stages.acquire.local_grid import local_crs
from stages.acquire.source import rgba
from stages.acquire.stac import asset_failures, open_asset
from stages.acquire.stac_catalog import CatalogReader, StacItem, local_path
from stages.fetch.blocking import BlockingClient
from stages.fetch.client import RateLimits
from stages.fetch.reach import Reach
from stages.fetch.url_secrets import literal_secret
from stages.landmarks.licences import imagery_problems
from stages.landmarks.sources import AerialSource, Chip, HostLoad, Row

_log = logging.getLogger(__name__)
_GEOD = Geod(ellps="WGS84")
_YEARS = 10
"""Images of a landmark, in the published dataset."""

_ITEMS_A_YEAR = 1.25
_BYTES_A_PIXEL, _REQUESTS_AN_ITEM = 6.0, 8


class StacAerial(AerialSource):
    """Items that touch the place, grouped by year; several of one year are mosaicked in the order of their ids."""

    KEYLESS: ClassVar[frozenset[str]] = frozenset(
        {"rate_limits", "licence", "attribution", "sas_variable", "sas_service"}
    )
    kind: Literal["stac"] = "stac"
    catalog: str = Field(description="Landing page of a STAC API, or a static catalog's URL or path.")
    collections: tuple[str, ...] = Field((), description="Collections to search; default: all.")
    asset: str = Field("image", description="Key of the asset to read, a GeoTIFF or JPEG 2000 file.")
    bands: tuple[int, ...] = Field((), description="Bands as red, green, blue; default: the first three.")
    licence: str = Field(description="Licence of the imagery.")
    attribution: str = Field(description="Line of credit that the licence asks for.")
    years: tuple[int, int] | None = Field(None, description="First and last year; default: all.")
    signing: Literal["none", "sas", "requester-pays"] = Field("none", description="How addresses of assets are signed.")
    sas_variable: str = Field("", description="With sas: environment variable that holds a token of the container.")
    sas_service: str = Field("", description="With sas: address of a service that gives tokens, instead of a variable.")
    region: str = Field("us-west-2", description="With requester-pays: region of the bucket.")
    asset_hosts: tuple[str, ...] = Field(
        (), description="Hosts of assets, for `plan`; and such with private addresses."
    )
    rate_limits: RateLimits = Field(RateLimits(), description="Limits towards each host.")

    @field_validator("catalog", "sas_service")
    @classmethod
    def _holds_no_secret(cls, address: str) -> str:
        if secret := literal_secret(address):
            raise ValueError(f"the URL holds {secret}: configurations and ledgers are no place for secrets")
        return address

    @model_validator(mode="after")
    def _has_one_token(self) -> StacAerial:
        if self.signing == "sas" and bool(self.sas_variable) == bool(self.sas_service):
            raise ValueError("signing by sas needs either sas_variable or sas_service")
        return self

    def chips(self, place: Row, size: int, gsd: float, workspace: Path) -> Iterator[Chip]:
        """Search and read the items of each year; see `AerialSource`."""
        yield from self._chips(place, size, gsd, workspace, newest=False)

    def latest(self, place: Row, size: int, gsd: float, workspace: Path) -> Iterator[Chip]:
        """Read the items of the last year only; see `AerialSource`."""
        yield from self._chips(place, size, gsd, workspace, newest=True)

    def _chips(self, place: Row, size: int, gsd: float, workspace: Path, newest: bool) -> Iterator[Chip]:
        grid = centred_grid(place["lon"], place["lat"], size, gsd)
        footprint = ground_square(place["lon"], place["lat"], size * gsd)
        with BlockingClient(workspace / "cache" / "limiters", self.rate_limits, self._reach()) as client:
            reader = CatalogReader(self.catalog, client)
            by_year = grouped_by_year(reader.items(self.collections, footprint, None), footprint, self.asset)
            access = _access(self.signing, self.sas_variable, self.sas_service, self.region)
            first, last = self.years or (0, 9999)
            years = [year for year in sorted(by_year) if first <= year <= last]
            for year in years[-1:] if newest else years:
                items = by_year[year]
                pixels = self._mosaic(items, grid, client, access)
                days = sorted({item.start.date().isoformat() for item in items if item.start is not None})
                yield Chip(
                    year,
                    pixels,
                    tuple(item.id for item in items),
                    "/".join(dict.fromkeys((days[0], days[-1]))) if days else str(year),
                    self.licence,
                    self.attribution,
                    _address(items[0].assets[self.asset]),
                )

    def problems(self) -> list[str]:
        """Return a contact that is missing or not yours, a local catalog that is missing, a licence that forbids."""
        found, parts = imagery_problems(self.licence), urlsplit(self.catalog)
        if parts.scheme in ("http", "https"):
            return found + contact_problems(self.rate_limits, parts.hostname or "")
        if not local_path(self.catalog).is_file():
            found.append(f"catalog: {self.catalog}: there is no such file")
        return found

    def load(self, landmarks: float) -> Mapping[str, HostLoad]:
        """Count a search a landmark and some ranges an item, as overviews and tiles of 800 px take."""
        return self._load(landmarks, _YEARS)

    def load_latest(self, places: float) -> Mapping[str, HostLoad]:
        """Count the same for one year."""
        return self._load(places, 1)

    def _load(self, landmarks: float, years: int) -> Mapping[str, HostLoad]:
        rate = self.rate_limits.requests_per_second
        files = landmarks * years * _ITEMS_A_YEAR
        loads = {urlsplit(self.catalog).netloc or "catalog": HostLoad(2 * landmarks, landmarks * 60_000, rate)}
        host = self.asset_hosts[0] if self.asset_hosts else "hosts of the assets"
        byte_rate = self.rate_limits.bytes_per_second
        loads[host] = HostLoad(files * _REQUESTS_AN_ITEM, files * 800**2 * _BYTES_A_PIXEL, rate, byte_rate)
        return loads

    def _reach(self) -> Reach:
        parts = urlsplit(self.catalog)
        own = f"{parts.hostname}:{parts.port or {'http': 80}.get(parts.scheme, 443)}"
        return Reach({*self.asset_hosts, own})

    def _mosaic(self, items: Sequence[StacItem], grid: Grid, client: BlockingClient, access: AssetAccess) -> Image:
        """Lay items over each other: a pixel is that of the first item that has data there. RGBA."""
        mosaic = np.zeros((grid.height, grid.width, 4), np.uint8)
        for item in items:
            empty = mosaic[..., 3] == 0
            if not empty.any():
                break
            with ExitStack() as stack:
                remote, raster = open_asset(stack, item, self.asset, self.bands, client, access)
                with asset_failures(f"item {item.id}, asset {self.asset!r}", remote):
                    view = stack.enter_context(raster.on_grid(grid))
                    pixels = rgba(*view.read(0, 0, grid.width, grid.height))
            mosaic[empty] = pixels[empty]
        return mosaic


def _address(asset: str) -> str:
    """Return the address of an asset, "" where it is a path of this machine, which says nothing to others."""
    return asset if urlsplit(asset).scheme in ("http", "https", "s3") else ""


@lru_cache(maxsize=8)
def _access(signing: str, variable: str, service: str, region: str) -> AssetAccess:
    """Return how addresses are signed; kept by the process, so that tokens are asked for once."""
    if signing == "sas":
        return SharedAccess(variable, service)
    return RequesterPays(region) if signing == "requester-pays" else Unsigned()


def grouped_by_year(items: Iterator[StacItem], footprint: BaseGeometry, asset: str) -> dict[int, list[StacItem]]:
    """Return the items that touch a footprint and have an asset, by year, ordered by id.

    The year is the item's own (`naip:year`), else that of its first moment; items without either are left out.

    Args:
        items: Items of a search; the outline of each is compared with the footprint again.
        footprint: WGS84 degrees.
        asset: Key of the asset that holds the pixels, such as "image".
    """
    found: dict[int, list[StacItem]] = defaultdict(list)
    for item in items:
        year = item.year or (item.start.year if item.start is not None else None)
        if year is None:
            _log.warning("item %s is left out: it states neither a year nor a date", item.id)
        elif asset in item.assets and item.touches(footprint):
            found[year].append(item)
    return {year: sorted(some, key=lambda item: item.id) for year, some in found.items()}


def centred_grid(lon: float, lat: float, size: int, gsd: float) -> Grid:
    """Return the grid of `size` x `size` pixels of `gsd` metres centred on a place, in its UTM zone.

    Args:
        lon: WGS84 longitude of the centre, degrees.
        lat: WGS84 latitude of the centre, degrees.
        size: Side in pixels.
        gsd: Side of a pixel, metres of the projection (UTM; UPS near the poles).

    Returns:
        North up. The place is the corner that the four middle pixels share where `size` is even.
    """
    crs = local_crs(lon, lat)
    ((x, y),) = reproject(np.array([[lon, lat]]), "EPSG:4326", crs)
    half = size * gsd / 2
    return Grid(crs, Affine(gsd, 0, x - half, 0, -gsd, y + half), size, size)


def ground_square(lon: float, lat: float, width_m: float) -> shapely.Polygon:
    """Return a square on the ground about a place, WGS84 degrees, longitudes unwrapped.

    Args:
        lon: WGS84 longitude of the centre, degrees.
        lat: WGS84 latitude of the centre, degrees.
        width_m: Side on the ground, metres along the ellipsoid.

    Returns:
        A box along meridians and parallels.
    """
    _, north, _ = _GEOD.fwd(lon, lat, 0, width_m / 2)
    east, _, _ = _GEOD.fwd(lon, lat, 90, width_m / 2)
    across, up = abs(east - lon), abs(north - lat)
    return shapely.box(lon - across, lat - up, lon + across, lat + up)
