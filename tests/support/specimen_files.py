"""Files of rasters for tests: how they are written, and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

WIDTH, HEIGHT = 120, 90
PLACE = Affine(1, 0, 600000, 0, -1, 5200000)
UTM = "EPSG:32632"

Values = NDArray[Any]


@dataclass
class Specimen:
    """A file, and the truth about it: colours (HEIGHT, WIDTH, 3) where `valid`; `outline` (4, 2), its outer corners in
    UTM zone 32, clockwise from the one of its first pixel, or None where it has no place; `refused` is what an error
    says."""

    path: Path
    colours: NDArray[np.uint8]
    valid: NDArray[np.bool_] = field(default_factory=lambda: np.ones((HEIGHT, WIDTH), bool))
    outline: NDArray[np.float64] | None = None
    refused: str = ""

    @property
    def without_colours(self) -> bool:
        """Is it refused for its values, not for its place?"""
        return self.refused.startswith(("complex numbers", "bands are"))


def picture() -> NDArray[np.uint8]:
    """A smooth picture whose channels differ, with no symmetry."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    waves = [np.sin(x / 19 + y / 41), np.sin(y / 17 - x / 63) * 0.8, np.cos((x + 2 * y) / 33) * 0.6]
    levels = [150, 110, 70]
    return np.stack([level + 60 * wave for level, wave in zip(levels, waves, strict=True)], axis=-1).astype(np.uint8)


def left() -> NDArray[np.bool_]:
    """What most specimens have no data in: the left 40 columns."""
    return np.broadcast_to(np.arange(WIDTH) < 40, (HEIGHT, WIDTH))


def outline(transform: Affine = PLACE) -> NDArray[np.float64]:
    return np.array([transform @ corner for corner in ((0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT))])


def write(path: Path, values: Values, **profile: Any) -> Path:
    """Write (rows, columns) or (rows, columns, bands); `interpretation`, `table`, `mask`, `sidecar`, `control` as GDAL
    has them."""
    values = values[..., None] if values.ndim == 2 else values
    interpretation, table = profile.pop("interpretation", None), profile.pop("table", None)
    mask, sidecar, control = profile.pop("mask", None), profile.pop("sidecar", False), profile.pop("control", None)
    place = {"crs": UTM, "transform": PLACE} | profile
    place = {key: value for key, value in place.items() if value is not None}
    size = {"height": values.shape[0], "width": values.shape[1], "count": values.shape[2]}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=not sidecar, OSR_STRIP_TOWGS84=False),
        rasterio.open(path, "w", **({"driver": "GTiff", "dtype": values.dtype} | size | place)) as dataset,
    ):
        dataset.write(np.moveaxis(values, -1, 0))
        if interpretation is not None:
            dataset.colorinterp = interpretation
        if table is not None:
            dataset.write_colormap(1, table)
        if mask is not None:
            dataset.write_mask(mask)
        if control is not None:
            dataset.gcps = control
    return path


def linear(values: Values, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """One stretch for all bands between the 0.5th and 99.5th percentile of what has data."""
    low, high = np.percentile(values[valid].astype(np.float64), (0.5, 99.5))
    scaled = np.rint(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255)
    return np.where(valid[..., None], scaled, 0).astype(np.uint8)
