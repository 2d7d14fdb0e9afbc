"""Areas of OpenStreetMap that a Wikidata item, a Wikipedia article or a Commons category describes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import osmium
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PermanentError

WIKI_TAGS = ("wikidata", "wikipedia", "wikimedia_commons")
_QID = re.compile(r"Q[1-9][0-9]*")
_GEOD = Geod(ellps="WGS84")
_CATEGORY_TAGS = (
    "building", "historic", "tourism", "amenity", "leisure", "man_made", "landuse", "natural", "railway", "shop",
    "office",
)  # fmt: skip


@dataclass(frozen=True)
class OsmArea:
    """An area with wiki tags, or why it is none.

    Attributes:
        osm_type: "way" or "relation".
        osm_id: Its id.
        tags: Its tags.
        geometry: Polygon or multipolygon (WGS84), or None if it cannot be built.
    """

    osm_type: str
    osm_id: int
    tags: dict[str, str]
    geometry: BaseGeometry | None

    @property
    def qid(self) -> str:
        """The Wikidata item, "" without one."""
        return self.tags.get("wikidata", "").strip()

    @property
    def article(self) -> str:
        """What its tag `wikipedia` says, with spaces for underscores, "" without one."""
        return " ".join(self.tags.get("wikipedia", "").replace("_", " ").split())

    @property
    def category(self) -> str:
        """The most telling of its tags, such as "historic=castle"; "" without one."""
        return next((f"{key}={self.tags[key]}" for key in _CATEGORY_TAGS if key in self.tags), "")

    def reason(self, most_edge_m: float) -> str:
        """Say why this area is no landmark, or nothing."""
        if self.geometry is None:
            return "no valid area can be built of it"
        if self.qid and not _QID.fullmatch(self.qid):
            return f"its Wikidata id {self.qid!r} is not valid"
        if not self.qid and not self.article:
            return "neither a Wikidata item nor a Wikipedia article"
        edge = longest_edge_m(self.geometry)
        return f"its box is {edge:.0f} m long, at most {most_edge_m:g} m is allowed" if edge >= most_edge_m else ""


def longest_edge_m(geometry: BaseGeometry) -> float:
    """Return the longest edge of a geometry's bounding box on the ground, metres."""
    west, south, east, north = geometry.bounds
    middle = (south + north) / 2
    across = _GEOD.line_length([west, east], [middle, middle])
    return float(max(across, _GEOD.line_length([west, west], [south, north])))


def wiki_areas(path: Path) -> Iterator[OsmArea]:
    """Yield every closed way, multipolygon and boundary that has a wiki tag, those that cannot be built included.

    Raises:
        PermanentError: The file is missing or no OpenStreetMap data.
    """
    factory = osmium.geom.WKBFactory()
    # Relations that are no areas (routes, networks) are not looked at; ways come as areas where they are closed.
    try:
        things: Any = osmium.FileProcessor(str(path)).with_areas().with_filter(osmium.filter.KeyFilter(*WIKI_TAGS))
        for thing in things:
            if thing.is_area():
                yield _area(thing, factory)
    except (RuntimeError, OSError) as error:
        raise PermanentError(f"{path}: cannot be read as OpenStreetMap data ({error}); download it again") from error


def _area(thing: Any, factory: Any) -> OsmArea:
    kind = "way" if thing.from_way() else "relation"
    tags = {tag.k: tag.v for tag in thing.tags}
    try:
        geometry = shapely.from_wkb(bytes.fromhex(factory.create_multipolygon(thing)))
    except RuntimeError:
        return OsmArea(kind, thing.orig_id(), tags, None)
    return OsmArea(kind, thing.orig_id(), tags, geometry if not geometry.is_empty else None)
