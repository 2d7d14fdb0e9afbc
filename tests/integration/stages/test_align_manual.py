"""Manual tie points on rasters that show nothing: what the geometric gate says is what `align` says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from typer.testing import CliRunner

from mapdata.cli import build_app
from stages.tiepoints import TiePoint, write_tiepoints

pytestmark = pytest.mark.integration

SIDE = 1200
SPREAD = [(60, 70), (600, 50), (1140, 90), (80, 620), (610, 590), (1130, 610), (70, 1120), (590, 1140), (1120, 1130)]


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    paths = [tmp_path_factory.mktemp("blank") / name for name in ("map.tif", "visible.tif")]
    for path in paths:
        profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
        with rasterio.open(path, "w", **profile, transform=from_origin(600000, 5200000, 1, 1)) as dataset:
            dataset.write(np.full((3, SIDE, SIDE), 128, np.uint8))
    return paths


def aligned(blank: list[Path], points: list[TiePoint], folder: Path) -> dict:
    write_tiepoints(folder / "marked.csv", points)
    arguments = ["align", *map(str, blank), "--out", str(folder), "--points", str(folder / "marked.csv")]
    CliRunner().invoke(build_app(), arguments)
    return json.loads((folder / "alignment.json").read_text())


def points_at(places: list[tuple[float, float]]) -> list[TiePoint]:
    noise = np.random.default_rng(0).normal(0, 0.5, (len(places), 2))
    return [
        TiePoint(f"p{i}", x, y, x + 12 + dx, y - 7 + dy)
        for i, ((x, y), (dx, dy)) in enumerate(zip(places, noise, strict=True))
    ]


def test_spread_points_carry_the_pair_and_the_windows_failure_is_not_its_reason(
    blank: list[Path], tmp_path: Path
) -> None:
    content = aligned(blank, points_at(SPREAD), tmp_path)
    assert content["verdict"] == "accepted", content["reason"]
    assert (content["method"], content["reason"]) == ("manual", "")
    assert content["manual"]["accepted"]
    assert content["manual"]["corner_error_px"] <= 5
    corner = np.array(content["homography"]) @ [SIDE, SIDE, 1]
    assert corner[:2] / corner[2] == pytest.approx([SIDE + 12, SIDE - 7], abs=2)


def test_four_points_of_one_corner_do_not(blank: list[Path], tmp_path: Path) -> None:
    content = aligned(blank, points_at([(20, 30), (160, 40), (30, 150), (140, 160)]), tmp_path)
    assert content["verdict"] == "needs-manual"
    assert "the points spread over" in content["reason"]
    assert "a further point would help most near map pixel" in content["reason"]
    assert content["manual"]["further_point"]["map"][0] > 600


def test_a_point_that_contradicts_is_named(blank: list[Path], tmp_path: Path) -> None:
    points = points_at(SPREAD)
    points[3] = TiePoint("church", points[3].map_x, points[3].map_y, points[3].visible_x + 60, points[3].visible_y)
    content = aligned(blank, points, tmp_path)
    assert content["verdict"] == "needs-manual"
    assert content["contradicting_points"] == ["church"]
    assert "church" in content["reason"]
