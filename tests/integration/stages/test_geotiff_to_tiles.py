"""A GeoTIFF pair through sample, acquire, align, tile, clean and split, by the stages themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
from affine import Affine
from geotiff_pair import VISIBLE, ground, map_grid, picture, write_geotiff, write_pair

from pipeline.errors import PermanentError
from pipeline.files import digest_bytes, digest_file
from pipeline.stage import Outcome, Result, RunView, Stage
from raster.grid import Grid
from stages.acquire import AcquireStage, acquire_params
from stages.align import AlignStage
from stages.clean import CleanStage
from stages.sample import SampleStage
from stages.split import SplitStage
from stages.tile import TileStage

pytestmark = pytest.mark.integration

WORDS = {"kind": "geotiff", "source": "made up", "licence": "CC0-1.0", "attribution": "nobody"}
Results = dict[str, dict[str, Result]]


def run_stage(stage: Stage[Any], workspace: Path, results: Results) -> dict[str, Result]:
    units = stage.plan(RunView(workspace, 0, results))
    results[stage.name] = {unit.name: stage.run(unit, workspace) for unit in units}
    return results[stage.name]


def acquire(map_path: Path, visible_path: Path, workspace: Path, raster: Path | None = None) -> Results:
    results: Results = {}
    listed = {"sites": [{"point": "001", "raster": str(raster or visible_path)}]}
    run_stage(SampleStage(SampleStage.Params.model_validate(listed)), workspace, results)
    sources = {"map": {**WORDS, "path": str(map_path)}, "visible": {**WORDS, "path": str(visible_path)}}
    run_stage(AcquireStage(acquire_params(("map", "visible")).model_validate(sources)), workspace, results)
    return results


def align(workspace: Path, results: Results) -> Result:
    stage = AlignStage(AlignStage.Params.model_validate({"method": "georeference"}))
    return run_stage(stage, workspace, results)["001/1"]


def tile(workspace: Path, results: Results, **params: object) -> list[dict[str, Any]]:
    made = run_stage(TileStage(TileStage.Params.model_validate(params)), workspace, results)
    tables = [entry.path for result in made.values() for entry in result.outputs if entry.path.endswith(".parquet")]
    return [row for path in tables for row in pq.read_table(workspace / path).to_pylist()]


@pytest.fixture(scope="module")
def acquired(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """Return a workspace and the results up to the alignment."""
    folder = tmp_path_factory.mktemp("pair")
    map_path, visible_path = write_pair(folder)
    workspace = folder / "workspace"
    results = acquire(map_path, visible_path, workspace)
    assert align(workspace, results).outcome is Outcome.DONE
    return workspace, results


def test_both_sides_of_every_pair_show_the_same_ground(acquired: tuple[Path, Results]) -> None:
    workspace, results = acquired
    rows = tile(workspace, results, stride=256)
    assert [(row["row"], row["col"]) for row in rows] == [(r, c) for r in range(3) for c in range(4)]
    for row in rows:
        grid = Grid(row["crs"], Affine(*row["transform"]), 512, 512)
        assert np.allclose(grid.transform.c, 560000 + row["col"] * 128)
        y, x = np.mgrid[:512, :512]
        expected = ground(*grid.to_world(np.stack([x.ravel(), y.ravel()], axis=1)).T).reshape(512, 512, 3).astype(int)
        for side, most, mean in (("visible", 0, 0.0), ("map", 8, 1.0)):
            data = (workspace / row[f"{side}_path"]).read_bytes()
            assert (digest_bytes(data), len(data)) == (row[f"{side}_digest"], row[f"{side}_bytes"])
            difference = np.abs(cv2.imread(str(workspace / row[f"{side}_path"]))[..., ::-1] - expected)
            assert difference.max() <= most
            assert difference.mean() <= mean, "a shift of half a pixel would make over 3 levels"


def test_a_coarser_grid_is_the_same_ground_averaged(acquired: tuple[Path, Results], tmp_path: Path) -> None:
    workspace, results = acquired
    (row,) = tile(workspace, dict(results), gsd=1.0, size=256, stride=2000)
    grid = Grid(row["crs"], Affine(*row["transform"]), 256, 256)
    assert grid.gsd == pytest.approx(1.0, rel=1e-3)
    y, x = np.mgrid[:256, :256]
    expected = ground(*grid.to_world(np.stack([x.ravel(), y.ravel()], axis=1)).T).reshape(256, 256, 3).astype(int)
    for side in ("map", "visible"):
        difference = np.abs(cv2.imread(str(workspace / row[f"{side}_path"]))[..., ::-1] - expected)
        assert difference.mean() < 2


def test_tiles_of_a_raster_in_degrees_are_square_in_metres(tmp_path: Path) -> None:
    map_path, visible_path = write_pair(tmp_path)
    west, _, east, north = VISIBLE.footprint().bounds
    step = 6e-6  # 0.45 m from west to east here, 0.67 m from north to south
    degrees = Grid("EPSG:4326", Affine(step, 0, west, 0, -step, north), int((east - west) / step), 1200)
    write_geotiff(visible_path, degrees, picture(degrees))
    workspace = tmp_path / "workspace"
    results = acquire(map_path, visible_path, workspace)
    assert align(workspace, results).outcome is Outcome.DONE
    rows = tile(workspace, results, crs="metric", gsd=0.6, size=256)
    assert {row["crs"] for row in rows} == {"EPSG:32632"}
    assert len(rows) >= 8
    for row in rows:
        grid = Grid(row["crs"], Affine(*row["transform"]), 256, 256)
        assert grid.transform.a == -grid.transform.e == pytest.approx(0.6, rel=1e-3)
        y, x = np.mgrid[:256, :256]
        expected = ground(*grid.to_world(np.stack([x.ravel(), y.ravel()], axis=1)).T).reshape(256, 256, 3).astype(int)
        for side in ("map", "visible"):
            pixels = cv2.imread(str(workspace / row[f"{side}_path"]))[..., ::-1]
            known = pixels.any(axis=-1)  # tiles at the edge reach beyond the raster
            assert np.abs(pixels - expected)[known].mean() < 2, "a shift of half a pixel would make over 3 levels"


def test_a_crs_that_tiles_cannot_lie_in_is_refused(acquired: tuple[Path, Results]) -> None:
    workspace, results = acquired
    for crs, problem in (("EPSG:4326", "degrees.*give metric"), ("EPSG:1", "no CRS that PROJ knows")):
        with pytest.raises(ValueError, match=problem):
            TileStage.Params.model_validate({"crs": crs})
    with pytest.raises(PermanentError, match=r"tile\.crs: the area lies outside"):
        tile(workspace, dict(results), crs="+proj=gnom +lat_0=-46 +lon_0=-170")


def test_the_own_crs_changes_nothing_not_even_keys_of_units(acquired: tuple[Path, Results]) -> None:
    workspace, results = acquired
    view = RunView(workspace, 0, results)
    default, metric = (TileStage(TileStage.Params.model_validate(params)) for params in ({}, {"crs": "metric"}))
    assert [unit.payload for unit in metric.plan(view)] == [unit.payload for unit in default.plan(view)]
    assert "crs" not in default.key_params()


@pytest.mark.parametrize("name", ["png", "webp", "none", "jpeg"])
def test_formats_hold_the_same_pixels(acquired: tuple[Path, Results], name: str) -> None:
    workspace, results = acquired
    exact = tile(workspace, dict(results))
    rows = tile(workspace, dict(results), format=name)
    for row, reference in zip(rows, exact, strict=True):
        expected = cv2.imread(str(workspace / reference["visible_path"]))[..., ::-1]
        path = workspace / row["visible_path"]
        if name == "none":
            pixels = np.load(path, mmap_mode="r")[row["index"]]
            assert digest_bytes(pixels.tobytes()) == row["visible_digest"]
        elif name == "jpeg":
            pixels = simplejpeg.decode_jpeg(path.read_bytes())
            assert np.abs(pixels.astype(int) - expected).mean() < 4
            continue
        else:
            pixels = cv2.imread(str(path))[..., ::-1]
        assert np.array_equal(pixels, expected)


def test_a_unit_run_again_gives_the_same_bytes(acquired: tuple[Path, Results]) -> None:
    workspace, results = acquired
    stage = TileStage(TileStage.Params.model_validate({"stride": 300}))
    for unit in stage.plan(RunView(workspace, 0, results)):
        first, second = stage.run(unit, workspace), stage.run(unit, workspace)
        assert first == second
        for entry in second.outputs:
            assert digest_file(workspace / entry.path) == entry.digest
    assert not list(workspace.rglob(".tmp-*"))


def test_clean_and_split_take_what_tile_gives(acquired: tuple[Path, Results]) -> None:
    workspace, results = acquired
    results = dict(results)
    rows = tile(workspace, results)
    judged = run_stage(CleanStage(CleanStage.Params()), workspace, results)["pairs"]
    assert judged.data == {"pairs": len(rows), "accepted": len(rows), "rejected_by": {}}
    divided = run_stage(SplitStage(SplitStage.Params()), workspace, results)["pairs"]
    assert divided.data["pairs"] == {"train": len(rows), "val": 0, "test": 0}


def expect(problem: str, map_path: Path, visible_path: Path, workspace: Path, raster: Path | None = None) -> None:
    with pytest.raises(PermanentError, match=problem):
        align(workspace, acquire(map_path, visible_path, workspace, raster))
    assert not list(workspace.rglob(".tmp-*"))


def test_a_raster_without_crs_is_named_with_the_remedy(tmp_path: Path) -> None:
    map_path, visible_path = write_pair(tmp_path)
    grid = map_grid()
    write_geotiff(map_path, Grid("", grid.transform, grid.width, grid.height), picture(grid))
    expect(r"map\.tif: this raster has no CRS.*gdal_edit", map_path, visible_path, tmp_path / "workspace")


def test_a_truncated_raster_is_named(tmp_path: Path) -> None:
    map_path, visible_path = write_pair(tmp_path)
    data = map_path.read_bytes()
    map_path.write_bytes(data[: len(data) // 2])
    expect(r"map\.tif: cannot read.*(truncated|replace)", map_path, visible_path, tmp_path / "workspace")


def test_a_missing_file_and_one_that_is_no_raster_are_named(tmp_path: Path) -> None:
    map_path, visible_path = write_pair(tmp_path)
    map_path.write_text("<html>not found</html>")
    expect(r"map\.tif: cannot read this raster", map_path, visible_path, tmp_path / "workspace")
    map_path.unlink()
    expect(r"map\.tif: there is no such file", map_path, visible_path, tmp_path / "workspace")


def test_rasters_that_do_not_overlap_are_both_described(tmp_path: Path) -> None:
    map_path, visible_path = write_pair(tmp_path)
    grid = map_grid()
    elsewhere = Grid(grid.crs, Affine.translation(9000, 0) @ grid.transform, grid.width, grid.height)
    write_geotiff(map_path, elsewhere, picture(grid))
    expect(r"site 001/1 lies outside", map_path, visible_path, tmp_path / "workspace")


def test_a_tile_cut_from_a_raster_damaged_since_is_an_error_that_names_it(tmp_path: Path) -> None:
    map_path, visible_path = write_pair(tmp_path)
    results = acquire(map_path, visible_path, tmp_path / "workspace")
    align(tmp_path / "workspace", results)
    raster = tmp_path / "workspace" / "rasters" / "001" / "1" / "visible.tif"
    raster.write_bytes(raster.read_bytes()[:-300_000])
    with pytest.raises(PermanentError, match=r"visible\.tif: cannot read"):
        tile(tmp_path / "workspace", results)
    assert not list(tmp_path.rglob("*.png")), "a pair is there with both sides or not at all"


def unusual(kind: str) -> tuple[np.ndarray, Mapping[str, object]]:
    picture_of = picture(VISIBLE)
    if kind == "grey":
        return picture_of[..., :1], {}
    if kind == "16 bit":
        return (picture_of[..., :1].astype(np.uint16) * 8 + 300), {}
    if kind == "4 bands":
        return np.dstack([picture_of, 255 - picture_of[..., :1]]), {"photometric": "RGB", "alpha": "NO"}
    values = picture_of.astype(np.float32)
    values[:200, :300] = -9999
    return values, {"nodata": -9999.0}


@pytest.mark.parametrize("kind", ["grey", "16 bit", "4 bands", "float with no-data value"])
def test_other_kinds_of_rasters_become_rgb(tmp_path: Path, kind: str) -> None:
    pixels, profile = unusual(kind)
    path = tmp_path / "odd.tif"
    write_geotiff(path, VISIBLE, pixels, **profile)
    data = acquire(path, path, tmp_path / "workspace")["acquire"]["001/1/visible"].data
    assert (data["width"], data["height"]) == (VISIBLE.width, VISIBLE.height)
    missing = 200 * 300 / (VISIBLE.width * VISIBLE.height) if "nodata" in profile else 0
    assert data["nodata_share"] == pytest.approx(missing)
