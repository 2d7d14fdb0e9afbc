"""What is on the ground: typed layers of vector features, known to no renderer.

Coordinates are metres in the scene's own plane (or units of its projected CRS), x to the right and y up. Lengths of
attributes (`width`, `height`, `radius`) are in the same unit as the coordinates. `key` identifies a feature for ever:
every random decision about it (is it drawn, what colour is its roof) is hashed from the key, so it never depends on the
window that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from itertools import chain, compress, islice
from operator import attrgetter
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon

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

Transform: TypeAlias = Callable[[str, np.ndarray, np.ndarray], np.ndarray]
"""`transform(layer, geometries (N,), keys (N,)) -> geometries (N,)` for the features of one layer."""

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
        """Return every feature that touches `bounds`, whole and in an order that does not depend on `bounds`."""
        ...


@dataclass(frozen=True)
class Scene:
    """Layers of features, each in drawing order (later features lie on earlier ones).

    `ground` is the land cover wherever no area says otherwise. `crs` is empty for a synthetic scene.
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
    def _boxes(self) -> np.ndarray:
        """The bounding boxes (F, 4) of all features, layer by layer."""
        return np.concatenate([shapely.bounds(geometries(features)) for _, features in self.layers()])

    @cached_property
    def _extent(self) -> Bounds:
        """The bounding box of all features; not a number if one of them has none."""
        return (*self._boxes[:, :2].min(axis=0).tolist(), *self._boxes[:, 2:].max(axis=0).tolist())

    def window(self, bounds: Bounds) -> Scene:
        """Return the features whose bounding boxes touch `bounds`, whole and in the same order.

        Args:
            bounds: Left, bottom, right and top in scene coordinates.

        Returns:
            The features of the window.
        """
        if len(self._boxes):
            x0, y0, x1, y1 = self._extent
            if not (bounds[0] <= x0 and bounds[1] <= y0 and x1 <= bounds[2] and y1 <= bounds[3]):
                return self._touching(bounds, self._boxes)
        return replace(self, bounds=bounds)

    def reaching(self, bounds: Bounds, reach: Callable[[tuple[Feature, ...]], np.ndarray]) -> Scene:
        """Return the features that touch `bounds` when their boxes are grown, such as buildings whose shadows fall
        within.

        Args:
            bounds: x0, y0, x1, y1, metres.
            reach: From the features of one layer to the lengths in metres, (N, 4) or (1, 4), by which their boxes grow
                to the left, down, right and up; negative ones shrink them.
        """
        grow = [np.broadcast_to(reach(features), (len(features), 4)) for _, features in self.layers() if features]
        return self._touching(bounds, self._boxes + np.concatenate([np.empty((0, 4)), *grow]) * (-1, -1, 1, 1))

    def _touching(self, bounds: Bounds, boxes: np.ndarray) -> Scene:
        x0, y0, x1, y1 = boxes.T
        seen = (x0 <= bounds[2]) & (x1 >= bounds[0]) & (y0 <= bounds[3]) & (y1 >= bounds[1])
        chosen = iter(seen.tolist())
        layers: dict[str, Any] = {
            name: tuple(compress(features, islice(chosen, len(features)))) for name, features in self.layers()
        }
        return replace(self, bounds=bounds, **layers)

    def transformed(self, transform: Transform, bounds: Bounds) -> Scene:
        """Return the scene with every geometry changed.

        Args:
            transform: Moves the geometries of one layer.
            bounds: Bounds of the result.

        Returns:
            The new scene.
        """
        layers: dict[str, Any] = {
            name: _transform_layer(name, features, transform) for name, features in self.layers() if features
        }
        return replace(self, bounds=bounds, **layers)


def joined(scenes: Sequence[Scene], bounds: Bounds) -> Scene:
    """Put the layers of several scenes of one kind of ground together, in the order given.

    Args:
        scenes: At least one; the first gives ground and coordinate system.
        bounds: Bounds of the result.

    Returns:
        One scene.
    """
    layers: dict[str, Any] = {name: tuple(chain.from_iterable(map(attrgetter(name), scenes))) for name in LAYERS}
    return replace(scenes[0], bounds=bounds, **layers)


def geometries(features: tuple[Feature, ...]) -> np.ndarray:
    """Return the geometries of one layer as an object array, for shapely's vectorised functions.

    Args:
        features: Features of one layer (N).

    Returns:
        Object array (N,).
    """
    array = np.empty(len(features), object)
    array[:] = [f.geometry for f in features]
    return array


def _transform_layer(name: str, features: tuple[Feature, ...], transform: Transform) -> tuple[Feature, ...]:
    keys = np.array([f.key for f in features], np.uint64)
    moved = transform(name, geometries(features), keys)
    kind, attributes = LAYERS[name], _attributes(name)
    return tuple(kind(geometry, *attributes(f)) for f, geometry in zip(features, moved, strict=True))


@cache
def _attributes(name: str) -> Callable[[Feature], tuple[Any, ...]]:
    """A function from a layer's feature to all but its geometry (every feature has two attributes or more)."""
    return attrgetter(*[f.name for f in fields(LAYERS[name])][1:])
