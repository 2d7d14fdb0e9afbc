"""One reader of rasters: windows of any raster that GDAL reads, as RGB with a mask, as the file itself says."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from raster.bands import Bands, bands_of
from raster.errors import RasterError
from raster.gdal import Session
from raster.georeference import grid_of
from raster.grid import Grid
from raster.image import Image, Mask
from raster.stretch import stretched, value_range

ROWS = 512
"""Rows read at once: what a raster takes in memory beside its reduced version."""

OVERVIEW_PX = 1024
"""Longer side of the overview by which the range of values is told."""

MAX_OVERVIEW_SOURCE_PX = 1_000_000_000
"""Pixels of a raster, or of its coarsest overview, beyond which no overview of the whole is made."""

MAX_BLOCK_BYTES = 1 << 28
"""A file of a few bytes can say that it is stored in blocks that fill the memory."""


class RasterReader:
    """An open raster. Made by `open_raster`.

    Bands are red, green and blue by what the file says of them; grey is repeated, palettes are resolved, samples of
    fewer than 8 bits fill the range. Other types are stretched by one range for the whole raster, so that all its
    windows look alike. What has no data by the file's own masks (internal or beside it), alpha band, colour table or
    nodata value, and what is not finite, is masked and does not count in the range.
    """

    def __init__(
        self, dataset: rasterio.DatasetReader, name: str, bands: Bands, original: RasterReader | None = None
    ) -> None:
        self._dataset = dataset
        self._bands = bands
        self._original = original  # the raster that this is a view of
        self.name = name
        self.width, self.height = dataset.width, dataset.height
        flags = [dataset.mask_flag_enums[band - 1] for band in bands.colours]
        self._masked = () if all(MaskFlags.all_valid in flag for flag in flags) else bands.colours
        if MaskFlags.per_dataset in flags[0]:  # all bands have the same mask
            self._masked = bands.colours[:1]
        self._alpha = None if MaskFlags.alpha in flags[0] else bands.alpha

    @cached_property
    def grid(self) -> Grid:
        """The raster's grid.

        Raises:
            RasterError: The file does not say where it lies.
        """
        return grid_of(self._dataset, self.name)

    @property
    def located(self) -> Grid | None:
        """The raster's grid, or None where the file does not say where it lies."""
        try:
            return self.grid
        except RasterError:
            return None

    @property
    def tags(self) -> dict[str, str]:
        """The file's metadata."""
        return dict(self._dataset.tags())

    def read(self, x: int, y: int, width: int, height: int, reduce: int = 1) -> tuple[Image, Mask]:
        """Read a window.

        Args:
            x: First column, within the raster.
            y: First row, within the raster.
            width: In pixels of the raster; what lies beyond its right edge is like its border.
            height: In pixels of the raster; what lies beyond its bottom edge is like its border.
            reduce: Blocks of `reduce` x `reduce` px are averaged to one.

        Returns:
            The pixels (ceil(height / reduce), ceil(width / reduce), 3) and their mask. A block has data where all its
            pixels do. The colours of pixels without data are whatever the file holds.

        Raises:
            RasterError: The file is damaged or truncated.
        """
        if reduce == 1:
            return self._window(x, y, width, height)
        columns, rows = -(-width // reduce), -(-height // reduce)
        image, mask = np.empty((rows, columns, 3), np.uint8), np.empty((rows, columns), bool)
        strip = max(1, ROWS // reduce)
        for top in range(0, rows, strip):
            count = min(strip, rows - top)
            pixels, valid = self._window(x, y + top * reduce, columns * reduce, count * reduce)
            # Several times as fast as GDAL's own averaging.
            cv2.resize(pixels, (columns, count), dst=image[top : top + count], interpolation=cv2.INTER_AREA)
            shares = cv2.resize(valid.astype(np.float32), (columns, count), interpolation=cv2.INTER_AREA)
            mask[top : top + count] = shares > 1 - 0.5 / reduce**2
        return image, mask

    @contextmanager
    def on_grid(self, grid: Grid) -> Iterator[RasterReader]:
        """Open a view of the raster on another grid, bilinear (palettes: nearest); outside the raster is no data.

        Args:
            grid: Of the view, in any CRS.

        Yields:
            The view; it must not outlive this raster.

        Raises:
            RasterError: The file does not say where it lies, or its bands have several values for no data.
        """
        if len({repr(self._dataset.nodatavals[band - 1]) for band in self._bands.colours}) > 1:
            raise RasterError(
                f"{self.name}: its bands have several nodata values; give them one, for example with "
                "`gdalwarp -dstnodata 0`"
            )
        flags = self._dataset.mask_flag_enums[self._bands.colours[0] - 1]
        with WarpedVRT(
            self._dataset,
            src_crs=self.grid.crs,
            src_transform=self.grid.transform,
            src_nodata=self._dataset.nodata if MaskFlags.nodata in flags else None,
            crs=grid.crs,
            transform=grid.transform,
            width=grid.width,
            height=grid.height,
            resampling=Resampling.bilinear if self._bands.table is None else Resampling.nearest,
            add_alpha=self._bands.alpha is None,
        ) as view:
            alpha = self._bands.alpha or view.count
            yield RasterReader(view, self.name, replace(self._bands, alpha=alpha), self)

    def _window(self, x: int, y: int, width: int, height: int) -> tuple[Image, Mask]:
        """Read a window at full resolution."""
        inside = Window(x, y, min(width, self.width - x), min(height, self.height - y))
        try:
            pixels, mask = self._pixels(inside)
        except RasterioError as error:
            raise RasterError(
                f"{self.name}: cannot read rows {y} to {y + inside.height - 1} ({error.__cause__ or error}); "
                "the file is damaged or truncated: replace it"
            ) from error
        beyond = (0, height - inside.height), (0, width - inside.width)
        if not np.any(beyond):
            return pixels, mask
        return np.pad(pixels, (*beyond, (0, 0)), mode="edge"), np.pad(mask, beyond, mode="edge")

    def _pixels(self, window: Window) -> tuple[Image, Mask]:
        bands = self._bands
        mask = self._mask((window.height, window.width), {"window": window})
        if len(bands.colours) == 3 and bands.white == 255 and not bands.inverted:
            pixels = np.empty((*mask.shape, 3), np.uint8)
            self._dataset.read(bands.colours, window=window, out=pixels.transpose(2, 0, 1))
            return pixels, mask
        values = self._dataset.read(bands.colours, window=window)
        if values.dtype.kind == "f":
            mask &= np.isfinite(values).all(axis=0)
        if bands.table is not None:
            colours = bands.table[np.clip(values[0], 0, len(bands.table) - 1).astype(np.intp)]
            return np.ascontiguousarray(colours[..., :3]), mask & (colours[..., 3] > 0)
        values = bands.upright(values)
        if bands.white != 255:
            values = stretched(values, *self._range)
        return np.ascontiguousarray(np.broadcast_to(np.moveaxis(values, 0, -1), (*mask.shape, 3))), mask

    def _mask(self, shape: tuple[int, int], where: Mapping[str, Any]) -> Mask:
        """Return what has data by masks, alpha and nodata values: a pixel has, if one of its bands has."""
        masks = [self._dataset.read_masks(band, **where) > 0 for band in self._masked]
        mask = np.logical_or.reduce(masks) if masks else np.ones(shape, bool)
        if self._alpha is not None:
            mask &= self._dataset.read(self._alpha, **where) > 0
        return np.asarray(mask)

    @cached_property
    def _range(self) -> tuple[float, float]:
        """The values that become 0 and 255, the same all over the raster."""
        if self._original is not None:
            return self._original._range
        if self._bands.white is not None:
            return 0.0, float(self._bands.white)
        try:
            values = self._data(*self._overview()) if self._is_quick else self._data_of_windows()
            if not values.size and not self._is_quick:  # the windows have missed what little there is
                values = self._data(*self._overview())
        except RasterioError as error:
            raise RasterError(f"{self.name}: cannot read this raster ({error.__cause__ or error})") from error
        return value_range(values)

    @property
    def _is_quick(self) -> bool:
        """Whether an overview of the whole raster takes no hours to make."""
        coarsest = max(self._dataset.overviews(self._bands.colours[0]), default=1)
        return bool(self.width * self.height / coarsest**2 <= MAX_OVERVIEW_SOURCE_PX)

    def _overview(self) -> tuple[tuple[int, int], dict[str, Any]]:
        """Return shape and further arguments of a read of the whole."""
        factor = max(1.0, max(self._dataset.shape) / OVERVIEW_PX)
        rows, columns = (max(1, round(size / factor)) for size in self._dataset.shape)
        return (rows, columns), {}

    def _data_of_windows(self) -> NDArray[Any]:
        """Return the values that have data, flat, of 16 x 16 windows spread over the raster."""
        height, width = min(self.height, OVERVIEW_PX // 16), min(self.width, OVERVIEW_PX // 16)
        corners = itertools.product(
            np.linspace(0, self.height - height, 16).astype(int).tolist(),
            np.linspace(0, self.width - width, 16).astype(int).tolist(),
        )
        windows = [Window(x, y, width, height) for y, x in corners]
        return np.concatenate([self._data((height, width), {"window": window}) for window in windows])

    def _data(self, shape: tuple[int, int], where: Mapping[str, Any]) -> NDArray[Any]:
        """Return the values that have data, flat, of a read of all colours."""
        shapes = (len(self._bands.colours), *shape)
        values = self._dataset.read(self._bands.colours, out_shape=shapes, **where)
        mask = np.broadcast_to(self._mask(shape, {"out_shape": shape, **where}), shapes)
        if len(self._masked) > 1:  # a band without data does not count where others have data
            mask = mask & (self._dataset.read_masks(self._masked, out_shape=shapes, **where) > 0)
        return np.asarray(self._bands.upright(values)[mask])


@contextmanager
def open_raster(
    address: Path | str,
    bands: Sequence[int] = (),
    name: str = "",
    siblings: bool = True,
    driver: str | None = None,
    opener: Callable[..., Any] | None = None,
) -> Iterator[RasterReader]:
    """Open any raster that GDAL reads.

    Args:
        address: Path of a file, or a name that GDAL understands.
        bands: One band or three, counted from 1, to take as colours; by default what the file says.
        name: How messages call the raster; by default its address.
        siblings: Whether files beside it (masks, world files, auxiliary XML, overviews) belong to it.
        driver: The one GDAL driver to try, for files that are not trusted; by default all of them.
        opener: Returns a file-like object for a name and a mode, where GDAL is not to open files by itself.

    Raises:
        RasterError: The raster is missing, damaged, none at all, or its values are no colours.
    """
    name = name or str(address)
    if isinstance(address, Path) and address.exists() and not (address.is_file() or address.is_dir()):
        raise RasterError(f"{name}: this is no file but a pipe or a device; give the path of a raster")
    with Session(siblings=siblings).activate():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = rasterio.open(address, driver=driver, opener=opener)
        except RasterioError as error:
            if isinstance(address, Path) and not address.exists():
                raise RasterError(f"{name}: there is no such file; check the path") from error
            raise RasterError(
                f"{name}: cannot read this raster ({error.__cause__ or error}); it is damaged or truncated, or no "
                "raster: replace the file"
            ) from error
        with dataset:
            _refuse_large_blocks(dataset, name)
            yield RasterReader(dataset, name, bands_of(dataset, name, bands))


def _refuse_large_blocks(dataset: rasterio.DatasetReader, name: str) -> None:
    together = dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") != "BAND"  # are bands decoded together?
    bits = [int("".join(filter(str.isdigit, kind)) or 64) for kind in dataset.dtypes]
    height, width = max(dataset.block_shapes, key=lambda shape: shape[0] * shape[1])
    size = height * width * (sum(bits) if together else max(bits)) // 8
    if size > MAX_BLOCK_BYTES:
        raise RasterError(
            f"{name}: is stored in blocks of {width} x {height} px, {size >> 20} MiB each; store it in smaller ones, "
            "for example with `gdal_translate -co TILED=YES`"
        )
