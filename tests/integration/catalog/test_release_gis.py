"""What GIS tools open of a release, by these tools: GeoTIFFs of its images, rasters with overviews, outlines."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from rasterio.warp import transform_bounds

from catalog.build import build_release
from catalog.checksums import digest, files_below, read_checksums
from catalog.dataset import open_dataset
from catalog.errors import CatalogError
from catalog.geotiff import COG, write_geotiffs
from catalog.manifest import published, read_manifest
from catalog.model import Format
from catalog.pairs import SCHEMA
from catalog.verify import verify_release
from raster.grid import Grid
from stages.rasters import write_raster

pytestmark = pytest.mark.integration

WIDTH, HEIGHT = 1300, 1100


@pytest.fixture(scope="module")
def geotiffs(whole_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gis") / "geotiff"
    assert write_geotiffs(whole_release, folder) == {"train": 30, "val": 0, "test": 15}
    return folder


def test_geotiffs_hold_the_pixels_the_place_and_whom_to_name(whole_release: Path, geotiffs: Path) -> None:
    expected = open_dataset(whole_release, "test", dtype=torch.uint8)
    outlines = shapely.from_wkb(expected.table["geometry"].to_numpy())
    for index in (0, 14):
        pair = expected[index]
        for side in ("map", "visible"):
            with rasterio.open(geotiffs / f"test/{side}/{pair['pair_id']}.tif") as image:
                np.testing.assert_array_equal(image.read(), pair[side])
                assert image.crs.to_string() == "EPSG:3857"
                bounds = transform_bounds(image.crs, "EPSG:4326", *image.bounds)
                assert image.tags()["TIFFTAG_COPYRIGHT"] == f"© {side} service (CC-BY-4.0)"
            assert bounds == pytest.approx(outlines[index].bounds, abs=1e-9)


def test_geotiffs_are_the_same_bytes_every_time_and_of_one_split(
    whole_release: Path, geotiffs: Path, tmp_path: Path
) -> None:
    assert write_geotiffs(whole_release, tmp_path / "some", ["test"]) == {"test": 15}
    names = files_below(tmp_path / "some")
    assert len(names) == 2 + 2 * 15
    assert read_checksums(tmp_path / "some/checksums.b3").keys() == {*names} - {"checksums.b3"}
    for name in names:
        if name.endswith(".tif"):
            assert digest(tmp_path / "some" / name) == digest(geotiffs / name)
    card = (tmp_path / "some/README.md").read_text()
    assert "© map service" in card
    assert "test/map/002_1_0000_0000.tif" in card


def test_images_without_a_grid_make_no_geotiffs(
    whole_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = SCHEMA.manifest
    bare = columns.remove(columns.get_field_index("transform"))
    monkeypatch.setitem(SCHEMA.__dict__, "manifest", bare)
    with pytest.raises(CatalogError, match="its pairs have no grid on the ground"):
        write_geotiffs(whole_release, tmp_path / "geotiff")
    assert list(tmp_path.iterdir()) == []


def test_torchgeo_finds_map_and_image_of_the_same_ground(whole_release: Path, geotiffs: Path) -> None:
    datasets = pytest.importorskip("torchgeo.datasets", reason="torchgeo is not installed")
    sides = {side: datasets.RasterDataset(geotiffs / "test" / side) for side in ("map", "visible")}
    together = sides["map"] & sides["visible"]
    expected = open_dataset(whole_release, "test", dtype=torch.uint8)
    with rasterio.open(geotiffs / f"test/map/{expected[6]['pair_id']}.tif") as image:
        left, bottom, right, top = image.bounds
    sample = together[left:right, bottom:top]
    both = torch.cat([expected[6]["map"], expected[6]["visible"]])
    torch.testing.assert_close(sample["image"].to(torch.uint8), both)


@pytest.fixture(scope="module")
def cogs(make_contents: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a release with COGs, of which one is large and has a hole without data."""
    root = tmp_path_factory.mktemp("cogs")
    contents, _ = make_contents(root)
    rgba = np.random.default_rng(0).integers(1, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    rgba[100:700, 200:900] = 0
    grid = Grid("EPSG:3857", Affine(1.5, 0, 1e6, 0, -1.5, 6e6), WIDTH, HEIGHT)
    write_raster(root / "large.tif", grid, [rgba], {"date": "2024"})
    first = contents.originals[0]
    large = replace(first.map, file=root / "large.tif", width=WIDTH, height=HEIGHT)
    changed = replace(contents, originals=[replace(first, map=large), *contents.originals[1:]])
    build_release(SCHEMA, changed, root, root / "release", [Format.ZARR, Format.STAC, Format.COGS])
    return root / "release"


def test_rasters_as_cogs_have_the_same_pixels_and_overviews(cogs: Path) -> None:
    with rasterio.open(cogs.parent / "large.tif") as original, rasterio.open(cogs / "rasters/001/1/map.tif") as cog:
        np.testing.assert_array_equal(cog.read(), original.read())
        np.testing.assert_array_equal(cog.dataset_mask(), original.dataset_mask())
        assert (cog.crs, cog.transform, cog.tags()["date"]) == (original.crs, original.transform, "2024")
        assert original.overviews(1) == []
        assert cog.overviews(1) == [2, 4]
    assert list(verify_release(cogs)) == []


def test_stac_says_which_rasters_are_cogs(whole_release: Path, cogs: Path) -> None:
    for release, kind in ((cogs, COG), (whole_release, "image/tiff; application=geotiff")):
        item = json.loads((release / "stac/items/001_1.json").read_text())
        assert {item["assets"][side]["type"] for side in ("map", "visible")} == {kind}
        assert json.loads((release / "stac/collection.json").read_text())["item_assets"]["map"]["type"] == kind


def test_rio_cogeo_finds_nothing_wrong(cogs: Path, geotiffs: Path) -> None:
    cog_validate = pytest.importorskip("rio_cogeo", reason="needs the extra `interop`").cog_validate
    for path in (cogs / "rasters/001/1/map.tif", geotiffs / "test/map/002_1_0000_0000.tif"):
        assert cog_validate(path, strict=True) == (True, [], [])


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="needs GDAL's own tools (gdal-bin)")
def test_gdals_own_tools_open_outlines_and_geotiffs(whole_release: Path, geotiffs: Path) -> None:
    def said(*command: object) -> str:
        return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout

    layer = said("ogrinfo", "-so", "-al", whole_release / "footprints.fgb")
    assert f"Feature Count: {published(read_manifest(SCHEMA, whole_release)).num_rows}" in layer
    assert "residual_px: Real" in layer
    found = json.loads(said("gdalinfo", "-json", geotiffs / "test/visible/002_1_0000_0000.tif"))
    assert found["size"] == [64, 64]
    assert found["coordinateSystem"]["wkt"].startswith("PROJCRS")
    assert found["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
