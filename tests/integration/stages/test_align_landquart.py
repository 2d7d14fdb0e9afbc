"""Alignment on real tiles: perturbed georeferences are found again, negative pairs are flagged."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from swiss_tiles import Tiles, assemble, change_about, save
from typer.testing import CliRunner

from mapdata.cli import build_app
from raster.homography import apply_homography
from stages.align.pair import align_pair
from stages.rasters import open_pair
from stages.tiepoints import TiePoint, write_tiepoints

pytestmark = pytest.mark.integration

CORNERS = np.array([[0.0, 0], [1791, 0], [1791, 1279], [0, 1279]])
PLACE: Tiles = (34512, 34518, 23056, 23060)
ELSEWHERE: Tiles = (34504, 34509, 23062, 23067)


@pytest.fixture(scope="module")
def rasters(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rasters")
    image = assemble(shared_data, "swissimage", "jpg", PLACE)
    chart = assemble(shared_data, "lk25", "png", PLACE)
    foreign = assemble(shared_data, "lk25", "png", ELSEWHERE)
    turned = change_about(PLACE, 3.5, 0.96, 150, -120)
    return {
        "visible": save(folder / "visible.tif", image, PLACE),
        "map": save(folder / "map.tif", chart, PLACE),
        "turned": save(folder / "turned.tif", chart, PLACE, turned),
        "mirrored": save(folder / "mirrored.tif", np.ascontiguousarray(chart[:, ::-1]), PLACE),
        "foreign": save(folder / "foreign.tif", foreign, PLACE),
    }


def test_a_perturbed_georeference_is_found_again(rasters: dict[str, Path]) -> None:
    found = []
    for name in ("map", "turned"):
        with open_pair(rasters[name], rasters["visible"], siblings=True) as pair:
            evidence = align_pair(pair)
            assert evidence.alignment.verdict == "accepted", evidence.alignment.reason
            found.append(apply_homography(evidence.alignment.transform.homography, CORNERS))
    assert np.linalg.norm(found[0] - found[1], axis=1).max() < 2


@pytest.mark.parametrize("name", ["mirrored", "foreign"])
def test_a_map_that_does_not_belong_is_flagged(rasters: dict[str, Path], name: str, tmp_path: Path) -> None:
    command = ["align", str(rasters[name]), str(rasters["visible"]), "--out", str(tmp_path)]
    result = CliRunner().invoke(build_app(), command)
    assert result.exit_code == 1, result.output
    content = json.loads((tmp_path / "alignment.json").read_text())
    assert content["verdict"] == "needs-manual"
    assert content["reason"]
    assert cv2.imread(str(tmp_path / "alignment.png")) is not None


def test_manual_points_lead_and_the_wrong_one_is_named(rasters: dict[str, Path], tmp_path: Path) -> None:
    places = [(200, 150), (1500, 200), (900, 700), (1600, 1100), (250, 1050), (1000, 250)]
    points = [TiePoint(f"p{i}", x, y, x + 1.0, y - 1.0, "Ada", "2026-11-21") for i, (x, y) in enumerate(places)]
    points[2] = TiePoint("p2", 900, 700, 980, 760, "Ada", "2026-11-21")
    file = tmp_path / "marked.csv"
    write_tiepoints(file, points)
    command = ["align", str(rasters["map"]), str(rasters["visible"]), "--out", str(tmp_path), "--points", str(file)]
    result = CliRunner().invoke(build_app(), command)
    assert result.exit_code == 0, result.output
    assert "p2" in result.output
    table = pq.read_table(tmp_path / "alignment.parquet").to_pylist()
    manual = [row for row in table if row["origin"] == "manual"]
    assert [row["name"] for row in manual if not row["used"]] == ["p2"]
    assert manual[0]["operator"] == "Ada"
    assert any(row["used"] and row["origin"] == "automatic" for row in table)
