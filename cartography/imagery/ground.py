"""What lies flat: land cover, water, roads with their markings, railways, cars."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, repeat
from operator import itemgetter

import numpy as np
import shapely

from cartography.canvas import Canvas, dashed
from cartography.hashing import mix, unit, unit_of
from cartography.imagery.conditions import Conditions
from cartography.imagery.palette import Paint, Palette, shade, shades
from cartography.imagery.textures import row_class, surface
from cartography.outlines import Path
from cartography.scene import Area, Rail, Road, Scene, Waterway, geometries
from cartography.style import AREA_ORDER, ROAD_ORDER

_SIDEWALK = 2.2
"""Metres of pavement on each side of a street in a town."""

_CARS = np.array([
    (225, 226, 228, 0), (38, 40, 44, 0), (150, 154, 160, 0), (84, 88, 94, 0), (142, 38, 36, 0), (50, 72, 120, 0),
    (235, 235, 235, 0), (190, 190, 186, 0),
])  # fmt: skip
_CAR_SHADE = (46, 46, 50, 0)
_CAR_SHADOW = np.array([0.3, -0.3])
_BOX = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
_SLOT = 6.5
"""Metres along a road that a car takes."""
_MARKING: Paint = (214, 214, 210, 0)


def paint_ground(canvas: Canvas, scene: Scene, conditions: Conditions, palette: Palette) -> None:
    """Paint everything without height: land cover, water, roads, railways and cars.

    Args:
        canvas: Canvas with surfaces.
        scene: What lies in its frame.
        conditions: Circumstances of the image.
        palette: Colours of the image.
    """
    _paint_areas(canvas, scene.areas, conditions, palette)
    _paint_waterways(canvas, scene.waterways, palette)
    roads = [r for r in scene.roads if not r.tunnel]
    _paint_roads(canvas, [r for r in roads if not r.bridge], palette)
    _paint_rails(canvas, scene.rails, palette)
    _paint_roads(canvas, [r for r in roads if r.bridge], palette)
    if canvas.frame.gsd < 1.1:
        _paint_markings(canvas, roads)
    if canvas.frame.gsd < 2.0:
        _paint_traffic(canvas, roads, conditions)
        _paint_parked(canvas, scene.areas, conditions)


def _paint_areas(canvas: Canvas, areas: Sequence[Area], conditions: Conditions, palette: Palette) -> None:
    order = {kind: rank for rank, kind in enumerate(AREA_ORDER)}
    ordered = sorted(areas, key=lambda a: order[a.kind])
    if not ordered:
        return
    draws = unit(conditions.seed, "area", np.array([a.key for a in ordered], np.uint64))
    for area, shape, draw in zip(ordered, canvas.polygons(geometries(tuple(ordered))), draws, strict=True):
        paint = palette.area(area.kind, float(draw))
        if area.kind in ("farmland", "vineyard", "orchard"):
            shell = shapely.get_coordinates(area.geometry.exterior)
            side = shell[1] - shell[0]
            angle = float(np.arctan2(side[1], side[0])) + (np.pi / 2 if draw < 0.5 else 0.0)
            paint = (*paint[:3], row_class(angle % np.pi, area.kind != "farmland"))
        canvas.fill(shape, paint)
        if area.kind == "pitch":
            canvas.stroke(shape.rings[:1], canvas.lengths(0.4), _MARKING, closed=True)


def _paint_waterways(canvas: Canvas, ways: Sequence[Waterway], palette: Palette) -> None:
    for way, path in zip(ways, canvas.lines(geometries(tuple(ways))), strict=True):
        if way.kind in ("stream", "ditch"):
            canvas.stroke([path], canvas.lengths(way.width + 3), palette.leaf(0.3))
        canvas.stroke([path], canvas.lengths(way.width), palette.water)


def _paint_roads(canvas: Canvas, roads: Sequence[Road], palette: Palette) -> None:
    rank = {kind: n for n, kind in enumerate(ROAD_ORDER)}
    ordered = sorted(roads, key=lambda r: rank[r.kind])
    strokes: list[tuple[Path, float, Paint]] = []
    paths = canvas.lines(geometries(tuple(ordered)))
    for road, path in zip(ordered, paths, strict=True):
        if road.kind in ("primary", "secondary", "tertiary", "residential") and road.paved:
            strokes.append((path, road.width + 2 * _SIDEWALK, palette.pavement))
        elif road.kind == "motorway":
            strokes.append((path, road.width + 5, palette.pavement if road.bridge else palette.grass))
    for road, path in zip(ordered, paths, strict=True):
        if road.paved and road.kind == "pedestrian":
            paint = palette.pavement
        else:
            paint = shade(
                palette.asphalt if road.paved else palette.soil, _tone(road.name) * (1.0 if road.paved else 1.1)
            )
        strokes.append((path, road.width, paint))
    for (width, paint), alike in groupby(strokes, key=itemgetter(1, 2)):
        canvas.stroke([path for path, *_ in alike], canvas.lengths(width), paint)


@lru_cache(maxsize=4096)
def _tone(street: str) -> float:
    """A street has one brightness from end to end."""
    return 0.9 + 0.2 * unit_of(1, "road", mix(len(street), *map(ord, street[:8])))


def _paint_rails(canvas: Canvas, rails: Sequence[Rail], palette: Palette) -> None:
    ballast: Paint = (124, 110, 98, surface("gravel"))
    for rail in rails:
        if rail.tunnel or rail.kind == "subway":
            continue
        spacing = 4.2
        if rail.kind == "rail":
            canvas.stroke(canvas.lines(geometries((rail,))), canvas.lengths(spacing * rail.tracks + 1.5), ballast)
        offsets = (np.arange(rail.tracks) - (rail.tracks - 1) / 2) * spacing
        for offset in offsets:
            for side in (-0.72, 0.72):
                line = shapely.offset_curve(rail.geometry, offset + side)
                if not line.is_empty and line.geom_type == "LineString":
                    canvas.stroke(
                        [canvas.fixed(shapely.get_coordinates(line))[:, None]], canvas.lengths(0.25), (196, 192, 190, 0)
                    )


def _paint_markings(canvas: Canvas, roads: Sequence[Road]) -> None:
    """Centre lines, edge lines of large roads, zebra crossings near their ends."""
    lines: list[np.ndarray] = []
    stripes: list[np.ndarray] = []
    for road in roads:
        if not road.paved or road.width < 6.5 or road.kind in ("service", "pedestrian", "path"):
            continue
        points = shapely.get_coordinates(road.geometry)
        lanes = max(2, int(road.width // 3.4))
        for lane in range(1, lanes):
            line = _parallel(points, (lane / lanes - 0.5) * road.width)
            lines += [line] if lane * 2 == lanes and road.kind != "tertiary" else dashed(line, 3.0, 5.0)
        if road.kind in ("primary", "secondary"):
            stripes += [*_zebra(points, road.width), *_zebra(points[::-1], road.width)]
    canvas.stroke(canvas.paths(lines), canvas.lengths(0.22), _MARKING, target=canvas.pixels)
    canvas.stroke(canvas.paths(stripes), canvas.lengths(0.5), _MARKING, target=canvas.pixels)


def _zebra(points: np.ndarray, width: float) -> np.ndarray:
    """The stripes (N, 2, 2) of a crossing near the start of a road."""
    direction = points[1] - points[0]
    direction = direction / max(float(np.linalg.norm(direction)), 1e-6)
    across = np.array([-direction[1], direction[0]])
    start = points[0] + direction * (width * 0.5 + 5)
    starts = start + across * np.arange(-width / 2 + 0.5, width / 2, 1.1)[:, None]
    return np.stack([starts, starts + direction * 3.5], axis=1)


def _parallel(points: np.ndarray, offset: float) -> np.ndarray:
    """The line (N, 2) moved sideways; good enough for the gentle bends of streets."""
    direction = np.gradient(points, axis=0)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    return points + np.stack([-direction[:, 1], direction[:, 0]], axis=1) * offset


def _paint_traffic(canvas: Canvas, roads: Sequence[Road], conditions: Conditions) -> None:
    """Cars in the lanes and at the kerbs."""
    driven = [r for r in roads if r.paved and r.width >= 4.5 and r.kind not in ("pedestrian", "path")]
    lines = geometries(tuple(driven))
    counts = np.maximum(np.ceil((shapely.length(lines) - 12.5) / _SLOT), 0).astype(int)
    owners = np.repeat(np.arange(len(driven)), counts)
    number = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.array([r.key & 0xFFFFFFFFFFFF for r in driven], np.uint64)[owners] + number.astype(np.uint64)
    kerb = np.array([r.kind in ("residential", "tertiary", "service") and r.width < 10 for r in driven], bool)[owners]
    width = np.array([r.width for r in driven])[owners]
    for side, salt in ((-1, "left"), (1, "right")):
        draws = unit(conditions.seed, salt, keys)
        taken = draws < np.where(kerb, 0.22, 0.12) * conditions.traffic
        slots = (6.5 + _SLOT * number[taken], lines[owners[taken]])
        back, front = (shapely.get_coordinates(shapely.line_interpolate_point(slots[1], slots[0] + s)) for s in (-2, 2))
        direction = (front - back) / np.maximum(np.linalg.norm(front - back, axis=1, keepdims=True), 1e-6)
        beside = side * np.where(kerb, width / 2 - 1.2, width / 4)[taken, None]
        centres = (back + front) / 2 + _left_of(direction) * beside
        fraction = draws[taken] * 7919 % 1
        size = np.where((fraction > 0.92)[:, None], (9.5, 2.5), (4.4, 1.85))
        _paint_cars(canvas, centres, direction, size, (fraction * 797).astype(int))


def _left_of(direction: np.ndarray) -> np.ndarray:
    """Directions (N, 2) turned by a quarter."""
    return np.stack([-direction[:, 1], direction[:, 0]], axis=1)


def _paint_cars(
    canvas: Canvas, centres: np.ndarray, direction: np.ndarray, size: np.ndarray, colours: np.ndarray
) -> None:
    """Cars at `centres` (N, 2), heading along `direction` (N, 2), `size` (N, 2) long and wide, with shadows."""
    left, bottom, right, top = canvas.frame.grown(16).bounds
    seen = ((centres > (left, bottom)) & (centres < (right, top))).all(axis=1)
    centres, direction, size = centres[seen], direction[seen], size[seen]
    axes = np.stack([direction * size[:, :1], _left_of(direction) * size[:, 1:]], axis=1)
    bodies, roofs = _BOX @ axes, (_BOX * [0.45, 0.8] - [0.05, 0]) @ axes
    paints = _CARS[colours[seen] % len(_CARS)]
    parts = [(bodies + _CAR_SHADOW, np.tile(_CAR_SHADE, (len(paints), 1))), (bodies, paints)]
    if canvas.frame.gsd < 0.7:
        parts.append((roofs, shades(paints, np.full(len(paints), 0.6))))
    corners = canvas.fixed(centres[:, None, None] + np.stack([part for part, _ in parts], axis=1))
    tones = np.stack([tone for _, tone in parts], axis=1)
    canvas.convex(corners.reshape(-1, 4, 2), tones.reshape(-1, 4).tolist(), canvas.pixels)
    canvas.convex(corners[:, 1], repeat((0,)), canvas.surfaces)


def _paint_parked(canvas: Canvas, areas: Sequence[Area], conditions: Conditions) -> None:
    """Rows of bays with cars on car parks."""
    parks = [a for a in areas if a.kind == "parking" and 120 <= a.geometry.area <= 40000]
    bays = [_bays(park) for park in parks]
    owners = np.repeat(np.arange(len(parks)), [len(places) for places, _ in bays])
    number = np.concatenate([np.empty(0, np.uint64), *(np.arange(len(places), dtype=np.uint64) for places, _ in bays)])
    places = np.concatenate([np.empty((0, 2)), *(p for p, _ in bays)])
    across = np.array([direction for _, direction in bays]).reshape(-1, 2)[owners]
    rooms = shapely.buffer(geometries(tuple(parks)), -2.2)
    shapely.prepare(rooms)
    inside = shapely.contains_xy(rooms[owners], places)
    keys = np.array([p.key & 0xFFFFFFFFFFFF for p in parks], np.uint64)[owners] + number
    places, across, draws = places[inside], across[inside], unit(conditions.seed, "bay", keys[inside])
    if canvas.frame.gsd < 0.6:
        edges = places[:, None] - _left_of(across)[:, None] * 1.3 + np.array([[-2.4], [2.4]]) * across[:, None]
        canvas.stroke(list(canvas.fixed(edges)), canvas.lengths(0.15), _MARKING, target=canvas.pixels)
    taken = draws < 0.55 * min(conditions.traffic, 1.5)
    size = np.broadcast_to((4.4, 1.85), (int(taken.sum()), 2))
    _paint_cars(canvas, places[taken], across[taken], size, (draws[taken] * 7919).astype(int))


def _bays(park: Area) -> tuple[np.ndarray, np.ndarray]:
    """The middles (N, 2) of bays in rows along the first side of a car park, and the direction (2,) of their cars."""
    shell = shapely.get_coordinates(park.geometry.exterior)
    direction = shell[1] - shell[0]
    direction = direction / max(float(np.linalg.norm(direction)), 1e-6)
    across = np.array([-direction[1], direction[0]])
    local = (shell - shell[0]) @ np.stack([direction, across], axis=1)
    low, high = local.min(axis=0), local.max(axis=0)
    u, v = np.meshgrid(np.arange(low[0] + 2, high[0] - 1, 2.6), np.arange(low[1] + 3.2, high[1] - 2.5, 8.2))
    return shell[0] + u.reshape(-1, 1) * direction + v.reshape(-1, 1) * across, across
