"""What belongs to the landscape and not to a superblock: water, woods, rock, contours, rivers, railways, motorways.

Computed per square cell of the plane; lines and areas of neighbouring cells meet at the cell's border because they
trace the same field. Contours and streams end at the water's edge, rivers and railways where they reach a lake or the
sea.
"""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from cartography.hashing import mix
from cartography.procedural.landscape import Landscape
from cartography.procedural.names import SCRIPTS, name_of
from cartography.procedural.warp import SPACING
from cartography.procedural.waves import WaveField, isolines, region, sample_grid
from cartography.scene import Area, AreaKind, Bounds, Contour, Rail, Road, Scene, Waterway

_OVERLAP = 0.5
"""Metres by which areas of neighbouring cells overlap, so that no renderer shows a hairline between them."""


def terrain(landscape: Landscape, i: int, j: int, *, contours: bool = True) -> Scene:
    """Return the landscape's features of a cell: water, woods, rock, contours, railways and motorways.

    Args:
        landscape: What the ground is like.
        i: Column of the cell.
        j: Row of the cell.
        contours: Whether to draw contours.

    Returns:
        Its features in the plane.
    """
    bounds = (i * SPACING, j * SPACING, (i + 1) * SPACING, (j + 1) * SPACING)
    points = sample_grid(bounds)
    flat = points.reshape(-1, 2)
    lakes = shapely.union_all(region(landscape.lake(flat).reshape(points.shape[:2]), points, bounds))
    water = shapely.union(lakes, _river_banks(landscape, bounds))
    return Scene(
        bounds,
        areas=_areas(landscape, bounds, points, flat),
        contours=_contours(landscape, bounds, points, flat, water) if contours else (),
        waterways=_waterways(landscape, bounds, points, flat, lakes, water),
        rails=tuple(
            Rail(line, "rail", 2, mix(landscape.seed, 30, i, j, n))
            for n, line in enumerate(_outside(_trace(landscape.railway, points, flat), lakes))
        ),
        roads=tuple(
            Road(line, "motorway", 24.0, mix(landscape.seed, 31, i, j, n), bridge=True, ref=f"A{landscape.seed % 97}")
            for n, line in enumerate(_trace(landscape.motorway, points, flat))
        ),
    )


def _trace(field: WaveField, points: np.ndarray, flat: np.ndarray) -> list[LineString]:
    return isolines(field(flat).reshape(points.shape[:2]), points, 0.0)


def _areas(landscape: Landscape, bounds: Bounds, points: np.ndarray, flat: np.ndarray) -> tuple[Area, ...]:
    shape = points.shape[:2]
    rock = landscape.rock(flat).reshape(shape)
    kinds: tuple[tuple[AreaKind, np.ndarray], ...] = (
        ("forest", np.minimum(landscape.forest(flat).reshape(shape), 0.15 - rock)),
        ("scrub", np.minimum(rock + 0.25, 0.2 - rock)),
        ("rock", rock),
        ("glacier", rock - 0.9),
        ("sand", landscape.lake(flat).reshape(shape) + 0.03),
        ("water", landscape.lake(flat).reshape(shape)),
    )
    areas: list[Area] = []
    for kind, values in kinds:
        for part in region(values, points, bounds):
            key = mix(landscape.seed, 32, len(areas), int(bounds[0]), int(bounds[1]))
            areas.append(Area(part.buffer(_OVERLAP, join_style="mitre"), kind, key))
    for line in _trace(landscape.river, points, flat):
        bank = line.buffer(landscape.river_width / 2, quad_segs=6)
        areas.append(Area(bank, "water", mix(landscape.seed, 33, len(areas), int(bounds[0]), int(bounds[1]))))
    return tuple(areas)


def _river_banks(landscape: Landscape, bounds: Bounds) -> BaseGeometry:
    """What rivers cover of a cell, those of the neighbouring cells included."""
    nearby = sample_grid(bounds, more=int(landscape.river_width / 2 / (SPACING / 16)) + 1)
    lines = _trace(landscape.river, nearby, nearby.reshape(-1, 2))
    return shapely.union_all(shapely.buffer(lines, landscape.river_width / 2, quad_segs=6))


def _outside(lines: list[LineString], water: BaseGeometry) -> list[LineString]:
    """What of lines does not lie in the water."""
    parts = shapely.get_parts(shapely.difference(lines, water)).tolist()
    return [part for part in parts if isinstance(part, LineString) and part.length > 1]


def _contours(
    landscape: Landscape, bounds: Bounds, points: np.ndarray, flat: np.ndarray, water: BaseGeometry
) -> tuple[Contour, ...]:
    heights = landscape.elevation(flat).reshape(points.shape[:2])
    interval = 20.0 if landscape.relief > 300 else 10.0 if landscape.relief > 100 else 5.0
    first, last = int(np.ceil(heights.min() / interval)), int(np.floor(heights.max() / interval))
    return tuple(
        Contour(line, step * interval, step % 5 == 0, mix(landscape.seed, 34, step, n, int(bounds[0]), int(bounds[1])))
        for step in range(first, last + 1)
        for n, line in enumerate(_outside(isolines(heights, points, step * interval), water))
    )


def _waterways(
    landscape: Landscape,
    bounds: Bounds,
    points: np.ndarray,
    flat: np.ndarray,
    lakes: BaseGeometry,
    water: BaseGeometry,
) -> tuple[Waterway, ...]:
    script = SCRIPTS[landscape.seed % len(SCRIPTS)]
    seed = landscape.seed
    ways = [
        Waterway(
            line,
            "river",
            landscape.river_width,
            mix(seed, 35, n, int(bounds[0]), int(bounds[1])),
            name_of(seed, script),
        )
        for n, line in enumerate(_outside(_trace(landscape.river, points, flat), lakes))
    ]
    # Streams stay out of towns, where they would be covered.
    towns = shapely.union_all(region(landscape.built(flat).reshape(points.shape[:2]), points, bounds))
    streams = _outside(_outside(_trace(landscape.stream, points, flat), towns), water)
    return (
        *ways,
        *(
            Waterway(line, "stream", 3.0, mix(seed, 36, n, int(bounds[0]), int(bounds[1])))
            for n, line in enumerate(streams)
        ),
    )
