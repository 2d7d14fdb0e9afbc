"""Source `tiles` of aerial images: the imagery of a tile service, for countries without a catalog of years."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import cv2
import numpy as np
from pydantic import Field, model_validator

from raster.grid import Grid, project
from raster.image import Image
from stages.acquire.contact import contact_problems
from stages.acquire.service import TileServiceSource
from stages.acquire.source import Site
from stages.fetch.client import RateLimits
from stages.landmarks.aerial_stac import centred_grid, ground_square
from stages.landmarks.licences import imagery_problems
from stages.landmarks.sources import AerialSource, Chip, HostLoad, Row

_BYTES_A_PIXEL = 0.25


class TilesAerial(AerialSource):
    """One image of each place, of a year that the configuration states: services do not tell it."""

    KEYLESS: ClassVar[frozenset[str]] = frozenset({"permission", "rate_limits", "key_variable"})
    kind: Literal["tiles"] = "tiles"
    provider: str = Field("", description="Name in the registry, or `xyz:NAME` of the package xyzservices.")
    url: str = Field("", description="Instead: a template with {z}, {x}, {y}.")
    licence: str = Field("", description="With a url: licence of the imagery.")
    attribution: str = Field("", description="With a url: line of credit that the licence asks for.")
    year: int = Field(ge=1900, le=2100, description="Year of the imagery.")
    tile_size: Literal[256, 512] = Field(256, description="With a url: size of its tiles in px.")
    zooms: tuple[int, int] = Field((0, 22), description="With a url: least and greatest zoom that it has.")
    key_variable: str = Field("", description="With a url: environment variable that holds {key}.")
    permission: str = Field("", description="If the terms do not allow bulk downloads: by whose permission you fetch.")
    rate_limits: RateLimits = Field(RateLimits(), description="Limits towards the host.")

    @model_validator(mode="after")
    def _is_a_service(self) -> TilesAerial:
        if self.url and not (self.licence and self.attribution):
            raise ValueError("with a url, give licence and attribution, too")
        _ = self.service  # whatever is wrong with the provider or the url is said here
        return self

    @cached_property
    def service(self) -> TileServiceSource:
        """The tile service, as the stage `acquire` knows it."""
        given: dict[str, Any] = {"kind": "tiles", "permission": self.permission, "rate_limits": self.rate_limits}
        if self.provider:
            return TileServiceSource.model_validate(given | {"provider": self.provider})
        own = ("url", "licence", "attribution", "tile_size", "zooms", "key_variable")
        source = {"source": urlsplit(self.url).netloc}
        return TileServiceSource.model_validate(given | source | {name: getattr(self, name) for name in own})

    def identity(self, landmark: Row) -> str:
        """Return the service's template."""
        return self.service.resolved().url

    def chips(self, place: Row, size: int, gsd: float, workspace: Path) -> Iterator[Chip]:
        """Fetch the tiles and resample them to metres; see `AerialSource`."""
        grid = centred_grid(place["lon"], place["lat"], size, gsd)
        name = place["landmark_id"] or f"{place['lon']:.6f}_{place['lat']:.6f}"
        # A little more than the square, as a grid of metres is turned against one of degrees.
        footprint = ground_square(place["lon"], place["lat"], size * gsd * 1.1)
        with self.service.open(Site(name, "1", footprint, gsd, ""), workspace) as strips:
            tiles = np.concatenate([strip.copy() for strip in strips.pixels])
            pixels = resampled(tiles, strips.grid, grid)
        provider = self.service.resolved()
        yield Chip(
            self.year, pixels, (provider.name,), str(self.year), provider.licence, provider.attribution,
            f"https://{urlsplit(provider.url).hostname}/",
        )  # fmt: skip

    def problems(self) -> list[str]:
        """Return a contact that is missing or not yours, or a licence that forbids to publish."""
        provider = self.service.resolved()
        contact = contact_problems(self.rate_limits, urlsplit(provider.url).hostname or "")
        return imagery_problems(provider.licence) + contact

    def load(self, landmarks: float) -> Mapping[str, HostLoad]:
        """Count the tiles of a square of 800 px."""
        provider = self.service.resolved()
        tiles = landmarks * (800 / provider.tile_size + 1) ** 2
        size = tiles * provider.tile_size**2 * _BYTES_A_PIXEL
        limits = self.rate_limits
        load = HostLoad(tiles, size, limits.requests_per_second, limits.bytes_per_second)
        return {urlsplit(provider.url).netloc: load}


def resampled(image: Image, source: Grid, target: Grid) -> Image:
    """Return an RGBA image on another grid, bilinear; transparent where it has no data.

    Args:
        image: (H, W, 4) uint8, alpha 0 is no data.
        source: Grid of the image.
        target: Grid of the result; its CRS may be another.

    Returns:
        (target.height, target.width, 4) uint8. A pixel next to one without data is transparent too, as its colours are
        mixed with those of nothing.
    """
    columns, rows = np.meshgrid(np.arange(target.width), np.arange(target.height))
    points = project(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float), target, source)
    places = points.reshape(target.height, target.width, 2).astype(np.float32)
    moved = cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    moved[moved[..., 3] < 255] = 0
    return np.asarray(moved, np.uint8)
