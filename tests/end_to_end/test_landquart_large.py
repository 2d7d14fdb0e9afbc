"""A dataset made from the real Swiss tiles of zoom 18, a raster pair of 12,544 x 8,192 px, through the command line."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import rasterio
from landquart import assert_visible_tile_is_the_services, build, mapdata

pytestmark = pytest.mark.end_to_end

FIRST_X, FIRST_Y = 138048, 92218
COLUMNS, ROWS = 24, 16
"""Whole tiles of 512 px in 12,544 x 8,192 px."""


@pytest.fixture(scope="module")
def large(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of a finished run of configs/landquart-z18.yaml, aligned by what the rasters show."""
    return build(shared_data, "landquart-z18.yaml", tmp_path_factory.mktemp("landquart-z18"), {"method": "structure"})


def test_the_rasters_are_those_of_the_services(large: Path) -> None:
    with rasterio.open(large / "rasters/001/1/visible.tif") as visible:
        assert (visible.width, visible.height, visible.crs.to_epsg()) == (12544, 8192, 3857)
        assert "SOURCE" not in visible.tags(), "words about the source are facts of the ledger and the release"
    # The map has a quarter of the resolution, and is stored with it.
    with rasterio.open(large / "rasters/001/1/map.tif") as drawn:
        assert drawn.res[0] == pytest.approx(4 * visible.res[0])


def test_there_is_a_pair_wherever_the_service_has_imagery(large: Path, shared_data: Path) -> None:
    manifest = pq.read_table(large / "release/manifest.parquet").to_pylist()
    folder = shared_data / "tiles/swissimage/18"
    served = {path.relative_to(folder) for path in folder.glob("*/*.jpg")}
    expected = {
        (row, col)
        for row in range(ROWS)
        for col in range(COLUMNS)
        if any(Path(f"{FIRST_X + 2 * col + x}/{FIRST_Y + 2 * row + y}.jpg") in served for x in (0, 1) for y in (0, 1))
    }
    assert {(row["row"], row["col"]) for row in manifest} == expected
    assert 370 < len(manifest) < COLUMNS * ROWS
    assert sum(row["verdict"] == "accepted" for row in manifest) > 300


def test_tiles_are_the_services_pixels(large: Path, shared_data: Path) -> None:
    for tile in ((4, 6), (9, 15)):
        assert_visible_tile_is_the_services(large, shared_data, 18, tile)


def test_the_release_verifies(large: Path) -> None:
    assert mapdata("verify", "--workspace", str(large))["faults"] == []
