"""Source `tiles`: a tile service over HTTP (XYZ, TMS or WMTS-REST in Web Mercator)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, model_validator

from pipeline.errors import PermanentError
from pipeline.files import digest_bytes
from pipeline.unit_progress import UnitProgress, current_progress
from raster.image import Image
from stages.acquire.contact import contact_problems
from stages.acquire.source import Load, Site, Source, Strips
from stages.acquire.tiles import TileMatrix, TileWindow
from stages.fetch.client import Client, RateLimits, Request, Response
from stages.fetch.prefetch import iterate_in_thread
from stages.fetch.responses import InvalidResponse, TileDecoder
from stages.fetch.tile_cache import TileCache, evict
from stages.providers import Provider, find_provider
from stages.providers.template import template_problem

CACHE = "cache"
_PREFETCH_ROWS = 2
_PREFETCH_TILES = 512
"""At least so many requests are in progress or wait for a slot, so that a few repeated ones do not hold up all."""
_BYTES_A_PIXEL = 0.25  # of the real Swiss tiles: imagery 0.24 to 0.28, map 0.9


class TileServiceSource(Source):
    """Tiles of a provider of the registry (`mapdata providers`), or of a URL template of your own."""

    KEYLESS = frozenset({"permission", "rate_limits", "cache_gb", "key_variable", "cost_per_1000"})
    TELLS_PROGRESS = True
    kind: Literal["tiles"]
    provider: str = Field(default="", description="Name in the registry, or `xyz:NAME` of the package xyzservices.")
    url: str = Field(
        default="", description="Instead: template with {z}, {x}, {y} or {-y} (TMS), as of `Provider.url`."
    )
    tile_size: Literal[256, 512] = Field(default=256, description="With a url: size of its tiles in px.")
    zooms: tuple[int, int] = Field(default=(0, 22), description="With a url: least and greatest zoom it has.")
    key_variable: str = Field(default="", description="With a url: environment variable that holds {key}.")
    placeholders: frozenset[str] = Field(default=frozenset(), description="BLAKE3 digests of 'no imagery' tiles.")
    zoom: int | None = Field(default=None, ge=0, le=24, description="Zoom; default: nearest to the site's gsd.")
    permission: str = Field(
        default="", description="If the provider's terms do not allow bulk downloads: by whose permission you fetch."
    )
    rate_limits: RateLimits = Field(
        default=RateLimits(),
        validation_alias=AliasChoices("rate_limits", "politeness"),  # older configurations have the second name
        description="Limits towards the host.",
    )
    cost_per_1000: float | None = Field(
        default=None,
        ge=0,
        description="What 1,000 requests cost you, in any currency, for `mapdata plan`.",
    )
    cache_gb: float = Field(default=20.0, gt=0, description="Disk budget for fetched tiles kept in the workspace.")

    @model_validator(mode="before")
    @classmethod
    def _take_over_from_the_provider(cls, data: Any) -> Any:
        if not isinstance(data, dict) or bool(data.get("provider")) == bool(data.get("url")):
            raise ValueError("give either provider or url")
        if not data.get("provider"):
            url = str(data["url"])
            if problem := template_problem(url, bool(data.get("key_variable"))):
                raise ValueError(f"url: {problem}")
            return data
        try:
            provider = find_provider(data["provider"])
        except PermanentError as error:
            raise ValueError(str(error)) from error
        known = {"source": provider.name, "licence": provider.licence, "attribution": provider.attribution}
        return known | data

    def resolved(self) -> Provider:
        """Return the provider, of the registry or made of the url."""
        if self.provider:
            return find_provider(self.provider)
        return Provider(
            name=self.source,
            url=self.url,
            zooms=self.zooms,
            tile_size=self.tile_size,
            bulk="allowed",
            licence=self.licence,
            attribution=self.attribution,
            key_variable=self.key_variable,
        )

    def needs(self) -> list[str]:
        """Return the permission that the terms ask for and the key, where they are missing."""
        return self.resolved().needs(self.permission)

    def problems(self, sites: Sequence[Site]) -> list[str]:
        """Return a contact that is missing or not yours, and a zoom that the service does not have."""
        least, most = self.resolved().zooms
        found = contact_problems(self.rate_limits, urlsplit(self.resolved().url).hostname or "")
        if self.zoom is not None and not least <= self.zoom <= most:
            found.append(f"zoom: {self.zoom} is beyond what the service has, {least} to {most}")
        return found

    def load(self, site: Site) -> Load:
        """Count the site's tiles; a tile that the service does not have takes a second request.

        Raises:
            PermanentError: The site lies beyond 85 degrees of latitude.
        """
        window = self._window(site)
        tiles = window.tile_count
        host = urlsplit(self.resolved().url).netloc
        size = tiles * window.matrix.size**2 * _BYTES_A_PIXEL
        cost = None if self.cost_per_1000 is None else tiles / 1000 * self.cost_per_1000
        return Load(host, tiles, round(size), self.rate_limits.requests_per_second, cost)

    def identity(self, site: Site) -> str:
        """Return the service's template: a changed registry entry is another source."""
        return digest_bytes(self.resolved().url.encode())

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Fetch the site's tiles; see `Source.open`."""
        self.check()
        window = self._window(site)
        cache = workspace / CACHE / "tiles"
        identity = f"{self.resolved().url} zoom {window.matrix.zoom}"
        path = cache / digest_bytes(identity.encode())[:16] / f"{site.point_id}_{site.site_id}.sqlite"
        evict(cache, round(self.cache_gb * 1e9), keep=path)
        progress = current_progress()  # of this thread: the one that fetches has none
        progress.begin(window.tile_count, "tiles")
        rows = iterate_in_thread(lambda: self._rows(window, path, identity, workspace, progress))
        yield Strips(window.grid, window.strips(rows), {})
        evict(cache, round(self.cache_gb * 1e9), keep=path)

    def _window(self, site: Site) -> TileWindow:
        provider = self.resolved()
        if self.zoom is not None:
            matrix = TileMatrix(self.zoom, provider.tile_size)
        else:
            latitude = site.footprint.centroid.y
            matrix = TileMatrix.nearest(site.gsd, latitude, provider.zooms, provider.tile_size)
        return TileWindow.of_site(site, matrix, provider.name)

    async def _rows(
        self, window: TileWindow, path: Path, identity: str, workspace: Path, progress: UnitProgress
    ) -> AsyncIterator[list[Image | None]]:
        """Yield the tiles of each row, while those of the next rows are on their way."""
        provider = self.resolved()
        decoder = TileDecoder(provider.tile_size, provider.placeholders | self.placeholders)
        with TileCache(path, identity) as cache:
            async with Client(workspace / CACHE / "limiters", self.rate_limits, waits=progress.waits) as client:

                async def tile(column: int, y: int) -> Image | None:
                    x = window.wrapped(column)
                    known, body = cache.get(x, y)
                    if known:
                        try:
                            image = decoder.decode(body) if body is not None else None
                            progress.advance(known=True)
                            return image
                        except InvalidResponse:
                            cache.delete(x, y)  # damaged on disk: fetched anew

                    def accept(response: Response) -> Image:
                        image = decoder.decode(response.body)
                        cache.put(x, y, response.body)
                        return image

                    label = f"{provider.name} tile {window.matrix.zoom}/{x}/{y}"
                    url = provider.tile_url(window.matrix.zoom, x, y)
                    image = await client.get(Request(url, label, accept, is_absence=decoder.is_placeholder))
                    if image is None:
                        cache.put(x, y, None)
                    progress.advance()
                    return image

                ahead = max(_PREFETCH_ROWS, math.ceil(_PREFETCH_TILES / len(window.columns)))
                in_progress: list[list[asyncio.Task[Image | None]]] = []
                try:
                    for y in window.rows:
                        in_progress.append([asyncio.create_task(tile(x, y)) for x in window.columns])
                        if len(in_progress) > ahead:
                            yield list(await asyncio.gather(*in_progress[0]))
                            del in_progress[0]
                    for row in in_progress:
                        yield list(await asyncio.gather(*row))
                    # The next run of this site asks for the missing tiles again: a service may have them by then.
                    cache.delete_absences()
                finally:
                    await _cancel([task for row in in_progress for task in row])


async def _cancel(tasks: list[asyncio.Task[Image | None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
