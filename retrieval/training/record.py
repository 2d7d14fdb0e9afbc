"""The record of the landmarks that a training read, by which they are refused as questions of a benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from raster.disk import atomic_path
from raster.strict_json import read_json
from retrieval.errors import RetrievalError
from retrieval.sphere import nearest_km

SUFFIX = ".training.json"
_SAME_KM = 0.025
"""Two landmarks whose places are no farther apart are the same."""


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """Landmarks that were trained on: names and places (N, 2) in degrees."""

    ids: Sequence[str]
    lonlat: npt.NDArray[np.float64]

    def knows(self, ids: Sequence[str], lonlat: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Tell which of some landmarks were trained on, by name or by place.

        Args:
            ids: (N,) names, as the training dataset writes them.
            lonlat: (N, 2) WGS84 degrees.

        Returns:
            (N,) bool; by place means within 25 m, as one landmark may have other names in other datasets.
        """
        by_name = np.isin(np.array(ids, object).astype(str), list(self.ids)) if len(ids) else np.zeros(0, bool)
        if not len(self.lonlat) or not len(ids):
            return by_name
        return np.asarray(by_name | (nearest_km(lonlat, self.lonlat) < _SAME_KM))

    def write(self, weights: Path) -> None:
        """Write the record beside the weights."""
        places = [[round(float(lon), 5), round(float(lat), 5)] for lon, lat in self.lonlat]
        path = weights.with_name(weights.name + SUFFIX)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"landmarks": list(self.ids), "lonlat": places}), encoding="utf-8")


def record_of(weights: Path) -> TrainingRecord | None:
    """Read the record beside weights; None if there is none.

    Raises:
        RetrievalError: It cannot be understood.
    """
    path = weights.with_name(weights.name + SUFFIX)
    if not path.is_file():
        return None
    try:
        value = read_json(path)
        places = np.array(value["lonlat"], np.float64).reshape(-1, 2)
        if not np.isfinite(places).all():
            raise ValueError("a place is no number")
        return TrainingRecord([str(name) for name in value["landmarks"]], places)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RetrievalError(f"{path}: not a record of training ({error}); write it again with the training") from error
