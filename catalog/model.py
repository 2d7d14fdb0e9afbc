"""What a release is made of: plain data, given by whoever made the pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa


class Format(StrEnum):
    """The parts a release may have besides manifest, card, Croissant metadata and checksums, which it always has."""

    FOLDERS = "folders"  # MapData/<point>/<site>/{L,R}/<pair>.<ext>
    ZARR = "zarr"  # mapdata.zarr
    RASTERS = "rasters"  # rasters/<point>/<site>/{map,visible}.tif, what the pairs were cut from
    STAC = "stac"  # stac/catalog.json and below


SIDES = ("map", "visible")

MANIFEST_NAME = "manifest.parquet"
RELEASE_NAME = "release.json"
CHECKSUMS_NAME = "checksums.b3"
CARD_NAME = "README.md"
CROISSANT_NAME = "croissant.json"
STORE_NAME = "mapdata.zarr"
FOLDERS_NAME = "MapData"
STAC_NAME = "stac"


@dataclass(frozen=True)
class Raster:
    """One side of a raster pair. `transform` is (a, b, c, d, e, f), GDAL's corner convention; `crs` a code or WKT."""

    file: Path
    digest: str  # BLAKE3, hexadecimal
    size: int  # bytes
    width: int  # px
    height: int  # px
    crs: str
    transform: tuple[float, ...]
    source: str
    licence: str
    attribution: str
    date: str  # when it was taken: a year, a month, a day, an ISO 8601 interval, or "" if unknown
    nodata_share: float


@dataclass(frozen=True)
class RasterPair:
    """A map raster, the visible raster of the same ground, and how the one was laid on the other."""

    point_id: str
    site_id: str
    map: Raster
    visible: Raster
    footprint: bytes  # WKB polygon, WGS84, of the visible raster
    gsd: float  # metres on the ground per pixel of the visible raster
    homography: tuple[float, ...]  # 9 numbers, row-major, map -> visible, full-resolution pixels
    method: str
    residual_px: float | None
    inliers: int | None
    stratum: str = ""
    evidence: tuple[Path, ...] = ()  # files that tell how it was aligned: tie points, drawings

    @property
    def id(self) -> str:
        """Return the pair's name, unique in the release: "001_1"."""
        return f"{self.point_id}_{self.site_id}"


@dataclass(frozen=True)
class Benchmark:
    """The split that matchers are compared on, and what was measured on it: matcher -> figure -> value.

    `note` says on how many pairs, when and on what; empty while nothing was measured.
    """

    split: str = "test"
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-able object."""
        return {
            "split": self.split,
            "note": self.note,
            "results": {key: dict(row) for key, row in self.results.items()},
        }


@dataclass(frozen=True)
class About:
    """What the card, the STAC collection and the Croissant metadata say of the whole."""

    title: str
    description: str
    version: str
    licence: str  # SPDX identifier of the whole, or "other" where each source has its own
    creator: str
    url: str
    software: Mapping[str, str]  # name -> version
    seed: int
    benchmark: Benchmark = field(default_factory=Benchmark)


@dataclass(frozen=True)
class Contents:
    """Everything a release is built from.

    `pairs` has the columns of `catalog.schema.PAIRS`, `sources` those of `catalog.schema.SOURCES`; both have one row a
    pair, rejected ones included. Every accepted pair belongs to one of `rasters`.
    """

    about: About
    pairs: pa.Table
    sources: pa.Table
    rasters: Sequence[RasterPair]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a release: which file (relative to it), what, and what to do."""

    path: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.remedy}"
