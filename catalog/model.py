"""What any release is made of: plain data, given by whoever made the pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

import pyarrow as pa


class Format(StrEnum):
    """The parts a release may have besides manifest, card, Croissant metadata and checksums, which it always has."""

    FOLDERS = "folders"  # an image file a record and role, where the schema's layout puts it
    ZARR = "zarr"  # mapdata.zarr
    RASTERS = "rasters"  # the rasters that records were cut from
    COGS = "cogs"  # the same rasters with overviews, in the place of those
    STAC = "stac"  # stac/catalog.json and below
    FOOTPRINTS = "footprints"  # footprints.fgb


MANIFEST_NAME = "manifest.parquet"
RELEASE_NAME = "release.json"
CHECKSUMS_NAME = "checksums.b3"
CARD_NAME = "README.md"
CROISSANT_NAME = "croissant.json"
STORE_NAME = "mapdata.zarr"
STAC_NAME = "stac"

EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
"""Image format -> file suffix. The format npy has no file a record."""

IMAGE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
"""Image format -> media type."""

Json = dict[str, Any]
OriginalT = TypeVar("OriginalT")


@dataclass(frozen=True)
class Benchmark:
    """The split that methods are compared on, and what was measured on it: method -> figure -> value.

    `note` says on how many records, when and on what; empty while nothing was measured.
    """

    split: str = "test"
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""

    def to_json(self) -> Json:
        """Return it as a JSON-able object."""
        return {
            "split": self.split,
            "note": self.note,
            "results": {key: dict(row) for key, row in self.results.items()},
        }


@dataclass(frozen=True)
class About:
    """What the card, the STAC collection and the Croissant metadata say of the whole.

    `left_out` names what was asked for and is not part of it, such as sites that could not be aligned -> why.
    """

    title: str
    description: str
    version: str
    licence: str  # SPDX identifier of the whole, or "other" where each source has its own
    creator: str
    url: str
    software: Mapping[str, str]  # name -> version
    seed: int
    benchmark: Benchmark = field(default_factory=Benchmark)
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents(Generic[OriginalT]):
    """Everything a release of a schema is built from.

    `records` has the columns `schema.columns`, `sources` those of `schema.sources`; both have one row a record,
    rejected ones included. `originals` are what the records were made from, such as rasters, in the schema's own type.
    """

    about: About
    records: pa.Table
    sources: pa.Table
    originals: Sequence[OriginalT] = ()


@dataclass(frozen=True)
class Placed:
    """A file of the release: path relative to the release (POSIX), size in bytes, BLAKE3 digest, and its media type
    where the suffix does not tell."""

    path: str
    size: int
    digest: str
    media_type: str | None = None


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a release: which file (relative to it), what, and what to do."""

    path: str
    what: str
    remedy: str

    def __post_init__(self) -> None:
        # Names and messages may come from a stranger's files: they must not steer a terminal or fail to be printed.
        for name, most in (("path", 300), ("what", 1000)):
            text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in getattr(self, name)[:most])
            object.__setattr__(self, name, text)

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.remedy}"
