"""What OpenStreetMap tags mean here: one function a layer, from tags to kinds, and to widths and heights in metres.

A function returns None when the tags do not describe a feature of its layer. Usual values stand in for missing and
malformed ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from cartography.scene import AreaKind, BarrierKind, BuildingKind, PlaceKind, PoiKind, RailKind, RoadKind, RoofShape
from cartography.scene import WaterwayKind as WaterKind

Tags: TypeAlias = Mapping[str, str]

_ROADS: dict[str, tuple[RoadKind, float]] = {
    "motorway": ("motorway", 12.0), "trunk": ("motorway", 11.0), "motorway_link": ("motorway", 6.0),
    "trunk_link": ("motorway", 6.0),
    "primary": ("primary", 10.0), "primary_link": ("primary", 6.0), "secondary": ("secondary", 9.0),
    "secondary_link": ("secondary", 6.0), "tertiary": ("tertiary", 7.5), "tertiary_link": ("tertiary", 6.0),
    "unclassified": ("residential", 6.0), "residential": ("residential", 6.5), "living_street": ("residential", 5.5),
    "road": ("residential", 6.0), "busway": ("service", 4.5), "service": ("service", 4.0),
    "pedestrian": ("pedestrian", 6.0),
    "track": ("track", 3.0), "path": ("path", 1.8), "footway": ("path", 2.0), "cycleway": ("path", 2.2),
    "bridleway": ("path", 2.0), "steps": ("path", 2.0),
}  # fmt: skip
_UNPAVED = frozenset(
    [
        "unpaved",
        "gravel",
        "fine_gravel",
        "dirt",
        "earth",
        "ground",
        "grass",
        "sand",
        "mud",
        "compacted",
        "pebblestone",
        "wood",
    ]
)
_AREAS: dict[tuple[str, str], AreaKind] = {
    ("natural", "water"): "water", ("natural", "bay"): "water", ("landuse", "reservoir"): "water",
    ("landuse", "basin"): "water", ("waterway", "riverbank"): "water", ("waterway", "dock"): "water",
    ("leisure", "swimming_pool"): "water",
    ("landuse", "residential"): "residential", ("landuse", "commercial"): "commercial",
    ("landuse", "retail"): "commercial",
    ("landuse", "industrial"): "industrial", ("landuse", "railway"): "industrial", ("landuse", "port"): "industrial",
    ("landuse", "garages"): "industrial", ("landuse", "military"): "industrial",
    ("landuse", "construction"): "construction", ("landuse", "brownfield"): "construction",
    ("landuse", "quarry"): "bare", ("landuse", "landfill"): "bare", ("landuse", "cemetery"): "cemetery",
    ("amenity", "grave_yard"): "cemetery", ("amenity", "school"): "public", ("amenity", "university"): "public",
    ("amenity", "college"): "public", ("amenity", "kindergarten"): "public", ("amenity", "hospital"): "public",
    ("landuse", "religious"): "public", ("landuse", "institutional"): "public",
    ("amenity", "parking"): "parking", ("place", "square"): "square",
    ("leisure", "park"): "park", ("leisure", "nature_reserve"): "scrub", ("leisure", "garden"): "garden",
    ("landuse", "allotments"): "garden", ("leisure", "pitch"): "pitch", ("leisure", "track"): "pitch",
    ("leisure", "stadium"): "public", ("leisure", "sports_centre"): "grass", ("leisure", "golf_course"): "grass",
    ("leisure", "playground"): "playground", ("landuse", "recreation_ground"): "grass",
    ("landuse", "village_green"): "grass", ("landuse", "grass"): "grass", ("landuse", "meadow"): "grass",
    ("natural", "grassland"): "grass", ("landuse", "greenfield"): "grass", ("landuse", "flowerbed"): "garden",
    ("natural", "scrub"): "scrub", ("natural", "heath"): "scrub", ("landuse", "forest"): "forest",
    ("natural", "wood"): "forest", ("landuse", "orchard"): "orchard", ("landuse", "plant_nursery"): "orchard",
    ("landuse", "greenhouse_horticulture"): "orchard", ("landuse", "vineyard"): "vineyard",
    ("landuse", "farmland"): "farmland", ("landuse", "farmyard"): "residential", ("natural", "wetland"): "wetland",
    ("natural", "sand"): "sand", ("natural", "beach"): "sand", ("natural", "shoal"): "sand",
    ("natural", "bare_rock"): "rock",
    ("natural", "scree"): "rock", ("natural", "shingle"): "rock", ("natural", "glacier"): "glacier",
    ("natural", "mud"): "bare",
}  # fmt: skip
_AREA_KEYS = ("natural", "waterway", "leisure", "amenity", "landuse", "place")
_RAILS: dict[str, RailKind] = {
    "rail": "rail", "light_rail": "rail", "narrow_gauge": "rail", "preserved": "rail", "funicular": "rail",
    "tram": "tram", "subway": "subway",
}  # fmt: skip
_WATERWAYS: dict[str, tuple[WaterKind, float]] = {
    "river": ("river", 12.0), "canal": ("canal", 10.0), "stream": ("stream", 2.5), "ditch": ("ditch", 1.2),
    "drain": ("ditch", 1.2), "brook": ("stream", 2.0),
}  # fmt: skip
_BARRIERS: dict[str, BarrierKind] = {
    "wall": "wall", "retaining_wall": "wall", "city_wall": "wall", "fence": "fence", "guard_rail": "fence",
    "hedge": "hedge",
}  # fmt: skip
_BUILDINGS: dict[str, tuple[BuildingKind, float, RoofShape]] = {
    "house": ("house", 7.5, "gabled"), "detached": ("house", 7.5, "gabled"),
    "semidetached_house": ("house", 7.5, "gabled"),
    "terrace": ("house", 8.0, "gabled"), "bungalow": ("house", 4.5, "hipped"), "farm": ("house", 8.0, "gabled"),
    "residential": ("house", 8.0, "gabled"), "apartments": ("apartments", 15.0, "flat"),
    "dormitory": ("apartments", 14.0, "flat"),
    "hotel": ("apartments", 18.0, "flat"), "commercial": ("commercial", 10.0, "flat"),
    "office": ("commercial", 16.0, "flat"),
    "retail": ("commercial", 7.0, "flat"), "supermarket": ("commercial", 7.0, "flat"), "kiosk": ("shed", 3.0, "flat"),
    "industrial": ("industrial", 9.0, "flat"), "warehouse": ("industrial", 9.0, "flat"),
    "hangar": ("industrial", 12.0, "gabled"),
    "barn": ("industrial", 8.0, "gabled"), "greenhouse": ("industrial", 4.0, "flat"),
    "school": ("public", 10.0, "flat"),
    "university": ("public", 15.0, "flat"), "hospital": ("public", 16.0, "flat"), "public": ("public", 12.0, "flat"),
    "train_station": ("public", 10.0, "flat"), "civic": ("public", 12.0, "flat"), "church": ("church", 16.0, "gabled"),
    "cathedral": ("church", 28.0, "gabled"), "chapel": ("church", 9.0, "gabled"), "mosque": ("church", 14.0, "flat"),
    "garage": ("shed", 2.8, "flat"), "garages": ("shed", 2.8, "flat"), "shed": ("shed", 2.5, "gabled"),
    "hut": ("shed", 2.5, "gabled"),
    "carport": ("shed", 2.6, "flat"), "roof": ("shed", 4.0, "flat"),
}  # fmt: skip
_ROOFS: dict[str, RoofShape] = {"flat": "flat", "hipped": "hipped", "pyramidal": "hipped", "half-hipped": "hipped"}
"""Any other shape has slopes and a ridge."""

_POIS: tuple[tuple[str, frozenset[str] | None, PoiKind], ...] = (
    ("amenity", frozenset({"restaurant", "cafe", "fast_food", "bar", "pub", "biergarten", "ice_cream"}), "food"),
    ("amenity", frozenset({"parking"}), "parking"),
    ("amenity", frozenset({"hospital", "clinic", "doctors", "dentist", "pharmacy"}), "health"),
    ("amenity", frozenset({"school", "university", "college", "kindergarten", "library"}), "school"),
    ("amenity", frozenset({"place_of_worship"}), "worship"),
    ("amenity", frozenset({"bank", "post_office", "fuel", "police", "townhall", "fire_station", "atm"}), "service"),
    ("tourism", frozenset({"hotel", "hostel", "guest_house", "motel"}), "lodging"),
    ("tourism", frozenset({"attraction", "museum", "viewpoint", "gallery", "artwork"}), "sight"),
    ("historic", None, "sight"),
    ("shop", None, "shop"),
    ("railway", frozenset({"station", "halt", "tram_stop", "subway_entrance"}), "transit"),
    ("highway", frozenset({"bus_stop"}), "transit"),
    ("office", None, "service"),
    ("craft", None, "service"),
)
_PLACES: dict[str, PlaceKind] = {
    "city": "city", "town": "town", "suburb": "suburb", "quarter": "suburb", "borough": "suburb",
    "neighbourhood": "suburb",
    "village": "village", "hamlet": "hamlet", "isolated_dwelling": "hamlet", "locality": "locality", "farm": "locality",
}  # fmt: skip

_NUMBER = re.compile(r"^\s*(\d+(?:[.,]\d+)?)\s*(m|ft|feet|')?", re.IGNORECASE)
_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')


def parse_hstore(text: str) -> dict[str, str]:
    """Parse GDAL's `other_tags` ("key"=>"value",...); malformed parts are passed over.

    Args:
        text: The field as GDAL gives it.

    Returns:
        Values by key.
    """
    return {_unescaped(key): _unescaped(value) for key, value in _HSTORE.findall(text)}


def _unescaped(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")


def metres(text: str | None) -> float | None:
    """Parse a length such as "12", "12.5 m" or "40 ft".

    Args:
        text: The tag's value.

    Returns:
        Metres; None if it is missing, not a number, or not positive.
    """
    found = _NUMBER.match(text or "")
    if not found:
        return None
    value = float(found[1].replace(",", ".")) * (0.3048 if (found[2] or "m").lower() != "m" else 1.0)
    return value if value > 0 else None


def road(tags: Tags) -> tuple[RoadKind, float, bool] | None:
    """Return what a road is.

    Args:
        tags: Tags of a line.

    Returns:
        Kind, width in metres and whether it is paved; None if it is no road.
    """
    found = _ROADS.get(tags.get("highway", ""))
    if found is None:
        return None
    kind, usual = found
    lanes = metres(tags.get("lanes"))
    width = metres(tags.get("width")) or (min(lanes, 10) * 3.3 if lanes else usual)
    surface = tags.get("surface", "")
    paved = surface not in _UNPAVED if surface else kind not in ("track", "path")
    return kind, min(max(width, 1.0), 60.0), paved


def rail(tags: Tags) -> tuple[RailKind, int] | None:
    """Return what a railway is.

    Args:
        tags: Tags of a line.

    Returns:
        Kind and number of tracks; None if it is no railway.
    """
    kind = _RAILS.get(tags.get("railway", ""))
    return None if kind is None else (kind, int(min(metres(tags.get("tracks")) or 1, 20)))


def waterway(tags: Tags) -> tuple[WaterKind, float] | None:
    """Return what a waterway is.

    Args:
        tags: Tags of a line.

    Returns:
        Kind and width in metres; None if it is none.
    """
    found = _WATERWAYS.get(tags.get("waterway", ""))
    return None if found is None else (found[0], min(metres(tags.get("width")) or found[1], 500.0))


def barrier(tags: Tags) -> BarrierKind | None:
    """Return the kind of a wall, fence, hedge or row of trees.

    Args:
        tags: Tags of a line or a polygon.

    Returns:
        The kind; None if it is none of them.
    """
    return "tree_row" if tags.get("natural") == "tree_row" else _BARRIERS.get(tags.get("barrier", ""))


def area(tags: Tags) -> AreaKind | None:
    """Return the kind of land use or land cover.

    Args:
        tags: Tags of a polygon.

    Returns:
        The kind; None if it is neither.
    """
    if tags.get("highway") in ("pedestrian", "footway") or tags.get("area:highway"):
        return "square"
    return next((_AREAS[key, tags[key]] for key in _AREA_KEYS if (key, tags.get(key, "")) in _AREAS), None)


def building(tags: Tags, area_m2: float) -> tuple[BuildingKind, float, RoofShape] | None:
    """Return what a building is; untagged ones are guessed from their size.

    Args:
        tags: Tags of a polygon.
        area_m2: Its area in square metres.

    Returns:
        Kind, height in metres and form of the roof; None if it is no building.
    """
    value = tags.get("building", "no")
    if value == "no" or tags.get("location") == "underground":
        return None
    if value in _BUILDINGS:
        kind, height, roof = _BUILDINGS[value]
    elif area_m2 < 45:
        kind, height, roof = "shed", 3.0, "flat"
    elif area_m2 < 260:
        kind, height, roof = "house", 8.0, "gabled"
    else:
        kind, height, roof = "commercial", 11.0, "flat"
    levels = metres(tags.get("building:levels"))
    height = metres(tags.get("height")) or (levels * 3.1 + 1.0 if levels else height)
    if shape := tags.get("roof:shape"):
        roof = _ROOFS.get(shape, "gabled")
    return kind, min(max(height, 2.0), 400.0), roof


def poi(tags: Tags) -> PoiKind | None:
    """Return the kind of a point of interest.

    Args:
        tags: Tags of a point or a polygon.

    Returns:
        The kind; None if it is none.
    """
    return next(
        (kind for key, values, kind in _POIS if tags.get(key) and (values is None or tags[key] in values)), None
    )


def place(tags: Tags) -> PlaceKind | None:
    """Return the kind of a named place.

    Args:
        tags: Tags of a point or a polygon.

    Returns:
        The kind; None if it is none or has no name.
    """
    return _PLACES.get(tags.get("place", "")) if tags.get("name") else None
