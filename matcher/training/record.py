"""The record of what a training read, written beside its weights, by which the benchmark refuses that data.

It lists every image and extract that the configured sources may use, used or not.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyproj
import shapely
from blake3 import blake3

from cartography.osm import read_scene
from cartography.scene import geometries
from matcher.benchmark.readers import release_pairs
from matcher.training.config import Sources, Tiles, TrainingConfig
from matcher.training.tiles import tile_bounds, tile_files
from raster.disk import atomic_path

CELL = 0.01
"""Side, in degrees, of the cells that make up the ground of an extract."""

DECIMALS = 6
"""Decimals of a footprint's degrees: a tenth of a metre."""


def write_record(config: TrainingConfig, path: Path) -> None:
    """Write a training record as JSON: the configuration, the BLAKE3 digests of all images and extracts, and the ground
    that they show (WKT in WGS84).

    Args:
        config: The training's configuration.
        path: The file to write.
    """
    digests: set[str] = set()
    footprints: list[shapely.Geometry] = []
    for tiles in _tiles(config.sources):
        digests.update(blake3(file.read_bytes()).hexdigest() for file in tile_files(tiles))
        footprints.append(shapely.box(*tile_bounds(tiles)))
    if config.sources.synthetic and config.sources.synthetic.osm:
        for extract in sorted(config.sources.synthetic.osm.glob("*.osm.pbf")):
            digests.add(blake3(extract.read_bytes()).hexdigest())
            footprints.append(_ground_of(extract))
    if config.sources.release:
        for pair in release_pairs(config.sources.release.folder, config.sources.release.split):
            digests.update(pair.digests())
            footprints += [shapely.from_wkb(pair.footprint)] if pair.footprint is not None else []
    record = {
        "config": config.model_dump(mode="json"),
        "digests": sorted(digests),
        "footprints": [shapely.to_wkt(shape, rounding_precision=DECIMALS) for shape in footprints],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=0) + "\n", encoding="utf-8")


def _tiles(sources: Sources) -> list[Tiles]:
    imagery = sources.pseudo.imagery if sources.pseudo else ()
    textures = sources.synthetic.textures if sources.synthetic else ()
    return [*([sources.real.map, sources.real.visible] if sources.real else []), *imagery, *textures]


def _ground_of(extract: Path) -> shapely.Geometry:
    """Return the cells in which an extract holds any feature; its bounding box may contain a sea."""
    scene = read_scene(extract)
    to_degrees = pyproj.Transformer.from_crs(scene.crs, "EPSG:4326", always_xy=True)
    points = np.concatenate([shapely.get_coordinates(geometries(features)) for _, features in scene.layers()])
    cells = np.unique(np.floor(np.column_stack(to_degrees.transform(*points.T)) / CELL), axis=0) * CELL
    return shapely.union_all(shapely.box(*cells.T, *(cells + CELL).T))
