"""`mapdata tiepoints`: import, export and check, through the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from typer.testing import CliRunner

from mapdata.cli import build_app
from raster.grid import Grid
from stages.rasters import write_raster
from stages.tiepoints import TiePoint, read_tiepoints, write_tiepoints

pytestmark = pytest.mark.integration

GRID = Grid("EPSG:3857", Affine(2, 0, 1000, 0, -2, 5000), 400, 300)


def mapdata(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(build_app(), [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "rasters" / "001" / "1" / "visible.tif"
    path.parent.mkdir(parents=True)
    write_raster(path, GRID, iter([np.full((300, 400, 4), 255, np.uint8)]), {})
    return tmp_path / "run"


def marked(wrong: bool = False) -> list[TiePoint]:
    places = [(20, 30), (350, 40), (180, 150), (40, 260), (340, 270), (200, 60)]
    points = [TiePoint(f"p{i}", x, y, 0.98 * x + 12, 0.98 * y - 7) for i, (x, y) in enumerate(places)]
    if wrong:
        points[3] = TiePoint("p3", 40, 260, 40 + 60, 260 - 80)
    return points


def test_qgis_points_go_in_and_out_again(workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "marked.points"
    write_tiepoints(file, marked(), GRID)
    told = mapdata("tiepoints", "import", "001/1", file, "--workspace", workspace, "--operator", "Ada")
    assert told[0] == 0, told[1]
    assert "6 points" in told[1]
    stored = read_tiepoints(workspace / "tiepoints" / "001" / "1.csv")
    assert {point.operator for point in stored} == {"Ada"}
    assert [point.visible_x for point in stored] == pytest.approx([point.visible_x for point in marked()])
    for suffix in (".points", ".geojson", ".csv"):
        back = tmp_path / f"back{suffix}"
        told = mapdata("tiepoints", "export", "001/1", back, "--workspace", workspace)
        assert told[0] == 0, told[1]
        again = read_tiepoints(back, GRID)
        assert [(p.map_x, p.map_y) for p in again] == [(p.map_x, p.map_y) for p in stored]
        assert [p.visible_y for p in again] == pytest.approx([p.visible_y for p in stored])


def test_check_names_the_point_that_contradicts_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "marked.csv"
    write_tiepoints(file, marked(wrong=True))
    status, said = mapdata("tiepoints", "check", file)
    assert status == 1
    assert [line.split()[0] for line in said.splitlines() if "contradicts" in line] == ["p3"]
    write_tiepoints(file, marked())
    assert mapdata("tiepoints", "check", file)[0] == 0


def test_a_missing_or_damaged_file_is_named(workspace: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.points"
    assert mapdata("tiepoints", "import", "001/1", absent, "--workspace", workspace)[0] != 0
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("name,map_x,map_y,visible_x,visible_y\np,1,2,three,4\n")
    assert mapdata("tiepoints", "check", damaged)[0] != 0
