"""Reading any raster as RGBA uint8: bands chosen, palettes applied, other types stretched."""

from __future__ import annotations

import numpy as np
import rasterio
import rasterio.vrt
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pipeline.errors import PermanentError
from stages.rasters import Image

_OVERVIEW_PX = 1024
_PERCENTILES = (2, 98)


class RgbaReader:
    """Reads windows of a raster of any band count and type as RGBA uint8.

    A palette is applied. Values of other types than uint8 are stretched linearly, each band from the 2nd to the 98th
    percentile of the whole file's overview, so that all sites of a file look alike. `warped` is a view of the file on
    another grid, to read from instead; `name` is what messages call the file.
    """

    def __init__(
        self,
        dataset: rasterio.DatasetReader,
        name: str,
        bands: tuple[int, ...],
        warped: rasterio.vrt.WarpedVRT | None = None,
    ) -> None:
        self._dataset = dataset
        self._view = warped or dataset
        self._path = name
        self._bands = bands or ((1, 2, 3) if dataset.count >= 3 else (1,))
        if len(self._bands) not in (1, 3) or not set(self._bands) <= set(range(1, dataset.count + 1)):
            raise PermanentError(
                f"{name}: bands {list(self._bands)} asked for, the file has {dataset.count}: give 1 or 3"
            )
        self._palette = _palette(dataset, self._bands[0])
        self._limits = None if dataset.dtypes[self._bands[0] - 1] == "uint8" else self._measure()

    def read(self, window: Window) -> Image:
        """Return the window as RGBA."""
        try:
            values = self._view.read(self._bands, window=window)
            mask = self._view.dataset_mask(window=window)
        except RasterioError as error:
            raise PermanentError(
                f"{self._path}: cannot read rows {window.row_off} to {window.row_off + window.height - 1} "
                f"({error.__cause__ or error}); the file is damaged or truncated: replace it"
            ) from error
        if self._palette is not None:
            pixels = self._palette[values[0]]
            pixels[..., 3] &= mask
            return pixels
        if self._limits is not None:
            low, high = self._limits[:, :, None, None]
            with np.errstate(invalid="ignore"):
                values = np.nan_to_num(np.clip((values - low) * (255 / (high - low)), 0, 255) + 0.5)
        rgba = np.empty((*mask.shape, 4), np.uint8)
        rgba[..., :3] = values.transpose(1, 2, 0)
        rgba[..., 3] = mask
        return rgba

    def _measure(self) -> NDArray[np.float64]:
        """Return the values (2, bands) that become 0 and 255."""
        factor = max(1, max(self._dataset.shape) / _OVERVIEW_PX)
        shape = [max(1, round(size / factor)) for size in self._dataset.shape]
        try:
            sample = self._dataset.read(self._bands, out_shape=(len(self._bands), *shape), masked=True)
        except RasterioError as error:
            raise PermanentError(f"{self._path}: cannot read this raster ({error.__cause__ or error})") from error
        limits = np.zeros((2, len(self._bands)))
        for index, band in enumerate(sample):
            values = band.compressed()
            values = values[np.isfinite(values)]
            limits[:, index] = np.percentile(values, _PERCENTILES) if len(values) else (0, 1)
        limits[1] = np.maximum(limits[1], limits[0] + 1e-9)
        return limits


def _palette(dataset: rasterio.DatasetReader, band: int) -> Image | None:
    if dataset.colorinterp[band - 1] is not ColorInterp.palette:
        return None
    table = np.zeros((256, 4), np.uint8)
    for value, colour in dataset.colormap(band).items():
        table[value] = colour
    return table
