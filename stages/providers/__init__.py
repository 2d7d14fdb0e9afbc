"""Tile services: where their tiles are, what they may be used for, whose they are.

`registry.yaml` holds those known to the project, open ones first; any entry of the package `xyzservices` can be named
as `xyz:NAME`, with terms unknown. A provider whose terms do not allow bulk downloads is used only if the configuration
states the user's permission in words.
"""

from __future__ import annotations

import difflib
import os
from functools import cache
from importlib import resources
from typing import Literal

import xyzservices
import xyzservices.providers
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import PermanentError
from stages.providers import template

XYZ_PREFIX = "xyz:"


class Provider(BaseModel):
    """A tile service in Web Mercator (EPSG:3857, the grid of OpenStreetMap and Google)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    side: Literal["map", "visible"] | None = Field(default=None, description="What its tiles show; null: unknown.")
    url: str = Field(
        description="Template with {z}, {x}, {y} (or {-y}: counted from the south, TMS), their names in WMTS, or "
        "{quadkey}; {s}, {switch:a,b,c}, {r} and {key} are filled in, too."
    )
    zooms: tuple[int, int] = Field(default=(0, 22), description="Least and greatest zoom that has tiles.")
    tile_size: Literal[256, 512] = Field(default=256, description="Width and height of a tile in px.")
    countries: tuple[str, ...] = Field(default=(), description="ISO codes of what it covers; empty: the world.")
    bulk: Literal["allowed", "ask", "forbidden"] = Field(
        default="ask", description="Do the terms allow bulk downloads?"
    )
    licence: str = Field(description="Licence of the pictures; goes with every raster and pair.")
    attribution: str = Field(description="The words that name the source; go with every raster and pair.")
    terms: str = Field(default="", description="Page of the terms.")
    key_variable: str = Field(default="", description="Environment variable of the user's key, if one is needed.")
    placeholders: frozenset[str] = Field(default=frozenset(), description="BLAKE3 digests of 'no imagery' pictures.")
    note: str = Field(default="", description="What else a user should know.")

    def tile_url(self, z: int, x: int, y: int) -> str:
        """Return the URL of a tile, the key filled in: it must never be logged or stored.

        Args:
            z: Zoom.
            x: Column, counted from 180 degrees west.
            y: Row, counted from the north.

        Raises:
            PermanentError: The environment variable of the key is not set.
        """
        return template.tile_url(self.url, z, x, y, self.tile_size, self._key())

    @model_validator(mode="after")
    def _template_is_complete(self) -> Provider:
        if problem := template.template_problem(self.url, bool(self.key_variable)):
            raise ValueError(f"url: {problem}")
        return self

    def needs(self, permission: str) -> list[str]:
        """Return what is missing before the service may be used: the permission that its terms ask for, the key.

        Args:
            permission: By whose permission the user fetches, in words; may be empty.

        Returns:
            What is missing, each with what to do.
        """
        missing = []
        if self.bulk != "allowed" and not permission.strip():
            known = "forbid bulk downloads" if self.bulk == "forbidden" else "do not clearly allow bulk downloads"
            missing.append(
                f"provider {self.name!r}: its terms {known} ({self.terms or 'read them'}). If you have the right, say "
                "whose permission it is in the source's field `permission`; otherwise choose another provider"
            )
        try:
            self._key()
        except PermanentError as error:
            missing.append(str(error))
        return missing

    def _key(self) -> str:
        if not self.key_variable:
            return ""
        key = os.environ.get(self.key_variable, "")
        if not key:
            raise PermanentError(
                f"provider {self.name!r} needs your key in the environment variable {self.key_variable}"
            )
        return key


@cache
def registry() -> dict[str, Provider]:
    """Return the project's own providers by name."""
    text = resources.files("stages.providers").joinpath("registry.yaml").read_text("utf-8")
    return {name: _resolve(name, entry) for name, entry in yaml.safe_load(text).items()}


def find_provider(name: str) -> Provider:
    """Return a provider of the registry, or any of xyzservices as `xyz:NAME`.

    Raises:
        PermanentError: There is no such provider, or its URL cannot be filled in here.
    """
    if name.startswith(XYZ_PREFIX):
        tiles = _xyz(name.removeprefix(XYZ_PREFIX))
        attribution = tiles.get("attribution", "")
        try:
            return Provider(
                name=name, url=_template(tiles), licence="see attribution", attribution=attribution, zooms=_zooms(tiles)
            )
        except ValueError as error:  # also pydantic's
            raise PermanentError(
                f"provider {name!r} needs values that only its owner gives, such as a key: write its URL with {{key}} "
                "and key_variable in the source's own fields instead of `provider`"
            ) from error
    if name not in registry():
        near = difflib.get_close_matches(name, registry(), 3) or sorted(registry())
        raise PermanentError(f"no provider is called {name!r}; did you mean {', '.join(near)}?")
    return registry()[name]


def _resolve(name: str, entry: dict[str, object]) -> Provider:
    fields = dict(entry)
    if source := fields.pop("xyz", None):
        fields["url"] = _template(_xyz(str(source)))
    return Provider.model_validate({"name": name, **fields})


def _xyz(name: str) -> xyzservices.TileProvider:
    known = xyzservices.providers.flatten()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        raise PermanentError(f"xyzservices has no provider {name!r}; did you mean {', '.join(near) or 'another one'}?")
    return known[name]


def _template(tiles: xyzservices.TileProvider) -> str:
    """Return the URL with its variants filled in and the tile's place left open."""
    return str(tiles.build_url(x="{x}", y="{y}", z="{z}", scale_factor="", fill_subdomain=True))


def _zooms(tiles: xyzservices.TileProvider) -> tuple[int, int]:
    return int(tiles.get("min_zoom", 0)), int(tiles.get("max_zoom", 19))
