"""Rasters that would fill the memory or take hours: what they say of themselves is bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from raster.errors import RasterError
from raster.reader import open_raster

pytestmark = pytest.mark.unit


def sparse(path: Path, side: int, block: int, **profile: object) -> Path:
    """Write a raster of which the file holds nothing but the sizes."""
    place = {"crs": "EPSG:32632", "transform": Affine(1, 0, 4e5, 0, -1, 5e6)}
    fields = {"dtype": "uint8", "count": 3, "interleave": "pixel"} | place | profile
    with rasterio.open(
        path, "w", "GTiff", side, side, tiled=True, blockxsize=block, blockysize=block, sparse_ok=True, **fields
    ):
        pass
    return path


def test_blocks_that_fill_the_memory_are_refused(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.tif", 65536, 16384)
    with pytest.raises(RasterError, match="blocks of 16384 x 16384 px, 768 MiB each"), open_raster(path):
        pass


def test_bands_that_are_stored_apart_are_blocks_of_their_own(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.tif", 4096, 4096, count=40, interleave="band")
    with open_raster(path) as raster:
        assert not raster.read(0, 0, 8, 8)[0].any()


@pytest.mark.parametrize(("side", "block", "patches", "patch"), [(200_000, 2048, 16, 64), (40_000, 512, 1, 1600)])
def test_the_range_of_a_raster_of_any_size_is_told(
    tmp_path: Path, side: int, block: int, patches: int, patch: int
) -> None:
    """Without overviews, data in few places: where they are looked for first, or in none of these."""
    path = sparse(tmp_path / "a.tif", side, block, dtype="uint16", nodata=0)
    places = np.linspace(0, side - 64, 16).astype(int)[:patches] + (0 if patches == 16 else 1000)
    ramp = np.linspace(1000, 5000, patch).astype(np.uint16)
    with rasterio.open(path, "r+") as dataset:
        for x in places.tolist():
            dataset.write(np.broadcast_to(ramp, (3, patch, patch)), window=Window(x, int(places[0]), patch, patch))
    with open_raster(path) as raster:
        pixels, mask = raster.read(int(places[0]), int(places[0]), patch, patch)
    assert mask.all()
    assert np.abs(pixels[0, :, 0].astype(int) - np.linspace(0, 255, patch)).max() < 8
