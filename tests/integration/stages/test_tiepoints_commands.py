"""`mapdata tiepoints`: import, export and check, through the command line."""

from __future__ import annotations

from dataclasses import replace
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
    assert [line.split()[0] for line in said.splitlines() if "contradicts the rest" in line] == ["p3"]
    write_tiepoints(file, marked())
    status, said = mapdata("tiepoints", "check", file)
    assert status == 0, said
    assert "accepted: similarity" in said


def test_check_fails_where_align_would_refuse(workspace: Path, tmp_path: Path) -> None:
    file, visible = tmp_path / "marked.csv", workspace / "rasters" / "001" / "1" / "visible.tif"
    crowded = [replace(point, map_x=point.map_x / 10, visible_x=point.visible_x / 10) for point in marked()]
    write_tiepoints(file, crowded)
    status, said = mapdata("tiepoints", "check", file, "--map", visible, "--visible", visible)
    assert status == 1
    assert "the points spread over" in said
    assert "a further point would help most near map pixel" in said
    write_tiepoints(file, [*marked(), TiePoint("far", 1e9, 1e9, 1e9, 1e9)])
    status, said = mapdata("tiepoints", "check", file, "--map", visible, "--visible", visible)
    assert status == 1
    assert "points outside their rasters: far" in said


def test_layer_coordinates_need_the_map(workspace: Path, tmp_path: Path) -> None:
    visible = workspace / "rasters" / "001" / "1" / "visible.tif"
    lines = ["#CRS: EPSG:3857", "mapX,mapY,sourceX,sourceY,enable,dX,dY,residual"]
    for point in marked():
        x, y = GRID.to_world([[point.map_x, point.map_y]])[0]
        lines.append(f"{x},{y},{x},{y},1,0,0,0")
    file = tmp_path / "marked.points"
    file.write_text("\n".join(lines) + "\n")
    status, said = mapdata("tiepoints", "check", file, "--visible", visible)
    assert status != 0
    status, said = mapdata("tiepoints", "check", file, "--visible", visible, "--map", visible)
    assert status == 0, said
    (workspace / "rasters" / "001" / "1" / "map.tif").write_bytes(visible.read_bytes())
    status, said = mapdata("tiepoints", "import", "001/1", file, "--workspace", workspace)
    assert status == 0, said
    stored = read_tiepoints(workspace / "tiepoints" / "001" / "1.csv")
    assert [point.map_y for point in stored] == pytest.approx([point.visible_y for point in stored])


def test_a_missing_or_damaged_file_is_named(workspace: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.points"
    assert mapdata("tiepoints", "import", "001/1", absent, "--workspace", workspace)[0] != 0
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("name,map_x,map_y,visible_x,visible_y\np,1,2,three,4\n")
    assert mapdata("tiepoints", "check", damaged)[0] != 0
