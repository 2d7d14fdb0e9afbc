"""One superblock: chooses its zone, fills it, bends it into the plane, removes what water, woods and railways
forbid."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import LineString, Point

from cartography.hashing import generator, mix
from cartography.procedural import zones
from cartography.procedural.draft import Draft
from cartography.procedural.landscape import Landscape
from cartography.procedural.names import SCRIPTS, name_of, street_name
from cartography.procedural.warp import Warp
from cartography.scene import Area, Barrier, Building, Place, Poi, Road, RoadKind, Scene, Tree

_DRY = ("parking", "pitch", "square", "public", "garden", "playground", "cemetery")
"""Areas that are not laid out where water would cover a part of them; fields and blocks simply end at the bank."""

_STEP = 14.0
"""Metres between the vertices of a street: it follows the bend of the landscape and can be cut at a bank."""


def superblock(landscape: Landscape, warp: Warp, i: int, j: int, random: np.random.Generator) -> Scene:
    """Return the content of a quad of the lattice.

    Args:
        landscape: What the ground is like.
        warp: Street space.
        i: Column of the quad.
        j: Row of the quad.
        random: Source of random numbers of this quad alone.

    Returns:
        Its features in the plane.
    """
    quad = warp.quad(i, j)
    draft = Draft()
    edges = [
        _edge(landscape, warp, i, j, 0), _edge(landscape, warp, i + 1, j, 1),
        _edge(landscape, warp, i, j + 1, 0), _edge(landscape, warp, i, j, 1),
    ]  # fmt: skip
    for side, start, end in ((0, 0, 1), (3, 0, 3)):
        kind, width = edges[side]
        if width:
            draft.roads.append((quad[[start, end]], kind, width))
    centre = warp(quad.mean(axis=0)[None])
    built = float(landscape.built(centre)[0])
    if landscape.forest(centre)[0] > 0:
        built = -1.0  # a clearing with streets and no houses would be strange
    sides = np.array([width / 2 for _, width in edges])
    _zone(built, random)(quad, sides, random, draft)
    finish = _Finish(landscape, warp, mix(landscape.seed, 40, i, j))
    return finish(draft, warp(quad), built)


def _edge(landscape: Landscape, warp: Warp, i: int, j: int, direction: int) -> tuple[RoadKind, float]:
    """Kind and width (0: no road) of the lattice edge from node (i, j) along x (0) or y (1)."""
    ends = np.stack([warp.node(i, j), warp.node(i + 1 - direction, j + direction)])
    built = float(landscape.built(warp(ends.mean(axis=0)[None]))[0])
    line = j if direction == 0 else i
    random = generator(landscape.seed, 41, i, j, direction)
    rank = generator(landscape.seed, 42, line, direction).random()
    if line % 4 == 0:
        return ("primary", 18.0 + 10 * rank) if built > 0.3 else ("secondary", 8.5)
    if line % 2 == 0:
        return ("secondary", 12.0 + 5 * rank) if built > 0.3 else ("tertiary", 6.5)
    if built > 0:
        return "tertiary", 7.5 + 3 * rank
    return ("tertiary", 5.5) if random.random() < 0.25 else ("track", 3.0) if random.random() < 0.5 else ("track", 0.0)


def _zone(built: float, random: np.random.Generator) -> zones.Zone:
    """Choose what fills a superblock from how built-up it is."""
    choices: tuple[tuple[zones.Zone, float], ...]
    if built > 1.2:
        choices = (
            (zones.dense, 0.48),
            (zones.perimeter, 0.24),
            (zones.towers, 0.15),
            (zones.park, 0.08),
            (zones.campus, 0.05),
        )
    elif built > 0.5:
        choices = (
            (zones.dense, 0.2), (zones.perimeter, 0.14), (zones.towers, 0.1), (zones.houses, 0.3), (zones.industry,
            0.12), (zones.park, 0.07), (zones.campus, 0.07),
        )  # fmt: skip
    elif built > 0:
        choices = (
            (zones.houses, 0.64),
            (zones.industry, 0.12),
            (zones.park, 0.06),
            (zones.campus, 0.06),
            (zones.fields, 0.12),
        )
    elif built > -0.45:
        choices = ((zones.village, 0.5), (zones.fields, 0.5))
    else:
        choices = ((zones.fields, 1.0),)
    return choices[random.choice(len(choices), p=[share for _, share in choices])][0]


class _Finish:
    """Turns a draft in street space into features in the plane."""

    def __init__(self, landscape: Landscape, warp: Warp, key: int) -> None:
        self.landscape, self.warp, self.key = landscape, warp, key
        self.script = SCRIPTS[landscape.seed % len(SCRIPTS)]

    def __call__(self, draft: Draft, corners: np.ndarray, built: float) -> Scene:
        low, high = corners.min(axis=0), corners.max(axis=0)
        return Scene(
            (float(low[0]), float(low[1]), float(high[0]), float(high[1])),
            areas=tuple(self._areas(draft)),
            buildings=tuple(self._buildings(draft)),
            roads=tuple(self._roads(draft)),
            barriers=tuple(self._barriers(draft)),
            trees=tuple(self._trees(draft)),
            places=self._places(corners.mean(axis=0), built),
            pois=tuple(self._pois(draft)),
        )

    def _name(self, key: int) -> str:
        return name_of(key, self.script if key % 4 else "latin")

    def _areas(self, draft: Draft) -> list[Area]:
        moved = self._warped(_dense([np.concatenate([ring, ring[:1]]) for ring, _ in draft.areas], closed=True))
        shapes = _polygons(moved)
        whole = shapely.is_valid(shapes) & (shapely.area(shapes) > 4)
        dry = [n for n, (_, kind) in enumerate(draft.areas) if kind in _DRY and whole[n]]
        whole[dry] = [not wet.any() for wet in self._in_water([moved[n] for n in dry], 3)]
        result = []
        for n in np.flatnonzero(whole).tolist():
            kind = draft.areas[n][1]
            key = mix(self.key, 1, n)
            name = self._name(key) if kind in ("park", "public", "cemetery") else ""
            result.append(Area(shapes[n], kind, key, name))
        return result

    def _buildings(self, draft: Draft) -> list[Building]:
        """Buildings are carried along and turned, not bent: their walls stay square."""
        if not draft.buildings:
            return []
        centres = np.stack([ring.mean(axis=0) for ring, *_ in draft.buildings])
        turns, places = self.warp.rotations(centres), self.warp(centres)
        free = np.flatnonzero(self._buildable(places)).tolist()
        shapes = _polygons([(draft.buildings[n][0] - centres[n]) @ turns[n] + places[n] for n in free])
        return [
            Building(shape, *draft.buildings[n][1:], mix(self.key, 2, n)) for n, shape in zip(free, shapes, strict=True)
        ]

    def _buildable(self, points: np.ndarray) -> np.ndarray:
        land = self.landscape
        near_rail = land.railway.distance_to(points) < 18
        near_motorway = land.motorway.distance_to(points) < 26
        blocked = (
            land.in_water(points, 12)
            | near_rail
            | near_motorway
            | (land.forest(points) > 0)
            | (land.rock(points) > -0.1)
        )
        return ~blocked

    def _roads(self, draft: Draft) -> list[Road]:
        lines = self._warped(_dense([line for line, *_ in draft.roads]))
        wet = self._in_water(lines, 4)
        result = []
        for n, (line, (_, kind, width)) in enumerate(zip(lines, draft.roads, strict=True)):
            key = mix(self.key, 3, n)
            name = street_name(key, self.script) if kind not in ("track", "path", "service") else ""
            ref = str(key % 500) if kind == "primary" else ""
            paved = kind not in ("track", "path")
            for m, (part, bridge) in enumerate(self._cut(line, wet[n], kind)):
                result.append(Road(LineString(part), kind, width, mix(key, m), paved, bridge, name=name, ref=ref))
        return result

    def _cut(self, line: np.ndarray, wet: np.ndarray, kind: RoadKind) -> list[tuple[np.ndarray, bool]]:
        """Split a street at water: (part, is it a bridge); rivers are bridged by larger roads, lakes by none."""
        if not wet.any():
            return [(line, False)]
        lake = self.landscape.lake(line) > -0.01
        bridged = kind in ("primary", "secondary", "tertiary")
        state = np.where(lake | (wet & (not bridged)), 2, wet.astype(int))
        parts = []
        breaks = np.flatnonzero(np.diff(state)) + 1
        for start, end in zip(np.r_[0, breaks], np.r_[breaks, len(line)], strict=True):
            piece = line[max(start - 1, 0) : end + 1] if state[start] == 1 else line[start:end]
            if state[start] != 2 and len(piece) > 1:
                parts.append((piece, bool(state[start] == 1)))
        return parts

    def _barriers(self, draft: Draft) -> list[Barrier]:
        lines = self._warped([line for line, _ in draft.barriers])
        wet = self._in_water(lines, 2)
        return [
            Barrier(LineString(line), kind, mix(self.key, 4, n))
            for n, (line, (_, kind)) in enumerate(zip(lines, draft.barriers, strict=True))
            if not wet[n].any()
        ]

    def _trees(self, draft: Draft) -> list[Tree]:
        if not draft.trees:
            return []
        places = self.warp(np.stack([place for place, _ in draft.trees]))
        dry = ~self.landscape.in_water(places, 3) & (self.landscape.rock(places) < 0)
        dry &= self.landscape.railway.distance_to(places) > 9
        points = np.asarray(shapely.points(places))
        return [Tree(points[n], draft.trees[n][1], mix(self.key, 5, n)) for n in np.flatnonzero(dry).tolist()]

    def _pois(self, draft: Draft) -> list[Poi]:
        if not draft.pois:
            return []
        places = self.warp(np.stack([place for place, _ in draft.pois]))
        free = self._buildable(places)
        keys, points = [mix(self.key, 6, n) for n in range(len(places))], np.asarray(shapely.points(places))
        return [Poi(points[n], draft.pois[n][1], self._name(keys[n]), keys[n]) for n in np.flatnonzero(free).tolist()]

    def _places(self, centre: np.ndarray, built: float) -> tuple[Place, ...]:
        key = mix(self.key, 7)
        if key % 5:
            return ()
        kind = "suburb" if built > 0.8 else "village" if built > -0.2 else "locality"
        return (Place(Point(centre), kind, self._name(key), key),)  # type: ignore[arg-type]

    def _warped(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        return _divided(self.warp(np.concatenate(arrays)), arrays) if arrays else []

    def _in_water(self, arrays: list[np.ndarray], margin: float) -> list[np.ndarray]:
        """Which points of each array lie in water: asked at once, as a question costs more than a point."""
        return _divided(self.landscape.in_water(np.concatenate(arrays), margin), arrays) if arrays else []


def _polygons(rings: list[np.ndarray]) -> np.ndarray:
    """Polygons of open rings (K, 2)."""
    if not rings:
        return np.empty(0, object)
    owners = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    return np.asarray(shapely.polygons(shapely.linearrings(np.concatenate(rings), indices=owners)))


def _divided(whole: np.ndarray, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """What belongs to each of the arrays that were joined."""
    ends = np.cumsum([len(each) for each in arrays]).tolist()
    return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _dense(lines: list[np.ndarray], *, closed: bool = False) -> list[np.ndarray]:
    """The lines with a vertex at least every `_STEP` metres; closed ones become open rings."""
    if not lines:
        return []
    start, end = (np.concatenate([line[part] for line in lines]) for part in (slice(None, -1), slice(1, None)))
    steps = np.maximum(np.ceil(np.linalg.norm(end - start, axis=1) / _STEP).astype(int), 1)
    first = np.cumsum(steps) - steps
    share = (np.arange(steps.sum()) - np.repeat(first, steps)) / np.repeat(steps, steps)
    points = np.repeat(start, steps, axis=0) + np.repeat(end - start, steps, axis=0) * share[:, None]
    ends = np.cumsum(steps)[np.cumsum([len(line) - 1 for line in lines]) - 1].tolist()
    parts = [points[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    return parts if closed else [np.concatenate([part, line[-1:]]) for part, line in zip(parts, lines, strict=True)]
