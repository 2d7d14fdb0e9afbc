"""Hand-placed points on a site of the demo that the windows refuse: they carry it only where they can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mapdata.cli import build_app
from mapdata.recipes import load_recipe
from raster.homography import apply_homography, inverse
from raster.pixels import outline
from stages.acquire import AcquireStage
from stages.acquire.simulated import read_truth
from stages.acquire.source import Site
from stages.align.manual import judge_manual
from stages.rasters import open_pair
from stages.tiepoints import TiePoint, write_tiepoints

pytestmark = pytest.mark.end_to_end

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo.yaml"
POINT, SITE = "002", "1"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Draw the demo's site 002/1: the folder of its rasters, and where points of the map truly lie."""
    workspace = tmp_path_factory.mktemp("demo")
    stages = {stage.name: stage for stage in load_recipe(DEMO).stages}
    rows = stages["sample"].params.globe.rows(seed=1)
    (row,) = [row for row in rows if (row["point_id"], row["site_id"]) == (POINT, SITE)]
    acquire = AcquireStage(stages["acquire"].params)
    payload = {**row, "geometry": Site.from_row(row).footprint.wkt}
    for side in ("map", "visible"):
        acquire.run(acquire.unit(f"{POINT}/{SITE}/{side}", payload | {"side": side}), workspace)
    folder = workspace / "rasters" / POINT / SITE
    truth = read_truth(folder / "truth.json")
    with open_pair(folder / "map.tif", folder / "visible.tif") as rasters:
        assert rasters.map.grid.crs == rasters.visible.grid.crs
        assert rasters.map.grid.width > rasters.visible.grid.width, "the map reaches beyond the image by its margin"
    return folder, truth.to_visible


def marked(pair: tuple[Path, Any], places: np.ndarray, noise_px: float = 1.0) -> list[TiePoint]:
    targets = pair[1](places) + np.random.default_rng(0).normal(0, noise_px, places.shape)
    return [TiePoint(f"p{i}", *place, *target) for i, (place, target) in enumerate(zip(places, targets, strict=True))]


def test_four_clustered_points_do_not_carry_the_site(pair: tuple[Path, Any], tmp_path: Path) -> None:
    points = marked(pair, np.array([[40.0, 60], [180, 50], [60, 200], [170, 190]]))
    write_tiepoints(tmp_path / "marked.csv", points)
    sides = [str(pair[0] / f"{side}.tif") for side in ("map", "visible")]
    arguments = ["align", *sides, "--out", str(tmp_path), "--points", str(tmp_path / "marked.csv")]
    CliRunner().invoke(build_app(), arguments)
    content = json.loads((tmp_path / "alignment.json").read_text())
    assert not content["manual"]["accepted"]
    assert content["manual"]["further_point"]["map"][0] > 1000
    with open_pair(pair[0] / "map.tif", pair[0] / "visible.tif") as rasters:
        sizes = (rasters.map.width, rasters.map.height), (rasters.visible.width, rasters.visible.height)
    reason = judge_manual(points, *sizes).reason
    assert "the points spread over" in reason
    assert "a further point would help most near map pixel" in reason
    # Nearly all of the site is sea. Around the points windows may see the coast, and accept what lies near it.
    accepted = [region for region in content["regions"] if region["accepted"]]
    assert len(accepted) < len(content["regions"]) / 2
    for region in accepted:
        left, top, right, bottom = region["bounds"]
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        on_map = apply_homography(inverse(np.array(content["homography"])), corners)
        assert region["method"] != "manual"
        assert np.linalg.norm(pair[1](on_map) - corners, axis=1).max() < min(5.0, 1.5 * region["predicted_px"])


@pytest.mark.parametrize("count", [4, 6, 12])
def test_what_points_carry_is_right(pair: tuple[Path, Any], count: int) -> None:
    with open_pair(pair[0] / "map.tif", pair[0] / "visible.tif") as rasters:
        sizes = (rasters.map.width, rasters.map.height), (rasters.visible.width, rasters.visible.height)
    corners = outline(*sizes[0])
    spread = corners.mean(axis=0) + 0.85 * (
        np.concatenate([corners, (corners + np.roll(corners, 1, 0)) / 2, corners * 0.5 + 100]) - corners.mean(axis=0)
    )
    verdict = judge_manual(marked(pair, spread[:count], 0.5), *sizes)
    assert verdict.accepted == (count > 4), verdict.reason
    if verdict.accepted:
        assert verdict.homography is not None
        apart = apply_homography(verdict.homography, corners) - pair[1](corners)
        assert np.linalg.norm(apart, axis=1).max() < verdict.corner_error_px <= 5
    wrong = marked(pair, spread, 0.5)
    wrong[3] = TiePoint("church", wrong[3].map_x, wrong[3].map_y, wrong[3].visible_x, wrong[3].visible_y - 60)
    refused = judge_manual(wrong, *sizes)
    assert not refused.accepted
    assert refused.contradictions == ("church",)
    assert "church" in refused.reason
