"""The release at the end of a real run: three far points of generated GeoTIFFs, every stage, export, benchmark."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from generated_run import run_config, write_config, write_rasters
from typer.testing import CliRunner

from catalog.checksums import digest, files_below
from catalog.dataset import open_dataset
from catalog.manifest import published, read_manifest
from catalog.pairs import SCHEMA
from catalog.verify import verify_release
from mapdata.cli import build_app
from mapdata.recipes import load_recipe
from pipeline.errors import PermanentError, WorkspaceError
from pipeline.run import Request, run
from pipeline.workspace import Workspace
from stages.export import export_release
from stages.release import join_pairs
from stages.tables import CLEAN, PAIRS, SPLIT, read_tables

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rasters")
    write_rasters(folder)
    return folder


def _run(rasters: Path, workspace: Path, **given: str) -> Path:
    config = write_config(rasters, name=workspace.name, **given)
    run_config(config, workspace)
    return config


@pytest.fixture(scope="module")
def workspace(rasters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "workspace"
    _run(rasters, folder)
    return folder


def test_the_release_of_a_run_is_valid_and_tells_where_pairs_come_from(workspace: Path) -> None:
    release = workspace / "release"
    assert verify_release(release) == []
    rows = published(read_manifest(SCHEMA, release))
    assert rows.num_rows == 27
    assert set(rows["split"].to_pylist()) == {"train", "val", "test"}
    assert set(rows["map_source"].to_pylist()) == {"drawn map"}
    assert set(rows["visible_licence"].to_pylist()) == {"CC-BY-4.0"}
    assert set(rows["visible_date"].to_pylist()) == {"2024"}
    assert np.allclose(rows["gsd"].to_numpy(), 0.5, rtol=2e-3)
    for row in rows.slice(5, 1).to_pylist():
        assert row["visible_raster"] == digest(workspace / "rasters" / row["point_id"] / "1/visible.tif")
        with rasterio.open(workspace / "rasters" / row["point_id"] / "1/visible.tif") as raster:
            x, y = ~raster.transform @ (row["transform"][2], row["transform"][5])
        assert (round(x) % 256, round(y) % 256) == (0, 0)
    pair = open_dataset(release, "test")[0]
    assert pair["map"].shape == (3, 256, 256)


def test_formats_are_added_later_and_a_damaged_release_is_repaired(workspace: Path) -> None:
    release = workspace / "release"
    manifest = digest(release / "manifest.parquet")
    arguments = ["export", "--workspace", str(workspace), "--to", "zarr", "--to", "stac", "--json"]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["formats"] == ["folders", "stac", "zarr"]
    assert verify_release(release) == []
    assert digest(release / "manifest.parquet") == manifest
    (release / "README.md").unlink()
    (release / "mapdata.zarr/map/zarr.json").write_text("{")
    assert verify_release(release)
    export_release(Workspace(workspace), ["rasters"])
    assert verify_release(release) == []
    assert len(open_dataset(release, "all", layout="zarr")) == 27


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"set": 3}', "[" * 100_000])
def test_damaged_results_of_a_benchmark_are_named_by_an_export(workspace: Path, tmp_path: Path, text: str) -> None:
    copy = shutil.copytree(workspace, tmp_path / "copy")
    (copy / "benchmark").mkdir()
    (copy / "benchmark/results.json").write_text(text)
    with pytest.raises(PermanentError, match=r"results\.json: damaged"):
        export_release(Workspace(copy), ["stac"])


def test_what_a_gis_opens_is_added_by_the_command(workspace: Path) -> None:
    arguments = [
        "export",
        "--workspace",
        str(workspace),
        "--to",
        "cogs",
        "--to",
        "geotiff",
        "--split",
        "test",
        "--json",
    ]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert "cogs" in told["formats"]
    assert verify_release(workspace / "release") == []
    pairs = open_dataset(workspace / "release", "test")
    assert told["geotiff"] == {"test": len(pairs)}
    raster = next((workspace / "release/rasters").rglob("visible.tif"))
    tile = workspace / f"geotiff/test/visible/{pairs[0]['pair_id']}.tif"
    for path in (raster, tile):
        with rasterio.open(path) as opened:
            assert opened.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert opened.crs.is_projected


def test_a_workspace_without_a_release_says_so(rasters: Path, tmp_path: Path) -> None:
    place = Workspace(tmp_path / "begun", create=True)
    with pytest.raises(WorkspaceError, match="no run has begun"):
        export_release(place, ["zarr"])
    loaded = load_recipe(write_config(rasters, name="begun", formats="null"))
    run(loaded.stages, place, Request(loaded.resolved, loaded.seed, only=["sample"]))
    with pytest.raises(WorkspaceError, match="no release yet"):
        export_release(place, ["zarr"])


def test_a_run_and_an_export_give_the_same_bytes(rasters: Path, tmp_path: Path) -> None:
    _run(rasters, tmp_path / "at-once", formats="[folders, zarr, rasters, stac]")
    _run(rasters, tmp_path / "later")
    export_release(Workspace(tmp_path / "later"), ["stac", "zarr", "rasters"])
    trees = [
        {name: digest(tmp_path / run / "release" / name) for name in files_below(tmp_path / run / "release")}
        for run in ("at-once", "later")
    ]
    assert trees[0] == trees[1]


def test_tiles_without_files_give_a_release_without_folders(rasters: Path, tmp_path: Path) -> None:
    _run(rasters, tmp_path / "bare", tiles="none", formats="null")
    release = tmp_path / "bare/release"
    assert verify_release(release) == []
    assert json.loads((release / "release.json").read_text())["formats"] == ["footprints", "rasters", "stac", "zarr"]
    assert len(open_dataset(release, "all")) == 27
    with pytest.raises(PermanentError, match="needs image files"):
        export_release(Workspace(tmp_path / "bare"), ["folders"])
    assert verify_release(release) == []


def test_the_benchmark_of_a_run_goes_into_the_card(rasters: Path, tmp_path: Path) -> None:
    config = _run(rasters, tmp_path / "measured")
    command = ["benchmark", str(config), "--workspace", str(tmp_path / "measured"), "--matcher", "akaze"]
    done = CliRunner().invoke(build_app(), [*command, "--level", "aligned", "--limit", "3", "--workers", "0", "--json"])
    assert done.exit_code == 0, done.output
    release = tmp_path / "measured/release"
    assert json.loads(done.stdout)["set"] == {
        "name": "release, test",
        "layout": "release",
        "pairs": 3,
        "limit": 3,
        "truth_px": None,
        "split": "test",
        "manifest": digest(release / "manifest.parquet"),
    }
    export_release(Workspace(tmp_path / "measured"), ["stac"])
    assert verify_release(release) == []
    card = (release / "README.md").read_text()
    assert (
        "the benchmark is the split `test`. Shares from 0 to 1: 3 pairs, evenly spaced over the set, measured " in card
    )
    assert "| akaze |" in card
    collection = json.loads((release / "stac/collection.json").read_text())
    assert collection["mapdata:benchmark"]["split"] == "test"
    assert list(collection["mapdata:benchmark"]["results"]["akaze"]) == ["AUC 10 px, aligned"]

    # Figures of another dataset, or of this one before it changed, are none of this card's.
    path = tmp_path / "measured/benchmark/results.json"
    results = json.loads(path.read_text())
    results["set"]["manifest"] = "0" * 64
    path.write_text(json.dumps(results))
    export_release(Workspace(tmp_path / "measured"), [])
    assert "| akaze |" not in (release / "README.md").read_text()


def test_a_pair_without_verdict_or_split_is_named(workspace: Path) -> None:
    tiles = read_tables(sorted((workspace / "tiles").rglob("*.parquet")), PAIRS)
    clean = pq.read_table(workspace / "clean/clean.parquet", schema=CLEAN)
    split = pq.read_table(workspace / "split/split.parquet", schema=SPLIT)
    with pytest.raises(PermanentError, match=r"2 pairs, such as 001_1_0000_0000, .* verdicts \(stage clean\)"):
        join_pairs(tiles, clean.slice(2), split, [])
    with pytest.raises(PermanentError, match="table of splits"):
        join_pairs(tiles, clean, split.slice(2), [])
    with pytest.raises(PermanentError, match=r"27 pairs, such as .* aligned raster pairs"):
        join_pairs(tiles, clean, split, [])
