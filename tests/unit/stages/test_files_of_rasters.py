"""Which files a raster is made of: what it depends on, for the keys of units."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
from raster_specimens import SPECIMENS

from stages.rasters import files_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "kind", ["plain", "mask_beside", "world_file", "png_of_sixteen_bits", "transparent_palette_uint8"]
)
def test_gdal_reads_no_other_file(kind: str, tmp_path: Path) -> None:
    path = SPECIMENS[kind](tmp_path / "v.tif").path
    (tmp_path / "other.tfw").write_text("")
    with rasterio.open(path) as dataset:
        assert sorted(map(str, files_of(path))) == sorted(dataset.files)
