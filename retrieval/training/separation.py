"""Keeping landmarks aside that lie apart in space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval.metrics import EARTH_RADIUS_KM
from retrieval.sphere import nearest_km
from retrieval.training.config import Validation

Numbers = npt.NDArray[np.int64]


def kept_aside(lonlat: npt.NDArray[np.float64], settings: Validation, seed: int) -> tuple[Numbers, Numbers]:
    """Divide landmarks into those that train and those that are kept aside.

    Cells of latitude and longitude are drawn as a whole; landmarks near to one of a drawn cell take no part.

    Args:
        lonlat: (L, 2) degrees.
        settings: Share, side of cells, distance.
        seed: Decides which cells.

    Returns:
        Numbers of the landmarks that train, and of those kept aside; the latter none if the share is 0.
    """
    degrees = np.degrees(settings.cell_km / EARTH_RADIUS_KM)
    rows = np.floor(lonlat[:, 1] / degrees).astype(np.int64)
    # Cells of a row are as wide as they are high in its middle.
    width = degrees / np.maximum(np.cos(np.radians((rows + 0.5) * degrees)), 0.01)
    columns = np.floor(lonlat[:, 0] / width).astype(np.int64)
    _, cells = np.unique(np.stack([rows, columns], axis=1), axis=0, return_inverse=True)
    cells = cells.ravel()
    order = np.random.default_rng([seed, 0xA51DE]).permutation(int(cells.max()) + 1)
    filled = np.cumsum(np.bincount(cells)[order])
    chosen = order[: int(np.searchsorted(filled, settings.share * len(lonlat)))] if settings.share else order[:0]
    aside = np.isin(cells, chosen)
    if not aside.any():
        return np.arange(len(lonlat)), np.zeros(0, np.int64)
    near = nearest_km(lonlat, lonlat[aside]) < settings.distance_km
    return np.flatnonzero(~aside & ~near), np.flatnonzero(aside)
