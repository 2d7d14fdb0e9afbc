"""The embedded default, made smaller: all stages through the command line, without a network, and its true error."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pytest
from small_demo import small_demo_config
from snapshots import assert_as_recorded
from typer.testing import CliRunner

from mapdata.cli import build_app
from mapdata.recipes import load_recipe

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def workspace(small_demo: Path) -> Path:
    """The workspace of the small demo."""
    return small_demo / "work"


def test_demo_makes_a_dataset(workspace: Path) -> None:
    pairs = geopandas.read_parquet(workspace / "release" / "manifest.parquet")
    verdicts = [json.loads(path.read_text())["verdict"] for path in workspace.glob("alignment/*/*/alignment.json")]
    assert len(verdicts) == 3
    assert verdicts.count("accepted") >= 2
    assert len(pairs) == verdicts.count("accepted") * 4
    for name in ("MapData", "mapdata.zarr", "stac/catalog.json", "README.md", "croissant.json"):
        assert (workspace / "release" / name).exists(), name


def test_the_small_demo_is_what_it_was(workspace: Path) -> None:
    assert_as_recorded(workspace, "demo")


def test_demo_reports_its_true_error(workspace: Path) -> None:
    told = CliRunner().invoke(build_app(), ["accuracy", "--workspace", str(workspace), "--json"])
    assert told.exit_code == 0, told.output
    figures = json.loads(told.stdout)
    assert [site["site"] for site in figures["sites"]] == ["001/1", "002/1", "003/1"]
    assert figures["median_before_px"] > 2
    assert figures["median_rms_px"] < figures["median_before_px"] / 2
    assert json.loads((workspace / "alignment" / "true-errors.json").read_text()) == figures


def test_two_workers_draw_the_same_rasters(workspace: Path, tmp_path: Path) -> None:
    stages = ["--only", "sample", "--only", "acquire"]
    arguments = [
        "run",
        str(small_demo_config(tmp_path)),
        "--workers",
        "2",
        "--workspace",
        str(tmp_path / "work"),
        *stages,
    ]
    ran = CliRunner().invoke(build_app(), arguments)
    assert ran.exit_code == 0, ran.output
    rasters = sorted(path.relative_to(workspace) for path in workspace.glob("rasters/*/*/*.*"))
    assert len(rasters) == 3 * 3
    for raster in rasters:
        assert (tmp_path / "work" / raster).read_bytes() == (workspace / raster).read_bytes(), raster


def test_the_same_configuration_plans_the_full_dataset(tmp_path: Path) -> None:
    config = small_demo_config(tmp_path, points=233, sites_per_point=3, width=[7000, 20000], height=[5000, 15000])
    planned = CliRunner().invoke(build_app(), ["plan", str(config), "--json"])
    assert planned.exit_code == 0, planned.output
    stages = {row["stage"]: row for row in json.loads(planned.stdout)["stages"]}
    assert stages["acquire"]["units"] == 233 * 3 * 2
    (sample,) = [stage for stage in load_recipe(config).stages if stage.name == "sample"]
    pixels = [row["width"] * row["height"] for row in sample.params.globe.rows(seed=1)]
    assert len(pixels) == 233 * 3
    assert sum(pixels) == pytest.approx(233 * 3 * 13_500 * 10_000, rel=0.05)
