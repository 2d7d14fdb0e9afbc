"""Source `tiles`: a tile service over HTTP (XYZ, TMS or WMTS-REST in Web Mercator)."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from pipeline.errors import PermanentError
from pipeline.files import digest_bytes
from raster.image import Image
from stages.acquire.source import Load, Site, Source, Strips
from stages.acquire.tiles import TileMatrix, TileWindow
from stages.fetch.client import Client, RateLimits, Request
from stages.fetch.prefetch import iterate_in_thread
from stages.fetch.responses import InvalidResponse, TileDecoder
from stages.fetch.tile_cache import TileCache, evict
from stages.providers import Provider, find_provider

CACHE = "cache"
_PREFETCH_ROWS = 2
_PREFETCH_TILES = 512
"""At least so many are under way or waiting for a turn, so that a few that are asked for again do not hold up all."""
_BYTES_A_PIXEL = 0.25  # of the real Swiss tiles: imagery 0.24 to 0.28, map 0.9
_LITERAL_SECRET = re.compile(r"[?&](?:[\w-]*(?:key|token|secret|signature|password|session))=(?!\{key\})[^&]+", re.I)


class TileServiceSource(Source):
    """Tiles of a provider of the registry (`mapdata providers`), or of a URL template of your own."""

    kind: Literal["tiles"]
    provider: str = Field(default="", description="Name in the registry, or `xyz:NAME` of the package xyzservices.")
    url: str = Field(default="", description="Instead: template with {z}, {x}, {y} or {-y} (TMS), and perhaps {key}.")
    tile_size: Literal[256, 512] = Field(default=256, description="With a url: size of its tiles in px.")
    zooms: tuple[int, int] = Field(default=(0, 22), description="With a url: least and greatest zoom it has.")
    key_variable: str = Field(default="", description="With a url: environment variable that holds {key}.")
    placeholders: frozenset[str] = Field(default=frozenset(), description="BLAKE3 digests of 'no imagery' tiles.")
    zoom: int | None = Field(default=None, ge=0, le=24, description="Zoom; default: nearest to the site's gsd.")
    permission: str = Field(
        default="", description="If the provider's terms do not allow bulk downloads: by whose permission you fetch."
    )
    rate_limits: RateLimits = Field(default=RateLimits(), description="Limits towards the host.")
    cache_gb: float = Field(default=20.0, gt=0, description="Disk budget for fetched tiles kept in the workspace.")

    @model_validator(mode="before")
    @classmethod
    def _take_over_from_the_provider(cls, data: Any) -> Any:
        if not isinstance(data, dict) or bool(data.get("provider")) == bool(data.get("url")):
            raise ValueError("give either provider or url")
        if not data.get("provider"):
            if _LITERAL_SECRET.search(data["url"]):
                raise ValueError("the url holds a key: write {key} instead and name its environment variable")
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

    def check(self) -> None:
        """Raise PermanentError if the terms forbid the use, or a key is missing."""
        self.resolved().check_use(self.permission)

    def load(self, site: Site) -> Load:
        """Count the site's tiles."""
        window = self._window(site)
        tiles = len(window.rows) * len(window.columns)
        host = urlsplit(self.resolved().url).netloc
        size = tiles * window.matrix.size**2 * _BYTES_A_PIXEL
        return Load(host, tiles, round(size), self.rate_limits.requests_per_second)

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
        yield Strips(
            window.grid, window.strips(iterate_in_thread(lambda: self._rows(window, path, identity, workspace))), {}
        )
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
        self, window: TileWindow, path: Path, identity: str, workspace: Path
    ) -> AsyncIterator[list[Image | None]]:
        """Yield the tiles of each row, while those of the next rows are under way."""
        provider = self.resolved()
        check = TileDecoder(provider.tile_size, provider.placeholders | self.placeholders)
        with TileCache(path, identity) as store:
            async with Client(workspace / CACHE / "limiters", self.rate_limits) as client:

                async def tile(x: int, y: int) -> Image | None:
                    known, body = store.get(x, y)
                    if known:
                        try:
                            return check.decode(body) if body is not None else None
                        except InvalidResponse:
                            store.forget(x, y)  # damaged on disk: ask again

                    def accept(body: bytes) -> Image:
                        image = check.decode(body)
                        store.put(x, y, body)
                        return image

                    label = f"{provider.name} tile {window.matrix.zoom}/{x}/{y}"
                    url = provider.tile_url(window.matrix.zoom, x, y)
                    image = await client.get(Request(url, label, accept, is_absence=check.is_placeholder))
                    if image is None:
                        store.put(x, y, None)
                    return image

                ahead = max(_PREFETCH_ROWS, math.ceil(_PREFETCH_TILES / len(window.columns)))
                under_way: list[list[asyncio.Task[Image | None]]] = []
                try:
                    for y in window.rows:
                        under_way.append([asyncio.create_task(tile(x, y)) for x in window.columns])
                        if len(under_way) > ahead:
                            yield list(await asyncio.gather(*under_way[0]))
                            del under_way[0]
                    for row in under_way:
                        yield list(await asyncio.gather(*row))
                finally:
                    await _cancel([task for row in under_way for task in row])


async def _cancel(tasks: list[asyncio.Task[Image | None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
