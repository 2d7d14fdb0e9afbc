"""Source `geotiff`: georeferenced raster files on disk, GeoTIFF or Cloud Optimized GeoTIFF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from pydantic import Field
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pipeline.config import ConfigPath
from pipeline.errors import PermanentError
from stages.acquire.source import Site, Source, Strips, window_of
from stages.gdal import Session
from stages.grid import Grid
from stages.rasters import Image, grid_of, open_dataset

ROWS = 512
_OVERVIEW_PX = 1024
_PERCENTILES = (2, 98)


class GeoTiffSource(Source):
    """Raster files on disk, one for all sites or one a site; the part under the site's footprint is taken as it is."""

    kind: Literal["geotiff"] = "geotiff"
    path: ConfigPath = Field(
        description="File, relative to the configuration; may hold {point_id} and {site_id}, as in "
        "`rasters/{point_id}_{site_id}_map.tif`."
    )
    bands: tuple[int, ...] = Field(
        (),
        description="Bands to take as red, green and blue, counted from 1; one band makes a grey image. "
        "Default: the first three, or the first of one or two.",
    )

    def file(self, site: Site) -> Path:
        """Return the file of a site."""
        return Path(str(self.path).format(point_id=site.point_id, site_id=site.site_id))

    def identity(self, site: Site) -> str:
        """Return size and time of change of the site's file: reading gigabytes just to plan would take too long."""
        try:
            status = self.file(site).stat()
        except OSError:
            return "absent"
        return f"{status.st_size} {status.st_mtime_ns}"

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Open the site's file; see `Source.open`."""
        path = self.file(site)
        with Session().activate(), open_dataset(path) as dataset:
            whole = grid_of(dataset, path)
            grid = window_of(site, whole, str(path))
            x, y = (round(value) for value in ~whole.transform @ (grid.transform.c, grid.transform.f))
            yield Strips(grid, self._strips(dataset, path, (x, y), grid), {"DATE": _date(dataset)})

    def _strips(
        self, dataset: rasterio.DatasetReader, path: Path, origin: tuple[int, int], grid: Grid
    ) -> Iterator[Image]:
        reader = _Reader(dataset, path, self.bands)
        for row in range(0, grid.height, ROWS):
            yield reader.read(Window(origin[0], origin[1] + row, grid.width, min(ROWS, grid.height - row)))


class _Reader:
    """Reads windows of a raster of any band count and type as RGBA uint8.

    A palette is applied. Values of other types than uint8 are stretched linearly, each band from the 2nd to the 98th
    percentile of the whole file's overview, so that all sites of a file look alike.
    """

    def __init__(self, dataset: rasterio.DatasetReader, path: Path, bands: tuple[int, ...]) -> None:
        self._dataset = dataset
        self._path = path
        self._bands = bands or ((1, 2, 3) if dataset.count >= 3 else (1,))
        if len(self._bands) not in (1, 3) or not set(self._bands) <= set(range(1, dataset.count + 1)):
            raise PermanentError(
                f"{path}: bands {list(self._bands)} asked for, the file has {dataset.count}: give 1 or 3"
            )
        self._palette = _palette(dataset, self._bands[0])
        self._limits = None if dataset.dtypes[self._bands[0] - 1] == "uint8" else self._measure()

    def read(self, window: Window) -> Image:
        """Return the window as RGBA."""
        try:
            values = self._dataset.read(self._bands, window=window)
            mask = self._dataset.dataset_mask(window=window)
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


def _date(dataset: rasterio.DatasetReader) -> str:
    """Return the date of the TIFF tag `DATE` (ours), or of TIFFTAG_DATETIME ("2019:07:21 10:20:30"), else ""."""
    tags = dataset.tags()
    return str(tags.get("DATE") or tags.get("TIFFTAG_DATETIME", "")[:10].replace(":", "-"))
