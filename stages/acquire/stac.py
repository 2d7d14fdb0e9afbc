"""Source `stac`: imagery found through a STAC API or a static STAC catalog, read from Cloud Optimized GeoTIFFs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pystac
import shapely
from pydantic import Field
from pystac.stac_io import DefaultStacIO
from pystac_client import Client as ApiClient
from pystac_client.exceptions import APIError
from rasterio.errors import RasterioError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PermanentError, TransientError
from raster.errors import RasterError
from raster.gdal import Session
from raster.grid import Grid
from raster.image import Image
from raster.reader import ROWS, RasterReader, open_raster
from stages.acquire.local_grid import local_grid
from stages.acquire.service import CACHE
from stages.acquire.source import Site, Source, Strips, rgba
from stages.fetch.client import Client, RateLimits, Request
from stages.fetch.rate_limiter import RateLimiter

T = TypeVar("T")
Window = tuple[int, int, int, int]
"""x, y, width, height."""

_MAX_DOCUMENT_BYTES = 64 << 20
_TRANSIENT_WORDS = ("timed out", "timeout", "429", "500", "502", "503", "504", "reset", "refused", "resolve host")


class StacSource(Source):
    """Items of a catalog that touch the site, by date and cloud cover, mosaicked on a UTM grid of the site's gsd."""

    kind: Literal["stac"]
    catalog: str = Field(description="Landing page of a STAC API, or a static catalog's URL or path.")
    collections: tuple[str, ...] = Field(default=(), description="Collections to search; default: all.")
    asset: str = Field(default="image", description="Key of the asset to read, a GeoTIFF.")
    bands: tuple[int, ...] = Field(default=(), description="Bands as red, green, blue; default: the first three.")
    dates: tuple[str, str] | None = Field(default=None, description="First and last day, ISO 8601.")
    max_cloud_cover: float | None = Field(default=None, ge=0, le=100, description="Greatest eo:cloud_cover in percent.")
    prefer: Literal["newest", "clearest"] = Field(default="newest", description="Which item lies on top of others.")
    rate_limits: RateLimits = Field(default=RateLimits(), description="Limits towards each host.")

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Search, and open the items' rasters for reading by windows; see `Source.open`."""
        limiters = workspace / CACHE / "limiters"
        fitting = self._order(item for item in self._search(site, limiters) if self._fits(item, site))
        items = _visible(fitting, site)
        grid = local_grid(site)
        dates = sorted(item.datetime.date().isoformat() for item in items if item.datetime)
        date = "/".join(dict.fromkeys((dates[0], dates[-1]))) if dates else ""
        with Session(timeout_s=self.rate_limits.timeout_s).activate(), ExitStack() as stack:
            readers = [self._reader(stack, item, grid, limiters) for item in items]
            yield Strips(grid, self._strips(readers, grid), {"DATE": date})

    def _search(self, site: Site, limiters: Path) -> Iterator[pystac.Item]:
        try:
            root = pystac.Catalog.from_file(self.catalog, stac_io=_RateLimitedIO(limiters, self.rate_limits))
            if root.get_single_link("search") is not None:
                yield from self._search_api(site)
                return
            catalogs: Sequence[pystac.Catalog] = [root]
            if self.collections:
                known = {child.id: child for child in root.get_all_collections()}
                missing = [name for name in self.collections if name not in known]
                if missing:
                    has = ", ".join(sorted(known)) or "none"
                    raise PermanentError(f"{self.catalog}: no collection {', '.join(missing)}; it has {has}")
                catalogs = [known[name] for name in self.collections]
            for catalog in catalogs:
                yield from catalog.get_items(recursive=True)
        except (pystac.STACError, OSError, ValueError, KeyError) as error:
            raise PermanentError(f"{self.catalog}: cannot be read as STAC ({error}); check the address") from error

    def _search_api(self, site: Site) -> Iterator[pystac.Item]:
        try:
            api = ApiClient.open(self.catalog, timeout=self.rate_limits.timeout_s)
            yield from api.search(
                collections=list(self.collections) or None,
                bbox=site.footprint.bounds,
                datetime="/".join(self.dates) if self.dates else None,
                method="GET",
            ).items()
        except APIError as error:
            known = error.status_code is not None and error.status_code < 500 and error.status_code != 429
            kind = PermanentError if known else TransientError
            raise kind(f"{urlsplit(self.catalog).netloc}: the search failed (status {error.status_code})") from None

    def _fits(self, item: pystac.Item, site: Site) -> bool:
        if self.asset not in item.assets or not _footprint(item).intersects(site.footprint):
            return False
        if self.dates and item.datetime:
            day = item.datetime.date().isoformat()
            if not self.dates[0][:10] <= day <= self.dates[1][:10]:
                return False
        cloud = item.properties.get("eo:cloud_cover")
        return self.max_cloud_cover is None or cloud is None or cloud <= self.max_cloud_cover

    def _order(self, items: Iterator[pystac.Item]) -> list[pystac.Item]:
        """Return the items, the one on top first; ids break ties, so that the mosaic is always the same."""
        found = sorted(items, key=lambda item: item.id)
        found.sort(key=lambda item: item.datetime.isoformat() if item.datetime else "", reverse=True)
        if self.prefer == "clearest":
            found.sort(key=lambda item: float(item.properties.get("eo:cloud_cover") or 0.0))
        return found

    def _reader(self, stack: ExitStack, item: pystac.Item, grid: Grid, limiters: Path) -> Callable[[Window], Image]:
        """Return a function that reads a window of an item's raster on the site's grid, in the host's turn."""
        href = item.assets[self.asset].get_absolute_href() or ""
        parts = urlsplit(href)
        remote = parts.scheme in ("http", "https")
        if not remote and parts.scheme not in ("", "file"):
            raise PermanentError(
                f"item {item.id}: asset {self.asset!r} has an address of the kind {parts.scheme}:, unknown"
            )
        name = f"item {item.id}, asset {self.asset!r}"
        limits = self.rate_limits
        limiter = RateLimiter(limiters, parts.netloc, limits.requests_per_second, limits.concurrent) if remote else None
        address = f"/vsicurl/{href}" if remote else parts.path

        def opened() -> RasterReader:
            original = stack.enter_context(open_raster(address, self.bands, name, siblings=not remote))
            return stack.enter_context(original.on_grid(grid))

        view = _within_limits(name, limiter, opened)
        return lambda window: rgba(*_within_limits(name, limiter, lambda: view.read(*window)))

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


def _footprint(item: pystac.Item) -> BaseGeometry:
    return shape(item.geometry) if item.geometry is not None else shapely.Polygon()


def _visible(items: Sequence[pystac.Item], site: Site) -> list[pystac.Item]:
    """Leave out the items that lie wholly under those before them."""
    covered: BaseGeometry = shapely.Polygon()
    result = []
    for item in items:
        outline = _footprint(item).intersection(site.footprint)
        if not covered.covers(outline):
            covered = covered.union(outline)
            result.append(item)
    return result


def _within_limits(name: str, limiter: RateLimiter | None, action: Callable[[], T]) -> T:
    """Do what reads from a host in its turn, and say which item failed: GDAL's own messages may hold the URL."""

    async def wait_and_do(limiter: RateLimiter) -> T:
        async with limiter.slot():
            return action()

    try:
        return action() if limiter is None else asyncio.run(wait_and_do(limiter))
    except (RasterioError, RasterError) as error:
        if error.__cause__ is None and isinstance(error, RasterError):
            raise PermanentError(str(error)) from None
        words = str(_root(error)).lower()
        if limiter is not None and any(sign in words for sign in _TRANSIENT_WORDS):
            limiter.failed()
            raise TransientError(f"{name}: its host does not answer now; run again later") from None
        raise PermanentError(f"{name}: cannot be read; the file is missing, damaged or refused to us") from None


def _root(error: BaseException) -> BaseException:
    """Return what an error was first caused by."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


class _RateLimitedIO(DefaultStacIO):
    """Reads STAC documents from disk or, through the run's limiters, over HTTP."""

    def __init__(self, limiters: Path, rate_limits: RateLimits) -> None:
        super().__init__()
        self._limiters = limiters
        self._rate_limits = rate_limits

    def read_text_from_href(self, href: str, *args: Any, **kwargs: Any) -> str:
        parts = urlsplit(href)
        if parts.scheme not in ("http", "https"):
            return super().read_text_from_href(href, *args, **kwargs)

        async def fetch() -> str | None:
            request = Request(href, f"STAC document {parts.path}", bytes.decode, max_bytes=_MAX_DOCUMENT_BYTES)
            async with Client(self._limiters, self._rate_limits) as client:
                return await client.get(request)

        text = asyncio.run(fetch())
        if text is None:
            raise PermanentError(f"STAC document {parts.path} does not exist at {parts.netloc}; check the catalog")
        return text
