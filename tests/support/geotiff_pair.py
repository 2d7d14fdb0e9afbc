"""A pair of georeferenced rasters whose sides show the same made-up ground in different CRSs and resolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from raster.grid import Grid, project

VISIBLE = Grid("EPSG:32632", Affine(0.5, 0, 560000, 0, -0.5, 5202000), 1400, 1100)


def map_grid() -> Grid:
    """Return a grid in Web Mercator, of about 0.7 m, that covers the visible raster and more."""
    corners = np.array([[-100.0, -100.0], [VISIBLE.width + 100, VISIBLE.height + 100]])
    lonlat = VISIBLE.to_lonlat(corners)
    anywhere = Grid("EPSG:3857", Affine(1, 0, 0, 0, -1, 0), 1, 1)
    west, north = anywhere.to_world(project([corners[0]], VISIBLE, anywhere))[0]
    east, south = anywhere.to_world(project([corners[1]], VISIBLE, anywhere))[0]
    assert lonlat[0, 0] < lonlat[1, 0]
    return Grid("EPSG:3857", Affine(1, 0, west, 0, -1, north), int(east - west), int(north - south))


def ground(easting: NDArray[np.float64], northing: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return RGB of places (UTM 32 metres from 560000, 5202000): smooth, with no two places quite alike."""
    x, y = easting - 560000, northing - 5202000
    waves = [np.sin(x / 9 + y / 31), np.sin(y / 7 - x / 53), np.sin((x + y) / 13) * np.cos(x / 171 - y / 97)]
    return np.stack([127 + 90 * wave for wave in waves], axis=-1).astype(np.uint8)


def picture(grid: Grid) -> NDArray[np.uint8]:
    """Return what a raster of the grid shows of the ground."""
    y, x = np.mgrid[: grid.height, : grid.width]
    places = VISIBLE.to_world(project(np.stack([x.ravel(), y.ravel()], axis=1), grid, VISIBLE))
    return ground(*places.T).reshape(grid.height, grid.width, 3)


def write_geotiff(path: Path, grid: Grid, pixels: NDArray[np.generic], **profile: object) -> None:
    """Write (rows, columns, bands) as a plain GeoTIFF, as other software does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = {"driver": "GTiff", "width": grid.width, "height": grid.height, "count": pixels.shape[2]}
    georeference = {"crs": grid.crs or None, "transform": grid.transform}
    with rasterio.open(path, "w", dtype=pixels.dtype, **(layout | georeference | profile)) as dataset:
        dataset.write(pixels.transpose(2, 0, 1))


def write_pair(folder: Path) -> tuple[Path, Path]:
    """Write folder/map.tif and folder/visible.tif; return both paths."""
    for name, grid in (("map", map_grid()), ("visible", VISIBLE)):
        write_geotiff(folder / f"{name}.tif", grid, picture(grid))
    return folder / "map.tif", folder / "visible.tif"
