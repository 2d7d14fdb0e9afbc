"""The rasters of the workspace: tiled GeoTIFFs, RGB uint8 with a no-data mask, written once and read by windows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pipeline.errors import PermanentError
from pipeline.files import atomic_path
from raster.gdal import Session, TiffLayout
from raster.grid import Grid

Image = NDArray[np.uint8]
SIDES = ("map", "visible")


class Raster:
    """An open raster of the workspace. Made by `open_raster`."""

    def __init__(self, dataset: rasterio.DatasetReader, path: Path) -> None:
        self._dataset = dataset
        self._path = path
        self.grid = grid_of(dataset, path)
        self.whole = all(MaskFlags.all_valid in flags for flags in dataset.mask_flag_enums)

    def read(self, x: int, y: int, width: int, height: int, reduce: int = 1) -> tuple[Image, Image | None]:
        """Return the pixels (height, width, 3) of a window within the raster and its mask (height, width).

        The mask is 255 where there is data and 0 elsewhere, or None if the whole window has data. With `reduce` N,
        blocks of N x N px are averaged: the shapes are (ceil(height / N), ceil(width / N)).
        Raises PermanentError naming the file if it cannot be read.
        """
        window = Window(x, y, width, height)
        shape = (math.ceil(height / reduce), math.ceil(width / reduce))
        resampling = Resampling.average if reduce > 1 else Resampling.nearest
        pixels = np.empty((*shape, 3), np.uint8)
        try:
            self._dataset.read((1, 2, 3), window=window, out=pixels.transpose(2, 0, 1), resampling=resampling)
            if self.whole:
                return pixels, None
            mask = self._dataset.read_masks(1, window=window, out_shape=shape)
        except RasterioError as error:
            raise _unreadable(self._path, error) from error
        return pixels, None if mask.min() else mask  # numpy's `all` takes thrice as long


@contextmanager
def open_raster(path: Path) -> Iterator[Raster]:
    """Open a raster of the workspace. Raises PermanentError naming the file if it is missing, damaged or no raster."""
    with Session().activate(), open_dataset(path) as dataset:
        yield Raster(dataset, path)


@contextmanager
def open_dataset(path: Path) -> Iterator[rasterio.DatasetReader]:
    """Open any raster file for reading. Raises PermanentError naming the file if it is missing or no raster."""
    try:
        dataset = rasterio.open(path)
    except RasterioError as error:
        if not path.exists():
            raise PermanentError(f"{path}: there is no such file; check the path") from error
        raise _unreadable(path, error) from error
    with dataset:
        yield dataset


def grid_of(dataset: rasterio.DatasetReader, path: Path) -> Grid:
    """Return the grid of an open raster. Raises PermanentError if it has no CRS or no geotransform."""
    if dataset.crs is None:
        raise PermanentError(
            f"{path}: this raster has no CRS, so its place on the ground is unknown; "
            "assign the right one, for example with `gdal_edit.py -a_srs EPSG:3857 FILE`"
        )
    if dataset.transform.is_identity or dataset.transform.determinant == 0:
        raise PermanentError(
            f"{path}: this raster has no geotransform, so its place on the ground is unknown; "
            "georeference it, for example with `gdal_translate -a_ullr WEST NORTH EAST SOUTH`"
        )
    code = dataset.crs.to_epsg()
    crs = f"EPSG:{code}" if code is not None else dataset.crs.to_wkt()
    return Grid(crs, dataset.transform, dataset.width, dataset.height)


def write_raster(path: Path, grid: Grid, strips: Iterable[Image], tags: Mapping[str, str]) -> float:
    """Write a raster from strips (rows, width, 4) RGBA, top to bottom, and return its share of pixels without data.

    Alpha 0 is no data (its colour becomes black), anything else is data. Memory is bounded by a few strips; each is
    done with before the next is asked for. Nothing remains under `path` if a strip cannot be made. Raises
    PermanentError if the strips do not add up to the grid.
    """
    profile = TiffLayout().creation_options() | {"width": grid.width, "height": grid.height, "count": 3}
    row = empty = 0
    with atomic_path(path) as temporary:
        with (
            Session().activate(),
            rasterio.open(
                temporary, "w", **profile, dtype="uint8", crs=grid.crs, transform=grid.transform, photometric="RGB"
            ) as dataset,
        ):
            dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
            dataset.update_tags(**tags)
            for planes in _by_blocks(_checked(strips, grid, path), TiffLayout().block, grid.width):
                mask = planes[3]
                window = Window(0, row, *reversed(mask.shape))
                dataset.write(planes[:3], window=window)
                dataset.write_mask(mask, window=window)
                row += len(mask)
                empty += mask.size - cv2.countNonZero(mask)
        if row != grid.height:
            raise PermanentError(f"{path}: its source gives {row} rows of pixels, {grid.height} were due")
    return empty / (grid.width * grid.height)


def _checked(strips: Iterable[Image], grid: Grid, path: Path) -> Iterator[Image]:
    """Pass strips on as long as they fit the grid."""
    row = 0
    for strip in strips:
        row += len(strip)
        if strip.shape[1] != grid.width or row > grid.height:
            raise PermanentError(f"{path}: its source gives {strip.shape[1]} px a row, {grid.width} were due")
        yield strip


def _by_blocks(strips: Iterable[Image], block: int, width: int) -> Iterator[Image]:
    """Regroup strips into planes (4, rows, width) of `block` rows (the last may be less): each block is written once.

    The planes are red, green, blue and the mask, 255 or 0. They are valid until the next are asked for.
    """
    planes = np.empty((4, block, width), np.uint8)
    filled = 0
    for strip in strips:
        start = 0
        while start < len(strip):
            rows = min(block - filled, len(strip) - start)
            cv2.split(strip[start : start + rows], list(planes[:, filled : filled + rows]))
            start, filled = start + rows, filled + rows
            if filled == block:
                yield _blackened(planes)
                filled = 0
    if filled:
        yield _blackened(planes[:, :filled])


def _blackened(planes: Image) -> Image:
    """Make alpha a mask and what has no data black, in place."""
    mask = planes[3]
    cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY, dst=mask)
    if not mask.all():
        planes[:3] &= mask
    return planes


def _unreadable(path: Path, error: RasterioError) -> PermanentError:
    cause = error.__cause__ or error
    return PermanentError(f"{path}: cannot read this raster ({cause}); it is damaged or truncated: replace the file")
