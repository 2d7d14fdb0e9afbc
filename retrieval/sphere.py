"""Places as points of the unit sphere, so that the nearest of many can be found by a tree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from retrieval.metrics import EARTH_RADIUS_KM

Values = npt.NDArray[np.float64]


def nearest_km(points: Values, places: Values) -> Values:
    """Return the distance from each point to the nearest of some places.

    Args:
        points: (N, 2) longitude and latitude, degrees.
        places: (M, 2), at least one.

    Returns:
        (N,) kilometres on a sphere of 6,371 km.
    """
    chords, _ = cKDTree(_on_sphere(places)).query(_on_sphere(points))
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chords / 2, 0, 1)))


def _on_sphere(lonlat: Values) -> Values:
    lon, lat = np.radians(np.asarray(lonlat, np.float64)).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
