"""The record of what a training saw, written beside its weights, by which the benchmark refuses that data.

It lists every image and extract that the configured sources may draw from, drawn or not.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import shapely

from matcher.training.config import TrainingConfig, resolve
from matcher.training.sources import LANDQUART_TRAIN, PSEUDO_PLACES
from matcher.training.tiles import TileRange

CELL = 0.01
"""Degrees on a side of the cells that an extract's ground is made of."""

DECIMALS = 6
"""Of a footprint's degrees: a tenth of a metre."""


def write_record(config: TrainingConfig, path: Path) -> None:
    """Write JSON of the configuration, the BLAKE3 digests of all files read and the ground they show (WKT in WGS84).

    Needs blake3 and pyproj, which a training machine may lack: run the finished training once more where they are.
    """
    from blake3 import blake3

    files: list[Path] = []
    footprints: list[shapely.Geometry] = []
    for layer, tiles in _tile_ranges(config):
        files += _tile_files(resolve(config.sources.data) / "tiles" / layer, tiles)
        footprints.append(shapely.box(*tile_bounds(tiles)))
    if config.sources.scene_weight:
        for extract in sorted((resolve(config.sources.data) / "osm").glob("*.osm.pbf")):
            files.append(extract)
            footprints.append(_ground_of(extract))
    record = {
        "config": asdict(config),
        "digests": sorted({blake3(file.read_bytes()).hexdigest() for file in files}),
        "footprints": [shapely.to_wkt(shape, rounding_precision=DECIMALS) for shape in footprints],
    }
    path.write_text(json.dumps(record, indent=0) + "\n", encoding="utf-8")


def tile_bounds(tiles: TileRange) -> tuple[float, float, float, float]:
    """Return west, south, east, north in degrees of a range of Web-Mercator tiles."""
    count = 2**tiles.zoom

    def latitude(row: int) -> float:
        return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row / count))))

    west, east = (column / count * 360 - 180 for column in (tiles.x0, tiles.x1 + 1))
    return west, latitude(tiles.y1 + 1), east, latitude(tiles.y0)


def _tile_ranges(config: TrainingConfig) -> list[tuple[str, TileRange]]:
    ranges: list[tuple[str, TileRange]] = []
    if config.sources.real_weight:
        ranges += LANDQUART_TRAIN.items()
    if config.sources.pseudo_weight or (config.sources.scene_weight and config.sources.real_textures):
        ranges += (("swissimage", place) for place in PSEUDO_PLACES.values())
    return ranges


def _tile_files(folder: Path, tiles: TileRange) -> list[Path]:
    columns = (folder / str(tiles.zoom) / str(x) for x in range(tiles.x0, tiles.x1 + 1))
    rows = range(tiles.y0, tiles.y1 + 1)
    return [file for column in columns for y in rows for file in sorted(column.glob(f"{y}.*"))]


def _ground_of(extract: Path) -> shapely.Geometry:
    """Return the cells of a hundredth of a degree in which an extract has anything: its outline may span a sea."""
    import pyproj

    from cartography.osm import read_scene
    from cartography.scene import geometries

    scene = read_scene(extract)
    to_degrees = pyproj.Transformer.from_crs(scene.crs, "EPSG:4326", always_xy=True)
    points = np.concatenate([shapely.get_coordinates(geometries(features)) for _, features in scene.layers()])
    cells = np.unique(np.floor(np.column_stack(to_degrees.transform(*points.T)) / CELL), axis=0) * CELL
    return shapely.union_all(shapely.box(*cells.T, *(cells + CELL).T))
