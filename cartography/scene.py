"""What is on the ground: typed layers of vector features, known to no renderer.

Coordinates are metres in the scene's own plane (or units of its projected CRS), x to the right and y up. Lengths of attributes
(`width`, `height`, `radius`) are in the same unit as the coordinates. `key` identifies a feature for ever: every random decision
about it (is it drawn, what colour is its roof) is hashed from the key, so it never depends on the window that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias, cast

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

Bounds: TypeAlias = tuple[float, float, float, float]
"""(left, bottom, right, top)."""

AreaKind = Literal[
    "residential", "commercial", "industrial", "public", "square", "parking", "pitch", "playground", "cemetery",
    "park", "garden", "grass", "scrub", "forest", "orchard", "vineyard", "farmland", "wetland",
    "sand", "rock", "bare", "glacier", "construction", "water",
]  # fmt: skip
RoadKind = Literal[
    "motorway", "primary", "secondary", "tertiary", "residential", "service", "pedestrian", "track", "path"
]
BuildingKind = Literal["house", "apartments", "commercial", "industrial", "public", "church", "shed"]
RoofShape = Literal["flat", "gabled", "hipped"]
RailKind = Literal["rail", "tram", "subway"]
WaterwayKind = Literal["river", "stream", "canal", "ditch"]
BarrierKind = Literal["wall", "fence", "hedge", "tree_row"]
PlaceKind = Literal["city", "town", "suburb", "village", "hamlet", "locality"]
PoiKind = Literal["shop", "food", "transit", "parking", "lodging", "health", "school", "worship", "sight", "service"]


@dataclass(frozen=True, slots=True)
class Area:
    """Land use or land cover; `kind` "water" is a lake, a broad river or the sea."""

    geometry: Polygon
    kind: AreaKind
    key: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Building:
    """A footprint with its height above the ground."""

    geometry: Polygon
    kind: BuildingKind
    height: float
    roof: RoofShape
    key: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Road:
    """The centre line of a carriageway; `width` is that of the whole carriageway. `ref` is the number on its shield."""

    geometry: LineString
    kind: RoadKind
    width: float
    key: int
    paved: bool = True
    bridge: bool = False
    tunnel: bool = False
    name: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Rail:
    """The centre line of one or several parallel tracks."""

    geometry: LineString
    kind: RailKind
    tracks: int
    key: int
    bridge: bool = False
    tunnel: bool = False


@dataclass(frozen=True, slots=True)
class Waterway:
    """The centre line of running water."""

    geometry: LineString
    kind: WaterwayKind
    width: float
    key: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Barrier:
    """A wall, fence, hedge or row of trees."""

    geometry: LineString
    kind: BarrierKind
    key: int


@dataclass(frozen=True, slots=True)
class Tree:
    """A single tree with the radius of its crown."""

    geometry: Point
    radius: float
    key: int


@dataclass(frozen=True, slots=True)
class Contour:
    """A line of equal elevation; every fifth is an index contour."""

    geometry: LineString
    elevation: float
    index: bool
    key: int


@dataclass(frozen=True, slots=True)
class Place:
    """The name of a settlement or of an unpeopled place."""

    geometry: Point
    kind: PlaceKind
    name: str
    key: int


@dataclass(frozen=True, slots=True)
class Poi:
    """A point of interest; `name` may be empty."""

    geometry: Point
    kind: PoiKind
    name: str
    key: int


Feature: TypeAlias = Area | Building | Road | Rail | Waterway | Barrier | Tree | Contour | Place | Poi

LAYERS: dict[str, type[Any]] = {
    "areas": Area,
    "buildings": Building,
    "roads": Road,
    "rails": Rail,
    "waterways": Waterway,
    "barriers": Barrier,
    "trees": Tree,
    "contours": Contour,
    "places": Place,
    "pois": Poi,
}


class SceneSource(Protocol):
    """Anything that can be asked for the scene of a window: a `Scene`, a procedural world, a disturbed source."""

    def window(self, bounds: Bounds) -> Scene:
        """Return a scene with every feature that touches `bounds`, whole and in an order that does not depend on `bounds`."""
        ...


@dataclass(frozen=True)
class Scene:
    """Layers of features, each in drawing order (later features lie on earlier ones).

    `ground` is the land cover wherever no area says otherwise. `crs` is empty for an invented plane.
    """

    bounds: Bounds
    ground: AreaKind = "grass"
    crs: str = ""
    areas: tuple[Area, ...] = ()
    buildings: tuple[Building, ...] = ()
    roads: tuple[Road, ...] = ()
    rails: tuple[Rail, ...] = ()
    waterways: tuple[Waterway, ...] = ()
    barriers: tuple[Barrier, ...] = ()
    trees: tuple[Tree, ...] = ()
    contours: tuple[Contour, ...] = ()
    places: tuple[Place, ...] = ()
    pois: tuple[Poi, ...] = ()

    def layers(self) -> Iterator[tuple[str, tuple[Feature, ...]]]:
        """Yield (name, features) of every layer, the empty ones included."""
        for name in LAYERS:
            yield name, getattr(self, name)

    def __len__(self) -> int:
        return sum(len(features) for _, features in self.layers())

    @cached_property
    def _trees(self) -> dict[str, shapely.STRtree]:
        return {name: shapely.STRtree([f.geometry for f in features]) for name, features in self.layers()}

    def window(self, bounds: Bounds) -> Scene:
        """Return the features whose bounding boxes touch `bounds`, whole and in the same order."""
        box = shapely.box(*bounds)
        chosen = {name: np.sort(tree.query(box)) for name, tree in self._trees.items()}
        layers = {name: tuple(getattr(self, name)[i] for i in indices) for name, indices in chosen.items()}
        return replace(self, bounds=bounds, **cast(Any, layers))

    def transformed(self, transform: Callable[[np.ndarray, np.ndarray], np.ndarray], bounds: Bounds) -> Scene:
        """Return the scene with every vertex moved.

        `transform(points (N, 2), keys (N,)) -> (N, 2)` gets the key of the feature each vertex belongs to.
        """
        layers = {name: _transform_layer(features, transform) for name, features in self.layers() if features}
        return replace(self, bounds=bounds, **cast(Any, layers))


def geometries(features: tuple[Feature, ...]) -> np.ndarray:
    """Return the geometries of one layer as an object array, for shapely's vectorised functions."""
    array = np.empty(len(features), object)
    array[:] = [f.geometry for f in features]
    return array


def _transform_layer(
    features: tuple[Feature, ...], transform: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[Feature, ...]:
    shapes = geometries(features)
    coordinates, index = shapely.get_coordinates(shapes, return_index=True)
    keys = np.array([f.key for f in features], np.uint64)[index]
    moved = shapely.set_coordinates(shapes, transform(coordinates, keys))
    return tuple(_with_geometry(f, g) for f, g in zip(features, moved, strict=True))


def _with_geometry(feature: Feature, geometry: BaseGeometry) -> Feature:
    rest = [getattr(feature, name) for name in _attributes(type(feature))]
    return cast(Feature, type(feature)(geometry, *rest))


def _attributes(kind: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))[1:]
