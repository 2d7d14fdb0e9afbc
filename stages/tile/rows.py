"""A unit of tiling: a batch of rows of tiles, its files and its table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely

from pipeline.files import atomic_path, digest_bytes
from pipeline.stage import Output, output
from raster.grid import Grid
from raster.image import Image
from stages.align.result import Transform
from stages.rasters import SIDES
from stages.tables import PAIRS
from stages.tile.batch import FileBatch
from stages.tile.cut import Cutter
from stages.tile.encode import TileFormat, encode
from stages.tile.statistics import Levels, Statistics, Thumbnail, measure

_FIGURES = {
    side: {f"{side}_{name}": name for name in Statistics._fields if f"{side}_{name}" in PAIRS.names} for side in SIDES
}
"""Columns of the table by side, and the figures they hold; not each figure has a meaning for both sides."""


@dataclass(frozen=True)
class Batch:
    """What a unit is asked to cut: rows `first` to `first` + `rows` - 1 of `columns` tiles, `stride` px apart.

    `name` is the site's, "001/1".
    """

    name: str
    first: int
    rows: int
    columns: int
    stride: int


class Store(Protocol):
    """Where tiles go."""

    def add(self, side: str, position: int, pair_id: str, tile: Image) -> Mapping[str, Any]:
        """Store one side of the pair at a position of the batch.

        Args:
            side: "map" or "visible".
            position: Of the pair in the batch, row by row from 0; pairs that were not cut leave gaps.
            pair_id: Names the file, where a tile has a file of its own.
            tile: (size, size, 3) uint8 RGB.

        Returns:
            Its columns path, digest, bytes and index.
        """

    def flush(self) -> None:
        """Have all tiles so far flushed to the disk while other work goes on."""

    def outputs(self) -> Sequence[Output]:
        """Return the files; to be called once they are committed."""


class _Files:
    """One file a tile."""

    def __init__(self, batch: FileBatch, folder: str, tile_format: TileFormat, quality: int) -> None:
        self._batch = batch
        self._folder = folder
        self._format = tile_format
        self._quality = quality
        self._outputs: list[Output] = []

    def add(self, side: str, position: int, pair_id: str, tile: Image) -> Mapping[str, Any]:
        path = f"{self._folder}/{side}/{pair_id}{self._format.suffix}"
        made = self._batch.add(path, encode(tile, self._format, self._quality))
        self._outputs.append(made)
        return {"path": made.path, "digest": made.digest, "bytes": made.size, "index": 0}

    def flush(self) -> None:
        self._batch.flush()

    def outputs(self) -> Sequence[Output]:
        return self._outputs


_Memory = np.memmap[tuple[int, ...], np.dtype[np.uint8]]


class _Arrays:
    """One array a side, a place for each tile of the batch; those of pairs that do not exist stay 0."""

    def __init__(self, arrays: Mapping[str, _Memory], paths: Mapping[str, str], workspace: Path) -> None:
        self._arrays = arrays
        self._paths = paths
        self._workspace = workspace

    def add(self, side: str, position: int, pair_id: str, tile: Image) -> Mapping[str, Any]:
        self._arrays[side][position] = tile
        digest = digest_bytes(np.ascontiguousarray(tile).data.cast("B"))
        return {"path": self._paths[side], "digest": digest, "bytes": tile.nbytes, "index": position}

    def flush(self) -> None:
        for array in self._arrays.values():
            array.flush()

    def outputs(self) -> Sequence[Output]:
        return [output(self._workspace, self._workspace / path) for path in self._paths.values()]


@contextmanager
def open_store(workspace: Path, batch: Batch, size: int, tile_format: TileFormat, quality: int) -> Iterator[Store]:
    """Open where a batch's tiles go. On a clean exit all files have their final names, else none has.

    Args:
        workspace: Folder of the run.
        batch: The rows of tiles.
        size: Width and height of a tile in px.
        tile_format: How tiles are stored.
        quality: Quality of JPEG, 1 to 100.

    Yields:
        The store.
    """
    folder = f"tiles/{batch.name}"
    if tile_format is not TileFormat.NONE:
        for side in SIDES:
            (workspace / folder / side).mkdir(parents=True, exist_ok=True)
        with FileBatch(workspace) as files:
            yield _Files(files, folder, tile_format, quality)
        return
    paths = {side: f"{folder}/{side}/rows-{batch.first:04d}.npy" for side in SIDES}
    shape = (batch.rows * batch.columns, size, size, 3)
    with atomic_path(workspace / paths["map"]) as map_file, atomic_path(workspace / paths["visible"]) as visible_file:
        files_of = zip(SIDES, (map_file, visible_file), strict=True)
        arrays = {side: _mapped(file, shape) for side, file in files_of}
        yield _Arrays(arrays, paths, workspace)


def _mapped(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Return a new array of a file that has its room on the disk: where a write into a mapped file finds none, the
    system ends the process without a word."""
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def cut_rows(cutter: Cutter, batch: Batch, store: Store, label: str, levels: Levels) -> list[dict[str, Any]]:
    """Cut a batch of rows of tiles into a store.

    Args:
        cutter: Cuts the pairs.
        batch: The rows.
        store: Receives both sides of each pair.
        label: The word of the column `format`.
        levels: Which pixels the figures of tiles count.

    Returns:
        The rows of `tiles/<point>/<site>/rows-*.parquet`, ordered by row and column.
    """
    point_id, site_id = batch.name.split("/")
    rows: list[dict[str, Any]] = []
    thumbnails: list[Thumbnail] = []
    for position in range(batch.rows * batch.columns):
        row, col = batch.first + position // batch.columns, position % batch.columns
        x, y = col * batch.stride, row * batch.stride
        pair = cutter.cut(x, y)
        if pair is None:
            continue
        pair_id = f"{point_id}_{site_id}_{row:04d}_{col:04d}"
        place = {"pair_id": pair_id, "point_id": point_id, "site_id": site_id, "row": row, "col": col}
        sides = {side: store.add(side, position, pair_id, getattr(pair, side)) for side in SIDES}
        stored = {f"{side}_{key}": value for side in SIDES for key, value in sides[side].items() if key != "index"}
        tile = cutter.grid.window(x, y, cutter.size, cutter.size)
        rows.append(
            {**place, **stored, **_transform(pair.transform), "index": sides["map"]["index"], "format": label}
            | {"predicted_px": pair.predicted_px}
            | {"method": cutter.method, "size": cutter.size, "crs": tile.crs, "transform": list(tile.transform[:6])}
        )
        thumbnails += pair.map_thumbnail, pair.visible_thumbnail
    store.flush()
    figures = measure(thumbnails, levels)
    footprints = _footprints(rows, cutter.grid, batch.stride, cutter.size)
    for entry, of_map, of_visible, footprint in zip(rows, figures[::2], figures[1::2], footprints, strict=True):
        entry |= {"geometry": footprint, **_columns("map", of_map), **_columns("visible", of_visible)}
    return rows


def _footprints(rows: Sequence[Mapping[str, Any]], grid: Grid, stride: int, size: int) -> Sequence[bytes]:
    """Return the outlines of tiles as WKB in WGS84, all transformed at once."""
    if not rows:
        return []
    origins = np.array([[row["col"], row["row"]] for row in rows], np.float64) * stride
    corners = grid.window(0, 0, size, size).corners()
    lonlat = grid.to_lonlat((origins[:, None] + corners).reshape(-1, 2))
    return list(shapely.to_wkb(shapely.polygons(lonlat.reshape(-1, 4, 2))))


def _transform(transform: Transform) -> dict[str, Any]:
    return {
        "homography": transform.homography.ravel().tolist(),
        "residual_px": transform.residual_px,
        "inliers": transform.inliers,
    }


def _columns(side: str, figures: Statistics) -> dict[str, Any]:
    """Return the figures that the table has of a side."""
    return {column: getattr(figures, name) for column, name in _FIGURES[side].items()}
