"""The strata of the globe from which sampling points are drawn, and the candidates of each.

No open land-cover or elevation model comes in a package, so the natural strata are proxies of climate, its relief and
the distance to settlements; each rule says which. Continents are those of the nearest settlement's country.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.sample.earth_data import (
    CLIMATE_CELLS_PER_DEGREE,
    KOEPPEN_CLASSES,
    EarthData,
    Places,
    great_circle_km,
    unit_vectors,
)

CONTINENTS = ("AF", "AS", "EU", "NA", "OC", "SA")
"""Inhabited continents, as GeoNames abbreviates them."""
_GROUND_POINTS = 1_000_000


class Stratum(StrEnum):
    """What the ground round a sampling point is like."""

    CITY = "city"
    SUBURB = "suburb"
    VILLAGE = "village"
    FARMLAND = "farmland"
    FOREST = "forest"
    DESERT = "desert"
    MOUNTAIN = "mountain"
    COAST = "coast"


@dataclass(frozen=True)
class Candidates:
    """Positions (N,) in degrees with stratum and continent, in an order that depends on the seed alone."""

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    stratum: NDArray[np.str_]
    continent: NDArray[np.str_]
    country: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.lon)

    @classmethod
    def concatenate(cls, parts: Iterable[Candidates]) -> Candidates:
        """Join candidates in the order given.

        Args:
            parts: The candidates.

        Returns:
            All of them.
        """
        parts = list(parts)
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def take(self, index: NDArray[np.int64]) -> Candidates:
        """Return some candidates.

        Args:
            index: Positions (M,).

        Returns:
            Those at the positions, in their order.
        """
        return Candidates(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def sample_candidates(earth: EarthData, seed: int, countries: Collection[str] = ()) -> Candidates:
    """Return settlements and random ground of every stratum, of `countries` (ISO codes) only if given.

    Their order depends on the seed. The same on every machine: positions are whole cells and whole GeoNames
    coordinates, never results of a sum that another processor might round otherwise.

    Args:
        earth: Land, climate and settlements.
        seed: Seed of the run.
        countries: ISO codes; all countries if empty.

    Returns:
        The candidates.
    """
    rng = np.random.default_rng(seed)
    everything = Candidates.concatenate([*_settlements(earth), _ground(earth, rng)])
    eligible = np.isin(everything.continent, CONTINENTS)
    if countries:
        eligible &= np.isin(everything.country, list(countries))
    return everything.take(rng.permutation(np.flatnonzero(eligible)))


def _settlements(earth: EarthData) -> list[Candidates]:
    """Cities of 500,000 or more; towns of 10,000 to 200,000 within 8 to 25 km of one; villages of 500 to 5,000 that
    are 15 km or more from any town of 50,000."""
    places = earth.places
    to_city = _distance_km(places.at_least(500_000), places.lon, places.lat)
    to_town = _distance_km(earth.towns, places.lon, places.lat)
    rules = {
        Stratum.CITY: places.population >= 500_000,
        Stratum.SUBURB: _between(places.population, 10_000, 200_000) & _between(to_city, 8, 25),
        Stratum.VILLAGE: _between(places.population, 500, 5_000) & (to_town >= 15),
    }
    return [
        Candidates(
            places.lon[rule],
            places.lat[rule],
            np.full(rule.sum(), stratum.value),
            places.continent[rule],
            places.country[rule],
        )
        for stratum, rule in rules.items()
    ]


def _ground(earth: EarthData, rng: np.random.Generator) -> Candidates:
    """Random land, even by area, of a stratum that a rule of `natural_strata` names."""
    rows_per_pole = 90 * CLIMATE_CELLS_PER_DEGREE
    sine = rng.uniform(-1, 1, _GROUND_POINTS)
    row = np.floor(rows_per_pole - np.degrees(np.arcsin(sine)) * CLIMATE_CELLS_PER_DEGREE)
    column = rng.integers(0, 360 * CLIMATE_CELLS_PER_DEGREE, _GROUND_POINTS)
    lat = np.round(90 - (row + 0.5) / CLIMATE_CELLS_PER_DEGREE, 5)
    lon = np.round((column + 0.5) / CLIMATE_CELLS_PER_DEGREE - 180, 5)
    keep = (lat > -56) & (lat < 72) & (earth.land_share_at(lon, lat) > 0)
    lon, lat = lon[keep], lat[keep]
    stratum = natural_strata(earth, lon, lat)
    known = stratum != ""
    lon, lat, stratum = lon[known], lat[known], stratum[known]
    _, nearest = earth.places.tree.query(unit_vectors(lon, lat))
    return Candidates(lon, lat, stratum, earth.places.continent[nearest], earth.places.country[nearest])


def natural_strata(earth: EarthData, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.str_]:
    """Return the stratum of each position, or "" where no rule fits. The first rule that fits counts.

    Args:
        earth: Land, climate and settlements.
        lon: Longitudes (N,) in degrees.
        lat: Latitudes (N,) in degrees.

    Returns:
        Names of strata (N,).
    """
    to_place = _distance_km(earth.places, lon, lat)
    to_town = _distance_km(earth.towns, lon, lat)
    here = earth.climate_at(lon, lat)[:, 0]
    around = earth.climate_at(lon, lat, reach=4)
    land = earth.land_share_at(lon, lat)
    inland = land >= 0.98
    # Several climates, or alpine tundra outside the Arctic, within 12 km: only relief does that.
    relief = (_distinct(around) >= 4) | ((_is(around, "ET EF").mean(axis=1) > 0.2) & (np.abs(lat) < 58))
    rules = {
        Stratum.COAST: _between(land, 0.35, 0.85) & (to_place < 20),
        Stratum.MOUNTAIN: inland & relief & (to_place < 40),
        Stratum.DESERT: inland & _is(here, "BWh BWk") & (to_place > 5),
        Stratum.FARMLAND: inland
        & _is(here, "Aw BSh BSk Cfa Cfb Csa Csb Cwa Cwb Dfa Dfb Dwa Dwb Dsa Dsb")
        & (to_place > 2)
        & (to_place < 10)
        & (to_town > 10),
        Stratum.FOREST: inland & _is(here, "Af Am As Cfb Cfc Dfb Dfc Dsc Dwb Dwc") & (to_place >= 12),
    }
    return np.select(list(rules.values()), [stratum.value for stratum in rules], "")


def _between(values: NDArray[Any], least: float, most: float) -> NDArray[np.bool_]:
    return (values >= least) & (values <= most)


def _is(climate: NDArray[np.uint8], names: str) -> NDArray[np.bool_]:
    return np.isin(climate, [KOEPPEN_CLASSES.index(name) + 1 for name in names.split()])


def _distinct(climate: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the classes other than the ocean in each row."""
    ordered = np.sort(climate, axis=1)
    count = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
    result: NDArray[np.int64] = count - _is(climate, "Ocean").any(axis=1)
    return result


def _distance_km(places: Places, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    distance, _ = places.tree.query(unit_vectors(lon, lat))
    return great_circle_km(distance)
