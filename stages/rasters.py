"""The rasters of the workspace: tiled GeoTIFFs, RGB uint8 with a no-data mask, written once and read by windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

import raster.pair
import raster.reader
from pipeline.errors import PermanentError
from pipeline.files import atomic_path
from raster.errors import RasterError
from raster.gdal import Session, TiffLayout
from raster.grid import Grid
from raster.image import Image
from raster.pair import RasterPair
from raster.reader import RasterReader

SIDES = ("map", "visible")
PLACED = ("path", "digest", "width", "height", "crs", "transform")
"""What a raster's result says of its pixels and their place."""


@contextmanager
def lasting_errors() -> Iterator[None]:
    """Let what is wrong with a raster be a failure that stays.

    Raises:
        PermanentError: Instead of a RasterError, with its message.
    """
    try:
        yield
    except RasterError as error:
        raise PermanentError(str(error)) from error


def files_of(path: Path) -> list[Path]:
    """Return a raster file and those beside it that GDAL reads with it: mask, metadata, overviews, world file."""
    kind = path.suffix[1:]
    beside = [path.name + suffix for suffix in (".msk", ".aux.xml", ".ovr")]
    beside += [f"{path.stem}.{world}" for world in ("wld", f"{kind}w", kind[:1] + kind[-1:] + "w")]
    return [path, *(path.with_name(name) for name in beside if path.with_name(name).is_file())]


@contextmanager
def open_any(path: Path, bands: Sequence[int] = ()) -> Iterator[RasterReader]:
    """Open a raster file of the user, with the files beside it that belong to it.

    Args:
        path: Any file that GDAL reads.
        bands: One band or three, counted from 1, to take as colours; by default what the file says.

    Yields:
        The open raster, see `raster.reader.open_raster`.

    Raises:
        PermanentError: The file, or a part of it that is read meanwhile, cannot be read; the message names it.
    """
    with lasting_errors(), raster.reader.open_raster(path, bands) as reader:
        yield reader


@contextmanager
def open_raster(path: Path) -> Iterator[RasterReader]:
    """Open a raster of the workspace.

    Args:
        path: The file; files beside it do not count.

    Yields:
        The open raster, see `raster.reader.open_raster`.

    Raises:
        PermanentError: The file is missing, damaged or no raster; the message names it.
    """
    with lasting_errors(), raster.reader.open_raster(path, siblings=False) as reader:
        yield reader


@contextmanager
def open_pair(map_path: Path, visible_path: Path, siblings: bool = False) -> Iterator[RasterPair]:
    """Open both rasters of a pair.

    Args:
        map_path: File of the map, in any form that GDAL reads.
        visible_path: File of the visible image, of any size and CRS.
        siblings: Whether files beside them belong to them: yes for those of the user, no for those of the workspace,
            which are whole by themselves.

    Yields:
        The open pair.

    Raises:
        PermanentError: A file, or a part of it that is read meanwhile, cannot be read; the message names it.
    """
    with lasting_errors(), raster.pair.open_pair(map_path, visible_path, siblings) as pair:
        yield pair


def write_raster(path: Path, grid: Grid, strips: Iterable[Image], tags: Mapping[str, str]) -> float:
    """Write a raster from strips, and return its share of pixels without data.

    Memory is bounded by a few strips; each is done with before the next is asked for. Nothing remains under `path` if a
    strip cannot be made.

    Args:
        path: GeoTIFF, written atomically: tiled, compressed, with a mask of its data.
        grid: CRS, transform and size in pixels.
        strips: (rows, width, 4) uint8 RGBA, top to bottom, of any heights. Alpha 0 is no data (its colour becomes
            black), anything else is data.
        tags: Metadata of the file, such as its date.

    Returns:
        0 to 1.

    Raises:
        PermanentError: The strips do not add up to the grid.
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
