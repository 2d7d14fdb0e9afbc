"""What the bands of a raster stand for: which are its colours, which its opacity, and how values become 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from raster.errors import RasterError

_PRIMARIES = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_OTHER_COLOURS = (
    *(ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black),
    *(ColorInterp.hue, ColorInterp.saturation, ColorInterp.lightness, ColorInterp.Y, ColorInterp.Cb, ColorInterp.Cr),
)
"""What GDAL does not convert to red, green and blue by itself: it does so for prints and videos of 8 bits."""


@dataclass(frozen=True, eq=False)
class Bands:
    """The bands of a raster, counted from 1.

    `colours` are red, green and blue, or the one band of a grey or palette raster; `alpha` is the band of opacity.
    `table` (n, 4) holds the RGBA colours that the values of a palette stand for; `white` the value that is white, where
    the file fixes it (by 8 bits or fewer); `inverted` says that the least value is white. `scaling` (2, bands) holds
    the factor and the offset that make quantities of the samples of each band, where they matter: they differ between
    bands, or turn the order of values round.
    """

    colours: tuple[int, ...]
    alpha: int | None
    table: NDArray[np.uint8] | None
    white: int | None
    inverted: bool
    scaling: NDArray[np.float64] | None = None

    def upright(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values in one scale for all bands, the least one being black.

        Args:
            values: (bands, ...) samples as read from the file, before any stretch.

        Returns:
            The same shape. Quantities, float64, where `scaling` matters; of the same type, subtracted from the type's
            largest value or from `white`, where the least value is white; else the very array.
        """
        if self.scaling is not None:
            factor, offset = self.scaling.reshape(2, -1, *[1] * (values.ndim - 1))
            return np.asarray(values * factor + offset)
        if not self.inverted:
            return values
        top = np.iinfo(values.dtype).max if self.white is None else self.white
        return np.asarray(top - values)


def bands_of(dataset: rasterio.DatasetReader, name: str, chosen: Sequence[int] = ()) -> Bands:
    """Read what the bands of an open raster stand for.

    Args:
        dataset: The raster.
        name: How messages call it.
        chosen: One band or three to take as colours. By default those that the file calls red, green and blue, else
            the first three that are no opacity, else the first.

    Raises:
        RasterError: The chosen bands do not exist, values are complex, or colours are none of red, green and blue.
    """
    interpretations = dataset.colorinterp
    alpha = interpretations.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in interpretations else None
    colours = tuple(chosen) or _colours(interpretations)
    if len(colours) not in (1, 3) or not set(colours) <= set(dataset.indexes):
        raise RasterError(f"{name}: bands {list(colours)} asked for, the file has {dataset.count}: give 1 or 3")
    others = [what.name for band in colours if (what := interpretations[band - 1]) in _OTHER_COLOURS]
    if others and not chosen:
        raise RasterError(
            f"{name}: its bands are {', '.join(others)}, not red, green and blue; convert it to RGB first, for example "
            "with `magick FILE -colorspace sRGB OUT.tif`, and georeference the result"
        )
    kind, *more = dict.fromkeys(str(dataset.dtypes[band - 1]) for band in colours)
    if more:
        raise RasterError(
            f"{name}: its bands {list(colours)} have several types ({kind}, {', '.join(more)}); give all the same, for "
            "example with `gdal_translate -ot UInt16`"
        )
    if kind.startswith("complex"):
        raise RasterError(
            f"{name}: holds complex numbers ({kind}), which are no colours; make an amplitude image of it and use that"
        )
    inverted = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
    table = None
    if len(colours) == 1 and interpretations[colours[0] - 1] is ColorInterp.palette:
        table = _colour_table(dataset, colours[0])
    bits = int(dataset.tags(colours[0], ns="IMAGE_STRUCTURE").get("NBITS", 8))
    white = 2 ** min(bits, 8) - 1 if kind == "uint8" else None
    scaling = None
    if white is None and table is None:
        scaling = _scaling(
            np.array([[values[band - 1] for band in colours] for values in (dataset.scales, dataset.offsets)])
        )
    return Bands(colours, alpha, table, white, inverted and table is None and np.dtype(kind).kind == "u", scaling)


def _scaling(given: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return factors and offsets (2, bands) if a stretch common to all bands would not undo them."""
    usable = np.isfinite(given).all() and (given[0] != 0).all()
    return given if usable and ((given != given[:, :1]).any() or given[0, 0] < 0) else None


def _colours(interpretations: Sequence[ColorInterp]) -> tuple[int, ...]:
    if all(primary in interpretations for primary in _PRIMARIES):
        return tuple(interpretations.index(primary) + 1 for primary in _PRIMARIES)
    opaque = [index for index, what in enumerate(interpretations, 1) if what is not ColorInterp.alpha] or [1]
    return tuple(opaque[:3] if len(opaque) >= 3 else opaque[:1])


def _colour_table(dataset: rasterio.DatasetReader, band: int) -> NDArray[np.uint8]:
    """Return the colours (n + 1, 4), the last one, transparent, for values that the table does not know."""
    entries = dataset.colormap(band)
    table = np.zeros((max(entries) + 2, 4), np.uint8)
    for value, colour in entries.items():
        table[value] = colour
    return table
