"""Landmarks in procedural scenes: where they stand, and the scene around each in every year.

The country is a number of regions, each with a landscape and materials of its own. A region is a plane in metres with
landmarks on a jittered lattice; its origin has a longitude and latitude. Nothing is drawn from another landmark's seed,
so that any number of landmarks may be made in any order, by any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import shapely
from shapely import affinity
from shapely.geometry import Polygon

from cartography.hashing import generator, mix, unit
from cartography.imagery.conditions import Conditions, random_conditions
from cartography.landmarks.kinds import KINDS, Kind, Part
from cartography.procedural import SyntheticScene
from cartography.procedural.landscape import LandscapeName
from cartography.procedural.names import name_of
from cartography.scene import Area, AreaKind, Bounds, Building, Scene

REGIONS: tuple[tuple[str, LandscapeName, float, float], ...] = (
    ("Norwald", "city", -122.3, 47.4), ("Cormar", "coast", -118.2, 34.1), ("Highfen", "mountain", -106.5, 39.1),
    ("Dunberg", "farmland", -97.5, 44.2), ("Salgar", "town", -99.1, 31.5), ("Oldhollow", "village", -84.2, 38.2),
    ("Fenmark", "forest", -69.4, 45.3), ("Estaver", "city", -74.4, 40.6), ("Tidewell", "coast", -80.4, 26.6),
    ("Marlow", "town", -88.0, 41.6),
)  # fmt: skip
"""Name, landscape, longitude and latitude of each region's origin: far enough apart to be told apart at 750 km."""

SPACING = 1600.0
"""Metres between lattice points; jitter leaves at least 800 m between landmarks."""
_JITTER = 400.0
_METRES_A_DEGREE = 111_195.0
YEARS = (2010, 2023)
"""First and last year of imagery."""


@dataclass(frozen=True, eq=False)
class Landmark:
    """A landmark and its place.

    Attributes:
        number: Its number, from 0.
        name: What it is called, with its kind.
        kind: See `KINDS`.
        region: Name of its region, which serves as its state.
        town: Name of its town.
        centre: (x, y) metres in the plane of the region.
        lonlat: Degrees.
        parts: Its buildings.
        yard: The paved or green ground that belongs to it.
        built: Year in which the newest part was added; earlier images lack it.
        materials_seed: Seed of the region's materials.
    """

    number: int
    name: str
    kind: Kind
    region: str
    town: str
    centre: tuple[float, float]
    lonlat: tuple[float, float]
    parts: tuple[Building, ...]
    yard: Area
    built: int
    materials_seed: int

    @cached_property
    def outline(self) -> Polygon:
        """The convex hull of its buildings, metres."""
        hull = shapely.convex_hull(shapely.union_all([part.geometry for part in self.parts]))
        assert isinstance(hull, Polygon)
        return hull


class Country:
    """All landmarks of one seed."""

    def __init__(self, seed: int) -> None:
        """Take a seed; landmarks are made when they are asked for."""
        self.seed = seed
        self._worlds = lru_cache(maxsize=len(REGIONS))(self._world)

    def _world(self, region: int) -> SyntheticScene:
        return SyntheticScene(mix(self.seed, 0x3E610, region), REGIONS[region][1], contours=False)

    def _region(self, number: int) -> int:
        return int(generator(self.seed, 0x11, number).integers(len(REGIONS)))

    def landmark(self, number: int) -> Landmark:
        """Return a landmark by its number."""
        random = generator(self.seed, 0x1A4D, number)
        region = self._region(number)
        name, _, lon, lat = REGIONS[region]
        world = self._worlds(region)
        centre = self._dry(world, self._lattice(number), random)
        key = list(KINDS)[int(random.integers(len(KINDS)))]
        kind = KINDS[key]
        turn = float(random.uniform(0, 180))
        # One key, so that all parts are of one material.
        building = mix(self.seed, number, 0xB1D)
        parts = [self._building(part, centre, turn, building) for part in kind.parts(random)]
        hull = shapely.union_all([part.geometry for part in parts]).buffer(
            float(random.uniform(9, 20)), join_style="mitre"
        )
        ground: AreaKind = "square" if random.random() < 0.55 else "park"
        outline = shapely.convex_hull(hull)
        assert isinstance(outline, Polygon)
        yard = Area(outline, ground, mix(self.seed, number, 0xA4EA))
        town = name_of(mix(self.seed, number, 0x70), "latin")
        title = f"{name_of(mix(self.seed, number, 0x71), 'latin')} {kind.label.title()}"
        built = int(random.integers(*YEARS)) if random.random() < 0.3 and len(parts) > 1 else 0
        lonlat = self._lonlat(lon, lat, centre)
        return Landmark(
            number, title, kind, name, town, centre, lonlat, tuple(parts), yard, built, mix(self.seed, 0x3A7, region)
        )

    def scene(self, landmark: Landmark, bounds: Bounds, year: int) -> Scene:
        """Return the scene around a landmark in a year: what stood in its yard is gone, its parts stand there.

        Args:
            landmark: One of this country.
            bounds: x0, y0, x1, y1 in metres in the plane of its region.
            year: Of the image; before `Landmark.built` its newest part is missing.
        """
        region = next(n for n, each in enumerate(REGIONS) if each[0] == landmark.region)
        scene = self._worlds(region).window(bounds)
        return _with(scene, landmark, year)

    def conditions(self, landmark: Landmark, year: int) -> Conditions:
        """Return sun, season and view of the aerial image of a year; materials are the region's in all years.

        Args:
            landmark: One of this country.
            year: Of the image; each year has its own sun, season and view.
        """
        drawn = random_conditions(mix(self.seed, landmark.number, year))
        return replace(drawn, materials_seed=landmark.materials_seed, absent=0.0)

    def years(self, landmark: Landmark) -> list[int]:
        """Return the years of which there is aerial imagery, two to five, ascending."""
        random = generator(self.seed, 0x9EA2, landmark.number)
        years = random.choice(np.arange(YEARS[0], YEARS[1] + 1), int(random.integers(2, 6)), replace=False)
        return sorted(years.tolist())

    def distractor(self, number: int) -> tuple[SyntheticScene, tuple[float, float], tuple[float, float], int]:
        """Return a place without a landmark: its region's world, centre (metres), lonlat and materials seed.

        Places lie in the middle between lattice points, at least 700 m from every landmark, in the regions of the
        landmarks.
        """
        region = self._region(number)
        random = generator(self.seed, 0xD157, number)
        _, _, lon, lat = REGIONS[region]
        spot = np.array(self._lattice_point(number)) + SPACING / 2 + random.uniform(-30, 30, 2)
        centre = (float(spot[0]), float(spot[1]))
        return self._worlds(region), centre, self._lonlat(lon, lat, centre), mix(self.seed, 0x3A7, region)

    def _lattice_point(self, number: int) -> tuple[float, float]:
        ring = number % 10_000
        return (ring % 100 - 50) * SPACING, (ring // 100 - 50) * SPACING + (number // 10_000) * 100 * SPACING

    def _lattice(self, number: int) -> np.ndarray:
        jitter = unit(self.seed, "lattice", np.array([2 * number, 2 * number + 1], np.uint64)) - 0.5
        return np.array(self._lattice_point(number)) + jitter * _JITTER

    @staticmethod
    def _dry(world: SyntheticScene, start: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
        """Return the first of some places near the start that is not in water."""
        tried = start + np.concatenate([np.zeros((1, 2)), random.uniform(-_JITTER / 2, _JITTER / 2, (40, 2))])
        dry = ~world.landscape.in_water(tried, 80)
        best = tried[int(np.argmax(dry))]
        return float(best[0]), float(best[1])

    @staticmethod
    def _lonlat(lon: float, lat: float, centre: tuple[float, float]) -> tuple[float, float]:
        up = centre[1] / _METRES_A_DEGREE
        return lon + centre[0] / (_METRES_A_DEGREE * float(np.cos(np.radians(lat)))), lat + up

    @staticmethod
    def _building(part: Part, centre: tuple[float, float], turn: float, key: int) -> Building:
        shape = affinity.translate(affinity.rotate(Polygon(part.outline), turn, origin=(0, 0)), *centre)
        return Building(shape, part.kind, part.height, part.roof, key)


def _with(scene: Scene, landmark: Landmark, year: int) -> Scene:
    yard = landmark.yard.geometry
    shapely.prepare(yard)
    parts = landmark.parts if year >= landmark.built else landmark.parts[:-1]
    return replace(
        scene,
        areas=(*scene.areas, landmark.yard),
        buildings=(*(b for b in scene.buildings if not yard.intersects(b.geometry)), *parts),
        trees=tuple(t for t in scene.trees if not yard.contains(t.geometry)),
        barriers=tuple(b for b in scene.barriers if not yard.intersects(b.geometry)),
        roads=tuple(r for r in scene.roads if r.kind not in ("path", "service") or not yard.intersects(r.geometry)),
        pois=tuple(p for p in scene.pois if not yard.contains(p.geometry)),
    )
