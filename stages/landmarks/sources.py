"""What gives photographs, texts and aerial images of landmarks: the base of every source, and what it returns.

A source only knows how to get things; stages decide what may be published and write the files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.config import ChosenFrom
from pipeline.registry import Registry
from stages.rasters import Image

Row = Mapping[str, Any]
"""A row of `stages.landmarks.tables.LANDMARKS`."""


@dataclass(frozen=True)
class HostLoad:
    """What some landmarks take from a host, roughly, and how fast it may be had: None for no limit."""

    requests: float
    bytes: float
    requests_per_second: float | None = None
    bytes_per_second: float | None = None

    @property
    def seconds(self) -> float:
        """How long it takes at least, by the limits."""
        waits = ((self.requests, self.requests_per_second), (self.bytes, self.bytes_per_second))
        return max(amount / rate if rate else 0.0 for amount, rate in waits)


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

    KEYLESS: ClassVar[frozenset[str]] = frozenset()
    """Fields that no result depends on, such as rate limits."""

    def key_fields(self) -> dict[str, Any]:
        """Return the fields that results depend on."""
        return self.model_dump(mode="json", exclude=set(self.KEYLESS))

    def identity(self, landmark: Row) -> str:
        """Return what changes when the source's own content for a landmark does; "" if that cannot be known."""
        return ""

    def problems(self) -> list[str]:
        """Return what only a look around can tell to be wrong, each with its field, such as a missing folder."""
        return []

    def load(self, landmarks: float) -> Mapping[str, HostLoad]:
        """Return by host what so many landmarks take; empty without a service."""
        return {}


def problems_of(params: BaseModel) -> list[str]:
    """Return what is wrong with the sources among a stage's params, each with its field; nothing is fetched."""
    fields = {name: getattr(params, name) for name in type(params).model_fields}
    return [
        f"{name}.{each}"
        for name, value in fields.items()
        if isinstance(value, LandmarkSource)
        for each in value.problems()
    ]


def key_params(params: BaseModel) -> dict[str, Any]:
    """Return what of the params of a stage with sources its results depend on."""
    sources = {
        name: value for name in type(params).model_fields if isinstance(value := getattr(params, name), LandmarkSource)
    }
    return params.model_dump(mode="json", exclude=set(sources)) | {
        name: source.key_fields() for name, source in sources.items()
    }


class PageSource(LandmarkSource):
    """Knows the pages of candidates."""

    @abstractmethod
    def resolved(self, candidates: Sequence[Row], workspace: Path) -> tuple[Sequence[Row], Sequence[Row]]:
        """Return the candidates that are landmarks, completed, and the others as rows of `tables.REJECTED`.

        Args:
            candidates: Rows of `tables.LANDMARKS` as the stage select wrote them; `places` may be null.
            workspace: Folder of the run, in whose `cache/` a service's answers are kept.

        Raises:
            TransientError: A service is busy or out of reach.
            PermanentError: A service refuses the question.
        """


class GivenPages(PageSource):
    """Takes what the candidates say: a synthetic country knows its pages."""

    kind: Literal["given"] = "given"

    def resolved(self, candidates: Sequence[Row], workspace: Path) -> tuple[Sequence[Row], Sequence[Row]]:
        """Return the candidates, none rejected."""
        return list(candidates), []


class GroundSource(LandmarkSource):
    """Gives photographs of a landmark."""

    @abstractmethod
    def photographs(self, landmark: Row, workspace: Path) -> Iterator[Photograph]:
        """Yield the photographs, in an order that does not change. Raises TransientError or PermanentError.

        Args:
            landmark: A row of `tables.LANDMARKS` after the stage resolve.
            workspace: Folder of the run, in whose `cache/` downloads are kept.

        Yields:
            Also those that cannot be had, with `fault`, so that they are counted.
        """


class TextSource(LandmarkSource):
    """Gives articles about landmarks."""

    @abstractmethod
    def articles(self, landmarks: Sequence[Row], workspace: Path) -> Mapping[str, Sequence[Article]]:
        """Return landmark_id -> its articles; landmarks without one are missing.

        Args:
            landmarks: Rows of `tables.LANDMARKS` after the stage resolve.
            workspace: Folder of the run, in whose `cache/` a service's answers are kept.

        Raises:
            TransientError: A service is busy or out of reach.
            PermanentError: A service refuses the question.
        """


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

    def latest(self, place: Row, size: int, gsd: float, workspace: Path) -> Iterator[Chip]:
        """Yield the image of the last year, if there is any; a source that can leave the others out overrides this.

        Args:
            place: As of `chips`.
            size: Width and height, pixels.
            gsd: Metres on the ground a pixel.
            workspace: Folder of the run.
        """
        yield from list(self.chips(place, size, gsd, workspace))[-1:]

    def load_latest(self, places: float) -> Mapping[str, HostLoad]:
        """Return by host what the last images of so many places take."""
        return self.load(places)


def _registry(what: str, base: type, noun: str, builtin: Mapping[str, str]) -> Registry[type[BaseModel]]:
    return Registry(f"mapdata.landmarks.{what}", base, noun, builtin, classes=True)


_HOME = "stages.landmarks"
PAGES = _registry(
    "pages",
    PageSource,
    "source of pages",
    {"given": f"{_HOME}.sources:GivenPages", "wikidata": f"{_HOME}.wikimedia.wikidata:WikidataPages"},
)
GROUND = _registry(
    "ground",
    GroundSource,
    "source of photographs",
    {
        "simulated": f"{_HOME}.simulated:SimulatedGround",
        "commons": f"{_HOME}.wikimedia.commons:CommonsGround",
        "folder": f"{_HOME}.own_files:FolderGround",
    },
)
TEXT = _registry(
    "text",
    TextSource,
    "source of texts",
    {
        "simulated": f"{_HOME}.simulated:SimulatedText",
        "wikipedia": f"{_HOME}.wikimedia.wikipedia:WikipediaText",
        "files": f"{_HOME}.own_files:FilesText",
    },
)
AERIAL = _registry(
    "aerial",
    AerialSource,
    "source of aerial images",
    {
        "simulated": f"{_HOME}.simulated:SimulatedAerial",
        "stac": f"{_HOME}.aerial_stac:StacAerial",
        "tiles": f"{_HOME}.aerial_tiles:TilesAerial",
    },
)

AnyPages = Annotated[PageSource, ChosenFrom(PAGES)]
AnyGround = Annotated[GroundSource, ChosenFrom(GROUND)]
AnyText = Annotated[TextSource, ChosenFrom(TEXT)]
AnyAerial = Annotated[AerialSource, ChosenFrom(AERIAL)]
