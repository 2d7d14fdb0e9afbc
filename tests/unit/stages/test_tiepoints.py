"""Manual tie points: every format, both layouts of QGIS, errors that say where, and points that contradict the rest."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PermanentError
from raster.grid import Grid, reproject
from raster.homography import apply_homography
from stages.align.manual import judge_manual
from stages.tiepoints import (
    TiePoint,
    centre_to_corner,
    corner_to_centre,
    read_site_tiepoints,
    read_tiepoints,
    write_tiepoints,
)

pytestmark = pytest.mark.unit

GRID = Grid("EPSG:3857", Affine(2, 0, 1000, 0, -2, 5000), 400, 300)
OLD = "mapX,mapY,pixelX,pixelY,enable\n1020,4980,30.5,-40.5,1\n1040,4960,50.5,-60.5,0\n"
NEW = "#CRS: EPSG:3857\nmapX,mapY,sourceX,sourceY,enable,dX,dY,residual\n1020,4980,30.5,-40.5,1,0,0,0\n"


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_conversion_of_pixels_goes_there_and_back(x: float, y: float) -> None:
    assert corner_to_centre(*centre_to_corner(x, y)) == pytest.approx((x, y), abs=1e-6)


def test_the_corner_of_the_top_left_pixel_lies_half_a_pixel_outside() -> None:
    assert corner_to_centre(0, 0) == (-0.5, -0.5)
    assert corner_to_centre(10.5, -20.5) == (10, 20)


@pytest.mark.parametrize("text", [OLD, NEW])
def test_both_layouts_of_qgis_are_read_and_disabled_points_left_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.points"
    path.write_text(text)
    (point,) = read_tiepoints(path, GRID)
    assert (point.map_x, point.map_y) == (30, 40)
    assert (point.visible_x, point.visible_y) == pytest.approx((9.5, 9.5))


@pytest.mark.parametrize("suffix", [".points", ".geojson", ".csv"])
@pytest.mark.parametrize("grid", [GRID, None])
def test_every_format_gives_back_what_was_written(tmp_path: Path, suffix: str, grid: Grid | None) -> None:
    points = [TiePoint("church", 10.25, 20.5, 30.125, 40.0, "Ada", "2026-11-21"), TiePoint("bridge", 1, 2, 3, 4)]
    path = tmp_path / f"a{suffix}"
    write_tiepoints(path, points, grid)
    back = read_tiepoints(path, grid)
    if suffix == ".points":  # has no names, operators and dates
        assert [p.map_x for p in back] == [10.25, 1]
        assert [p.visible_x for p in back] == pytest.approx([30.125, 3])
        assert [p.visible_y for p in back] == pytest.approx([40, 4])
    else:
        assert back == points


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "name,map_x,map_y,visible_x,visible_y\np,1,2,three,4\n", "line 2"),
        ("a.csv", "name,map_x\np,1\n", "map_y"),
        ("a.csv", "", "empty"),
        ("a.points", "mapX,mapY,pixelX,pixelY,enable\n1,2,nan,4,1\n", "finite"),
        ("a.geojson", "[]", "FeatureCollection"),
        ("a.txt", "", ".points"),
    ],
)
def test_errors_say_what_and_where(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(PermanentError, match=said.replace(".", r"\.")):
        read_tiepoints(path)


def marked(count: int, seed: int) -> tuple[list[TiePoint], np.ndarray]:
    generator = np.random.default_rng(seed)
    matrix = np.array([[0.98, -0.1, 400], [0.1, 0.98, 50], [0, 0, 1]])
    source = generator.uniform(0, 3000, (count, 2))
    target = apply_homography(matrix, source) + generator.normal(0, 1.0, (count, 2))
    points = [TiePoint(f"p{i}", *map(float, (*a, *b))) for i, (a, b) in enumerate(zip(source, target, strict=True))]
    return points, matrix


@pytest.mark.parametrize("count", [5, 6, 8])
@pytest.mark.parametrize("seed", range(5))
def test_five_to_eight_points_are_enough_and_one_wrong_by_100_px_is_named(count: int, seed: int) -> None:
    points, matrix = marked(count, seed)
    wrong = seed % count
    bad = points[wrong]
    points[wrong] = TiePoint(bad.name, bad.map_x, bad.map_y, bad.visible_x + 60, bad.visible_y - 80)
    verdict = judge_manual(points, (3000, 3000), (4000, 4000))
    found = verdict.homography
    assert found is not None
    assert not verdict.accepted
    assert verdict.contradictions == (bad.name,)
    assert bad.name in verdict.reason
    assert verdict.residuals[wrong] > 50
    inner = np.array([[p.map_x, p.map_y] for i, p in enumerate(points) if i != wrong])
    assert np.abs(apply_homography(found, inner) - apply_homography(matrix, inner)).max() < 6


def test_points_without_a_majority_give_no_matrix() -> None:
    generator = np.random.default_rng(0)
    points = [TiePoint(str(i), *generator.uniform(0, 3000, 4).tolist()) for i in range(8)]
    assert judge_manual(points, (3000, 3000), (3000, 3000)).homography is None
    assert judge_manual(points[:1], (3000, 3000), (3000, 3000)).homography is None


LANDSCAPE = Grid("EPSG:32632", Affine(1, 0, 600000, 0, -1, 5200000), 700, 700)
MAP = Grid("EPSG:32632", Affine(1, 0, 600003, 0, -1, 5199998), 700, 700)
HEADER = "mapX,mapY,sourceX,sourceY,enable,dX,dY,residual\n"


def test_layer_coordinates_of_a_georeferenced_map_become_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.points"
    path.write_text(f"#CRS: EPSG:32632\n{HEADER}600083,5199908,600083,5199908,1,0,0,0\n")
    (point,) = read_tiepoints(path, LANDSCAPE, MAP)
    assert (point.map_x, point.map_y) == pytest.approx((79.5, 89.5))
    assert (point.visible_x, point.visible_y) == pytest.approx((82.5, 91.5))
    with pytest.raises(PermanentError, match="give the map"):
        read_tiepoints(path, LANDSCAPE)
    with pytest.raises(PermanentError, match="give the visible raster"):
        read_tiepoints(path, None, MAP)


def test_pixels_of_a_georeferenced_map_stay_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.points"
    path.write_text(f"#CRS: EPSG:32632\n{HEADER}600083,5199908,80,-90,1,0,0,0\n")
    (point,) = read_tiepoints(path, LANDSCAPE, MAP)
    assert (point.map_x, point.map_y) == pytest.approx((79.5, 89.5))
    path.write_text(f"#CRS: EPSG:32632\n{HEADER}600083,5199908,9e6,9e6,1,0,0,0\n")
    with pytest.raises(PermanentError, match="neither as pixels"):
        read_tiepoints(path, LANDSCAPE, MAP)


@pytest.mark.parametrize(
    ("name", "ground"),
    [
        ("EPSG:32632", (600082.5, 5199908.5)),
        ("urn:ogc:def:crs:EPSG::32632", (600082.5, 5199908.5)),
        ("ESRI:102100", (1148254, 5932500)),
        ("+proj=utm +zone=32 +datum=WGS84 +units=m +type=crs", (600082.5, 5199908.5)),
        ("OGC:CRS84", (10.3112456, 46.9433018)),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", (10.3112456, 46.9433018)),
        ("EPSG:4326", (10.3112456, 46.9433018)),
    ],
)
def test_the_crs_of_the_file_counts_however_it_is_named(tmp_path: Path, name: str, ground: tuple[float, float]) -> None:
    path = tmp_path / "a.points"
    x, y = (float(value) for value in reproject(np.array([[600082.5, 5199908.5]]), "EPSG:32632", name)[0])
    assert (x, y) == pytest.approx(ground, rel=1e-3)
    path.write_text(f"#CRS: {name}\n{HEADER}{x},{y},80,-90,1,0,0,0\n")
    (point,) = read_tiepoints(path, LANDSCAPE)
    assert (point.visible_x, point.visible_y) == pytest.approx((82.0, 91.0), abs=1e-4)


def test_a_crs_that_is_not_known_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.points"
    path.write_text(f"#CRS: EPSG:999999\n{HEADER}1,2,3,-4,1,0,0,0\n")
    with pytest.raises(PermanentError, match="EPSG:999999"):
        read_tiepoints(path, LANDSCAPE)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffname,map_x,map_y,visible_x,visible_y\r\n\r\np,1.5,2,3,4\r\n  \r\n",
        "name;map_x;map_y;visible_x;visible_y\np;1,5;2;3;4\n;;;;\n",
        "name\tmap_x\tmap_y\tvisible_x\tvisible_y\np\t1.5\t2\t3\t4\n",
        "# made by hand\nname, map_x, map_y, visible_x, visible_y\n\np, 1.5, 2, 3, 4\n",
    ],
)
def test_marks_blank_lines_and_other_separators_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    assert read_tiepoints(path) == [TiePoint("p", 1.5, 2, 3, 4)]


def test_a_short_line_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,map_x,map_y,visible_x,visible_y\n\np,1,2,3,4\nq,1,2,3\n")
    with pytest.raises(PermanentError, match="line 4: 4 values"):
        read_tiepoints(path)


@pytest.mark.parametrize("name", ["#1", '#1, "north"', "# a comment"])
def test_a_name_that_begins_as_a_comment_does_is_read_back(tmp_path: Path, name: str) -> None:
    points = [TiePoint(name, 1.0, 2.0, 3.0, 4.0, "#", "2026-11-29"), TiePoint("b", 5.0, 6.0, 7.0, 8.0)]
    write_tiepoints(tmp_path / "1.csv", points)
    assert read_tiepoints(tmp_path / "1.csv") == points


def test_points_that_several_files_hold_count_once(tmp_path: Path) -> None:
    points = [TiePoint("church", 10.25, 20.5, 30.125, 40.0), TiePoint("bridge", 1, 2, 3, 4)]
    paths = [tmp_path / f"1{suffix}" for suffix in (".csv", ".geojson", ".points")]
    for path in paths:
        write_tiepoints(path, points, GRID)
    write_tiepoints(paths[1], [*points, TiePoint("mill", 50, 60, 70, 80)], GRID)
    assert [point.name for point in read_site_tiepoints(paths, GRID)] == ["church", "bridge", "mill"]


@pytest.mark.parametrize("value", ["true", "1" + "0" * 400, "[1]", "null", '"x"'])
def test_a_coordinate_of_geojson_that_is_no_number_is_named(tmp_path: Path, value: str) -> None:
    fields = f'"map_x": {value}, "map_y": 1, "visible_x": 1, "visible_y": 1'
    (tmp_path / "a.geojson").write_text(f'{{"features": [{{"properties": {{{fields}}}}}]}}')
    with pytest.raises(PermanentError, match=r"feature 1: map_x is .*a number is needed"):
        read_tiepoints(tmp_path / "a.geojson")


def test_a_file_of_tie_points_that_no_reader_takes_is_named(tmp_path: Path) -> None:
    (tmp_path / "deep.geojson").write_text("[" * 100_000)
    (tmp_path / "long.csv").write_text("map_x,map_y,visible_x,visible_y\n" + "9" * 200_000 + ",1,1,1\n")
    os.mkfifo(tmp_path / "pipe.points")
    (tmp_path / "folder.csv").mkdir()
    for name in ("deep.geojson", "long.csv", "pipe.points", "folder.csv"):
        with pytest.raises(PermanentError, match=name):
            read_tiepoints(tmp_path / name)
    with pytest.raises(PermanentError, match="not a file"):
        read_tiepoints(Path("/dev/zero"))
