"""Source `stac`: imagery found through a STAC API or a static STAC catalog, read from Cloud Optimized GeoTIFFs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import numpy as np
import shapely
from pydantic import AliasChoices, Field, field_validator, model_validator
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PermanentError
from raster.errors import RasterError
from raster.grid import Grid
from raster.image import Image
from raster.reader import ROWS, RasterReader, open_raster
from stages.acquire.asset_access import AssetAccess
from stages.acquire.contact import contact_problems
from stages.acquire.keys import credentials_of, key_problem, without_key
from stages.acquire.local_grid import local_grid
from stages.acquire.service import CACHE
from stages.acquire.source import Site, Source, Strips, rgba
from stages.acquire.stac_catalog import CatalogReader, StacItem, local_path
from stages.fetch.blocking import BlockingClient
from stages.fetch.client import RateLimits
from stages.fetch.reach import Reach
from stages.fetch.remote_file import RemoteFile
from stages.fetch.url_secrets import literal_secret

Window = tuple[int, int, int, int]
"""x, y, width, height."""

_DRIVERS = ((b"II*\0", "GTiff"), (b"MM\0*", "GTiff"), (b"II+\0", "GTiff"), (b"MM\0+", "GTiff"))
_JPEG2000 = (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
_log = logging.getLogger(__name__)


class StacSource(Source):
    """Items of a catalog that touch the site, by date and cloud cover, mosaicked on a UTM grid of the site's gsd."""

    KEYLESS = frozenset({"rate_limits", "key_variable", "headers"})
    kind: Literal["stac"]
    catalog: str = Field(
        description="Landing page of a STAC API, or a static catalog's URL or path. A part of its path or a "
        "parameter of its query may be {key}, which goes to the catalog's host and to no other."
    )
    key_variable: str = Field(default="", description="Environment variable that holds {key}.")
    headers: dict[str, str] = Field(
        default={}, description='Headers with {key} for the catalog\'s host, such as Authorization: "Bearer {key}".'
    )
    collections: tuple[str, ...] = Field(default=(), description="Collections to search; default: all.")
    asset: str = Field(default="image", description="Key of the asset to read, a GeoTIFF or JPEG 2000 file.")
    bands: tuple[int, ...] = Field(default=(), description="Bands as red, green, blue; default: the first three.")
    dates: tuple[str, str] | None = Field(
        default=None, description="First and last day, ISO 8601. Items without a date do not fit."
    )
    max_cloud_cover: float | None = Field(
        default=None,
        ge=0,
        le=100,
        validation_alias=AliasChoices("max_cloud_cover", "most_cloud"),  # older configurations have the second name
        description="Greatest eo:cloud_cover in percent. Items that do not tell theirs do not fit.",
    )
    prefer: Literal["newest", "clearest"] = Field(default="newest", description="Which item lies on top of others.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts, or hosts with ports, that the catalog may refer to though their addresses are private; its "
        "own host is one of them.",
    )
    rate_limits: RateLimits = Field(
        default=RateLimits(),
        validation_alias=AliasChoices("rate_limits", "politeness"),  # older configurations have the second name
        description="Limits towards each host.",
    )

    @field_validator("catalog")
    @classmethod
    def _holds_no_secret(cls, catalog: str) -> str:
        if secret := literal_secret(catalog):
            raise ValueError(
                f"the URL holds {secret}: configurations and ledgers are no place for secrets. Write {{key}} in its "
                "place, or in `headers`, and name its environment variable as `key_variable`"
            )
        return catalog

    @field_validator("dates")
    @classmethod
    def _are_days(cls, dates: tuple[str, str] | None) -> tuple[str, str] | None:
        if dates is not None:
            first, last = map(_day, dates)
            if last < first:
                raise ValueError(f"the last day, {last}, comes before the first, {first}")
        return dates

    @model_validator(mode="after")
    def _has_a_place_for_the_key(self) -> StacSource:
        if problem := key_problem(self.catalog, self.headers, self.key_variable):
            raise ValueError(problem)
        return self

    def needs(self) -> list[str]:
        """Return the key, where its environment variable is not set."""
        try:
            credentials_of(self.catalog, self.headers, self.key_variable)
        except PermanentError as error:
            return [str(error)]
        return []

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Search, and open the items' rasters for reading by windows; see `Source.open`."""
        limiters = workspace / CACHE / "limiters"
        credentials = credentials_of(self.catalog, self.headers, self.key_variable)
        with BlockingClient(limiters, self.rate_limits, self._reach(), credentials) as client:
            items = _visible(self._order(self._fitting(site, client)), site)
            grid = local_grid(site)
            days = sorted(moment.date().isoformat() for item in items for moment in (item.start, item.end) if moment)
            tag = "/".join(dict.fromkeys((days[0], days[-1]))) if days else ""
            with ExitStack() as stack:
                readers = [self._reader(stack, item, grid, client) for item in items]
                yield Strips(grid, self._strips(readers, grid), {"DATE": tag})

    def problems(self, sites: Sequence[Site]) -> list[str]:
        """Return a local catalog that is missing, or a contact that is missing or not yours."""
        parts = urlsplit(self.catalog)
        if parts.scheme in ("http", "https"):
            return contact_problems(self.rate_limits, parts.hostname or "")
        path = local_path(self.catalog)
        return [] if path is None or path.exists() else [f"catalog: {path}: there is no such file"]

    def _reach(self) -> Reach:
        parts = urlsplit(self.catalog)
        if parts.scheme not in ("http", "https"):
            return Reach(self.allowed_hosts)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        return Reach({*self.allowed_hosts, f"{parts.hostname}:{port}"})

    def _fitting(self, site: Site, client: BlockingClient) -> list[StacItem]:
        """Return the items of the site's place, dates and cloud cover that have the asset.

        Raises:
            PermanentError: There are items, but none has the asset.
        """
        days = (_day(self.dates[0]), _day(self.dates[1])) if self.dates else None
        reader = CatalogReader(without_key(self.catalog), client)
        found = [
            item
            for item in reader.items(self.collections, site.footprint, days)
            if item.touches(site.footprint)
            and (days is None or item.within(*days))
            and (
                self.max_cloud_cover is None
                or (item.cloud_cover is not None and item.cloud_cover <= self.max_cloud_cover)
            )
        ]
        fitting = [item for item in found if self.asset in item.assets]
        if found and not fitting:
            keys = ", ".join(sorted({key for item in found for key in item.assets})) or "none"
            raise PermanentError(
                f"site {site.name}: none of {len(found)} items has an asset {self.asset!r}; their assets are: {keys}"
            )
        return fitting

    def _order(self, items: Iterable[StacItem]) -> list[StacItem]:
        """Return the items, the one on top first; ids break ties, so that the mosaic is always the same."""
        found = sorted(items, key=lambda item: item.id)
        found.sort(key=lambda item: item.end.timestamp() if item.end else float("-inf"), reverse=True)
        if self.prefer == "clearest":
            found.sort(key=lambda item: item.cloud_cover if item.cloud_cover is not None else float("inf"))
        return found

    def _reader(
        self, stack: ExitStack, item: StacItem, grid: Grid, client: BlockingClient
    ) -> Callable[[Window], Image]:
        """Return a function that reads a window of an item's raster on the site's grid."""
        name = f"item {item.id}, asset {self.asset!r}"
        remote, raster = open_asset(stack, item, self.asset, self.bands, client)
        with asset_failures(name, remote):
            view = stack.enter_context(raster.on_grid(grid))

        def read(window: Window) -> Image:
            with asset_failures(name, remote):
                return rgba(*view.read(*window))

        return read

    def _strips(self, readers: Sequence[Callable[[Window], Image]], grid: Grid) -> Iterator[Image]:
        """Lay the items over each other: a pixel is that of the first item that has data there."""
        for row in range(0, grid.height, ROWS):
            window = (0, row, grid.width, min(ROWS, grid.height - row))
            strip = np.zeros((window[3], grid.width, 4), np.uint8)
            for read in readers:
                empty = strip[..., 3] == 0
                if not empty.any():
                    break
                strip[empty] = read(window)[empty]
            yield strip


def _day(value: str) -> date:
    try:
        return datetime.fromisoformat(value).date()
    except ValueError:
        raise ValueError(f"{value!r} is not a day such as 2024-05-31") from None


def open_asset(
    stack: ExitStack,
    item: StacItem,
    asset: str,
    bands: Sequence[int],
    client: BlockingClient,
    access: AssetAccess | None = None,
) -> tuple[RemoteFile | None, RasterReader]:
    """Open an item's file with the driver that its first bytes call for, and with no other.

    A driver that follows references, such as VRT or WMS, is never tried, whatever the file's name says.

    Args:
        stack: Closes what is opened.
        item: The item.
        asset: Key of the asset.
        bands: As of `open_raster`.
        client: Sends the requests.
        access: Signs the address; by default it is taken as it is.
    """
    name, address = f"item {item.id}, asset {asset!r}", item.assets[asset]
    access = access or AssetAccess()
    if urlsplit(address).scheme not in ("", "file"):
        address = access.address(address, client)
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        remote = RemoteFile(client, address, name, access.headers, access.missing)
        with asset_failures(name, remote):
            driver = _driver(remote.read(12), name)
        file = "asset.tif" if driver == "GTiff" else "asset.jp2"

        def opener(path: str, mode: str = "r") -> RemoteFile:
            if not path.endswith(file):
                raise FileNotFoundError(path)  # files that GDAL looks for beside a raster
            remote.seek(0)
            return remote

        with asset_failures(name, remote):
            opened = open_raster(file, bands, name, siblings=False, driver=driver, opener=opener)
            return remote, stack.enter_context(opened)
    if item.remote or scheme not in ("", "file"):
        kind = scheme or "file"
        raise PermanentError(f"{name}: refused an address of the kind {kind}:; only https: and http: are read")
    path = local_path(address)
    if not path.is_file():
        raise PermanentError(f"{name}: there is no file {path}")
    with path.open("rb") as head:
        driver = _driver(head.read(12), name)
    with asset_failures(name, None):
        return None, stack.enter_context(open_raster(path, bands, name, driver=driver))


def _driver(head: bytes, name: str) -> str:
    for signature, driver in _DRIVERS:
        if head.startswith(signature):
            return driver
    if head.startswith(_JPEG2000):
        return "JP2OpenJPEG"
    raise PermanentError(f"{name}: this is neither a GeoTIFF nor a JPEG 2000 file; choose another asset")


@contextmanager
def asset_failures(name: str, remote: RemoteFile | None) -> Iterator[None]:
    """Say which item failed and why: GDAL knows only that a read failed, and its messages may hold the URL.

    Args:
        name: Item and asset. It has no effect here: the errors that are passed on name them already.
        remote: The file that GDAL reads by range requests; None for a local one. Its own error takes precedence, even
            where GDAL went on without the bytes that failed.

    Raises:
        PermanentError: The file cannot be read.
        TransientError: The host failed so often that the file was given up for now.
    """
    try:
        yield
    except (RasterError, PermanentError) as error:
        if remote is not None and remote.error is not None:
            raise remote.error from None
        raise PermanentError(str(error)) from None
    if remote is not None and remote.error is not None:
        raise remote.error


def _visible(items: Sequence[StacItem], site: Site) -> list[StacItem]:
    """Leave out the items that lie wholly under those before them."""
    covered: BaseGeometry = shapely.Polygon()
    result = []
    for item in items:
        outline = item.part_of(site.footprint)
        if not covered.covers(outline):
            covered = covered.union(outline)
            result.append(item)
    return result
