"""Points of a user's file: names are kept, a stratum is never made up, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest

from pipeline.errors import PermanentError
from stages.sample.point_file import read_points
from stages.sample.sampled import PointFile

pytestmark = pytest.mark.unit


def csv(folder: Path, text: str) -> Path:
    path = folder / "points.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_keeps_its_names_and_strata(tmp_path: Path) -> None:
    found = read_points(
        csv(tmp_path, "\ufeffName;Lon;LAT;stratum;;\n007;9.5612;46.97;;;\n\nZurich;8.54;47.37;city;;\n")
    )
    assert found["name"].tolist() == ["007", "Zurich"]
    assert found["stratum"].tolist() == ["", "city"]
    assert found.geometry.x.tolist() == [9.5612, 8.54]
    assert found.geometry.y.tolist() == [46.97, 47.37]


def test_names_go_into_the_sites_and_an_unknown_stratum_stays_unknown(tmp_path: Path) -> None:
    path = csv(tmp_path, "id,latitude,longitude\nB7,47.37,8.54\nA1,46.97,9.56\n")
    rows = PointFile(path=path, sites_per_point=2, width=(512, 600), height=(512, 600)).rows(1)
    assert [(row["point_id"], row["site_id"]) for row in rows] == [("B7", "1"), ("B7", "2"), ("A1", "1"), ("A1", "2")]
    assert {row["stratum"] for row in rows} == {""}


def test_a_geojson_without_strata_has_none(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=geopandas.points_from_xy([8.0], [47.0]), crs="EPSG:4326")
    frame.to_file(tmp_path / "points.geojson")
    found = read_points(tmp_path / "points.geojson")
    assert (found["name"].tolist(), found["stratum"].tolist()) == (["001"], [""])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "columns a, b; it needs lon and lat"),
        ("lon,lat\nx,47\n", "row 1: lon is 'x'"),
        ("lon,lat\n8,\n", "row 1: lat is ''"),
        ("lon,lat\n8,47\n9.5,46,3\n", "row 2 has 3 values, the columns are lon, lat"),
        ("lon,lat\n8,47,\n", "row 1 has 3 values"),
        ("lon,lat\n8\n", "row 1 has 1 values"),
        ("lon,lat,lon\n8,47,9\n", "each column once"),
        ("lon,lat\nnan,47\n", "row 1: lon is 'nan'"),
        ("lon,lat\n8,47\n-inf,47\n", "row 2: lon is '-inf'"),
        ("lon,lat\n956.12,47\n", "the longitude 956.12 is none"),
        ("x,y\n600000,47\n", "the longitude 600000 is none"),
        ("name,lon,lat\nAb,8,47\naB,9,47\n", "two points are called 'Ab'"),
        (f"name,lon,lat\n{'a' * 300},8,47\n", "names a folder"),
        ("lon,lat\n8,89.99\n", "beyond"),
        ("lon,lat\n8,47\n8,47\n", "same point twice"),
        ("name,lon,lat\na,8,47\na,9,47\n", "two points are called 'a'"),
        ("name,lon,lat\n../x,8,47\n", "'../x' (column name) names a folder"),
        ("lon,lat,stratum\n8,47,moor\n", "stratum 'moor' is not known; use one of city, coast"),
        ("lon,lat\n", "at least one"),
        ("", "cannot be read as a CSV"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PermanentError) as raised:
        read_points(csv(tmp_path, text))
    assert words in str(raised.value)
    assert str(tmp_path / "points.csv") in str(raised.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="cannot be read as a CSV"):
        read_points(tmp_path / "absent.csv")


def test_a_row_without_a_point_is_named(tmp_path: Path) -> None:
    points = geopandas.points_from_xy([8.0, 9.0], [47.0, 47.0])
    frame = geopandas.GeoDataFrame({"n": [1, 2]}, geometry=[points[0], None], crs="EPSG:4326")
    frame.to_file(tmp_path / "points.gpkg")
    with pytest.raises(PermanentError, match="row 2 holds another or none"):
        read_points(tmp_path / "points.gpkg")
