"""What gives photographs, texts and aerial images of landmarks: the base of every source, and what it returns.

A source only knows how to get things; stages decide what may be published and write the files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from pipeline.config import ChosenFrom
from pipeline.registry import Registry
from stages.rasters import Image

Row = Mapping[str, Any]
"""A row of `stages.landmarks.tables.LANDMARKS`."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph as a source gives it.

    Attributes:
        name: What identifies it at the source.
        body: The file's bytes, JPEG or PNG; None if there are none, which `fault` then explains.
        fault: Why it cannot be had.
        categories: Words of the source about it, for flags.
    """

    name: str
    body: bytes | None
    title: str = ""
    author: str = ""
    licence: str = ""
    licence_url: str = ""
    attribution: str = ""
    source_url: str = ""
    page_url: str = ""
    sha1: str = ""
    date: str = ""
    categories: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, eq=False)
class Article:
    """A text about a landmark: sections by title, the lead under ""; `places` are names that belong to its place."""

    title: str
    sections: Mapping[str, str]
    language: str = "en"
    revision: str = ""
    licence: str = "CC-BY-SA-4.0"
    attribution: str = ""
    source_url: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Chip:
    """An aerial image of one year, square, centred on a place: RGBA (S, S, 4) uint8, alpha 0 is no data."""

    year: int
    pixels: Image
    items: tuple[str, ...]
    date: str
    licence: str
    attribution: str
    source_url: str = ""


class LandmarkSource(BaseModel, ABC):
    """Base of all sources of this recipe. A subclass adds `kind: Literal[...]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def identity(self, landmark: Row) -> str:
        """Return what changes when the source's own content for a landmark does; "" if that cannot be known."""
        return ""

    def load(self, landmarks: float) -> dict[str, tuple[float, float, float | None]]:
        """Return host -> (requests, bytes, requests a second) that so many landmarks take; empty without a service."""
        return {}


class GroundSource(LandmarkSource):
    """Gives photographs of a landmark."""

    @abstractmethod
    def photographs(self, landmark: Row, workspace: Path) -> Iterator[Photograph]:
        """Yield the photographs, in an order that does not change. Raises TransientError or PermanentError."""


class TextSource(LandmarkSource):
    """Gives articles about landmarks."""

    @abstractmethod
    def articles(self, landmarks: Sequence[Row], workspace: Path) -> Mapping[str, Sequence[Article]]:
        """Return landmark_id -> its articles; landmarks without one are missing."""


class AerialSource(LandmarkSource):
    """Gives aerial images of a place."""

    @abstractmethod
    def chips(self, place: Row, size: int, gsd: float, workspace: Path) -> Iterator[Chip]:
        """Yield one image of each year that there is, ascending.

        Args:
            place: Has `lon`, `lat` and `landmark_id`; of a distractor only the first two.
            size: Width and height, pixels.
            gsd: Metres on the ground a pixel.
            workspace: Folder of the run, for rate limiters and stores.
        """


GROUND: Registry[type[BaseModel]] = Registry(
    "mapdata.landmarks.ground",
    GroundSource,
    "source of photographs",
    {"simulated": "stages.landmarks.simulated:SimulatedGround"},
    classes=True,
)
TEXT: Registry[type[BaseModel]] = Registry(
    "mapdata.landmarks.text",
    TextSource,
    "source of texts",
    {"simulated": "stages.landmarks.simulated:SimulatedText"},
    classes=True,
)
AERIAL: Registry[type[BaseModel]] = Registry(
    "mapdata.landmarks.aerial",
    AerialSource,
    "source of aerial images",
    {"simulated": "stages.landmarks.simulated:SimulatedAerial"},
    classes=True,
)

AnyGround = Annotated[GroundSource, ChosenFrom(GROUND)]
AnyText = Annotated[TextSource, ChosenFrom(TEXT)]
AnyAerial = Annotated[AerialSource, ChosenFrom(AERIAL)]
