"""Placing the sites of a sampling point: footprints that do not overlap, chosen for what lies in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, box
from shapely.affinity import translate

from stages.sample.earth_data import EARTH_RADIUS_KM, EarthData, unit_vectors
from stages.sample.strata import Candidates, Stratum, natural_strata

KM_PER_DEGREE = EARTH_RADIUS_KM * np.pi / 180
MAX_LATITUDE = 80.0
"""Degrees within which the centres of sampled sites lie: nearer to a pole, parallels are no straight sides."""
_PROBES = 5


class SizeRange(NamedTuple):
    """The sizes a footprint may have, in pixels, and the ground sample distance in metres."""

    least: tuple[int, int]
    most: tuple[int, int]
    gsd: float


class Choice(NamedTuple):
    """How footprints are chosen: so many random ones for each point, and the share of land that each stratum wants."""

    candidates: int
    least_land: Mapping[Stratum, float]


@dataclass(frozen=True)
class SampledFootprint:
    """A footprint: centre in degrees, size in pixels at `gsd` metres. Number counts from 1 within its point."""

    point: int
    number: int
    lon: float
    lat: float
    stratum: str
    width: int
    height: int
    gsd: float

    @property
    def geometry(self) -> Polygon:
        """The outline in unwrapped WGS84 degrees, with parallels and meridians as sides."""
        return _outline(self.lon, self.lat, self.width * self.gsd / 1000, self.height * self.gsd / 1000)


def place_sites(
    earth: EarthData, points: Candidates, sites_per_point: int, extent: SizeRange, choice: Choice, seed: int
) -> list[SampledFootprint]:
    """Return `sites_per_point` sites for every point, in the points' order; no two of all of them overlap.

    The first site is centred on its point; the others are the best by content of random footprints within
    about three footprints' reach. A point's draw depends on the seed and the point's position alone.

    Args:
        earth: Land, climate and settlements.
        points: The sampling points.
        sites_per_point: Sites at each point.
        extent: Sizes that a footprint may have.
        choice: How many footprints are looked at for each point, and what they should hold.
        seed: Seed of the run.

    Returns:
        The sites. A point without room for all of its sites has fewer.
    """
    taken: list[Polygon] = []
    result: list[SampledFootprint] = []
    for index in range(len(points)):
        lon, lat = float(points.lon[index]), float(points.lat[index])
        rng = np.random.default_rng([seed, round((lon + 180) * 1e5), round((lat + 90) * 1e5)])
        candidates = _candidates(rng, index, lon, lat, str(points.stratum[index]), extent, choice.candidates)
        order = np.argsort(-np.round(content(earth, candidates, choice.least_land), 6), kind="stable")
        order = np.concatenate([[0], order[order != 0]])
        chosen: list[SampledFootprint] = []
        for candidate in (candidates[i] for i in order):
            outline = candidate.geometry
            if not any(_overlap(outline, other) for other in taken):
                taken.append(outline)
                chosen.append(candidate)
            if len(chosen) == sites_per_point:
                break
        result += [
            SampledFootprint(index, number, s.lon, s.lat, s.stratum, s.width, s.height, s.gsd)
            for number, s in enumerate(chosen, 1)
        ]
    return result


def _overlap(outline: Polygon, other: Polygon) -> bool:
    """Tell whether two unwrapped outlines overlap, also where they meet across the antimeridian."""
    turns = (0.0, 360.0, -360.0) if max(map(abs, outline.bounds[::2])) > 170 else (0.0,)
    return any(outline.intersects(translate(other, turn) if turn else other) for turn in turns)


def content(
    earth: EarthData, sites: Sequence[SampledFootprint], least_land: Mapping[Stratum, float]
) -> NDArray[np.float64]:
    """Return a score (N,) of what a map of each footprint would show; higher is better.

    Settled strata count the logarithm of the inhabitants in the footprint (villages: that of the places, not of the
    people); natural strata the share of the footprint that their rule fits, and a little for settlements, without
    which a map is blank. Sea beyond what the stratum allows costs most.

    Args:
        earth: Land, climate and settlements.
        sites: Footprints (N).
        least_land: Share of land that a stratum wants.

    Returns:
        Scores (N,).
    """
    probes = np.stack([_probes(site) for site in sites])  # (N, P, 2)
    lon, lat = probes[..., 0].ravel(), probes[..., 1].ravel()
    land = earth.land_share_at(lon, lat).reshape(len(sites), -1).mean(axis=1)
    strata = natural_strata(earth, lon, lat).reshape(len(sites), -1)
    scores = np.empty(len(sites))
    for i, site in enumerate(sites):
        inside = _places_within(earth, site)
        # Where nobody has said what kind of place it is, a site is chosen as at a village: for what is mapped there.
        kind = Stratum(site.stratum or Stratum.VILLAGE)
        if kind is Stratum.VILLAGE:
            gain = np.log1p(len(inside))
        elif kind in (Stratum.CITY, Stratum.SUBURB):
            gain = np.log1p(earth.places.population[inside].sum())
        else:
            gain = (strata[i] == kind).mean() + 0.1 * np.log1p(len(inside))
        scores[i] = gain - 20 * max(0.0, least_land[kind] - land[i])
    return scores


def _probes(site: SampledFootprint) -> NDArray[np.float64]:
    """Return a lattice of positions (P, 2), longitude and latitude, over the footprint."""
    west, south, east, north = site.geometry.bounds
    lon, lat = np.meshgrid(np.linspace(west, east, _PROBES), np.linspace(south, north, _PROBES))
    return np.column_stack([lon.ravel(), lat.ravel()])


def _candidates(
    rng: np.random.Generator, point: int, lon: float, lat: float, stratum: str, extent: SizeRange, count: int
) -> list[SampledFootprint]:
    """Return `count` random footprints; the first lies on the point."""
    sizes = np.column_stack(
        [rng.integers(extent.least[axis], extent.most[axis] + 1, count) for axis in range(2)]
    ).tolist()
    reach = 3 * max(extent.most) * extent.gsd / 1000
    east, north = rng.uniform(-reach, reach, (2, count))
    east[0] = north[0] = 0
    lats = np.clip(lat + north / KM_PER_DEGREE, -MAX_LATITUDE, MAX_LATITUDE)
    lons = (lon + east / (KM_PER_DEGREE * np.cos(np.radians(lat))) + 180) % 360 - 180
    return [
        SampledFootprint(point, 0, round(float(x), 5), round(float(y), 5), stratum, int(width), int(height), extent.gsd)
        for x, y, (width, height) in zip(lons, lats, sizes, strict=True)
    ]


def _outline(lon: float, lat: float, width_km: float, height_km: float) -> Polygon:
    half_x = width_km / 2 / (KM_PER_DEGREE * np.cos(np.radians(lat)))
    half_y = height_km / 2 / KM_PER_DEGREE
    return box(lon - half_x, lat - half_y, lon + half_x, lat + half_y)


def _places_within(earth: EarthData, site: SampledFootprint) -> NDArray[np.int64]:
    west, south, east, north = site.geometry.bounds
    radius = np.hypot(site.width, site.height) * site.gsd / 2000 / EARTH_RADIUS_KM
    centre = unit_vectors(np.array(site.lon), np.array(site.lat))
    near = np.array(sorted(earth.places.tree.query_ball_point(centre, radius)), np.int64)
    lon, lat = earth.places.lon[near], earth.places.lat[near]
    if west < -180 or east > 180:  # counted on from the site's own longitude, as its outline is
        lon = lon + 360 * np.round((site.lon - lon) / 360)
    inside: NDArray[np.int64] = near[(lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)]
    return inside
