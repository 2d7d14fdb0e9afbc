"""Tie points as files that the page gives and takes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from review_server import Client, serving, tie_point

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def client(reviewed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client of a copy of the workspace; no test here saves anything."""
    workspace = tmp_path_factory.mktemp("exchange") / "work"
    shutil.copytree(reviewed / "work", workspace)
    with serving(workspace) as server:
        yield Client(server.address)


def test_points_come_and_go_as_files(client: Client) -> None:
    points = [tie_point(f"p{n}", 90.0 + 90 * n, 700.5 - 80 * n, 91.5 + 90 * n, 699.0 - 80 * n) for n in range(9)]
    for form in (".points", ".geojson", ".csv"):
        status, said = client.ask("POST", "/api/sites/001/1/export", {"points": points, "form": form})
        assert status == 200
        status, back = client.ask("POST", "/api/sites/001/1/import", {"name": f"my{form}", "text": said["text"]})
        assert status == 200
        for wanted, found in zip(points, back["points"], strict=True):
            for key in ("map_x", "map_y", "visible_x", "visible_y"):
                assert abs(wanted[key] - found[key]) < 1e-6
            assert found["operator"] == "Ada"
    status, said = client.ask("POST", "/api/sites/001/1/import", {"name": "my.csv", "text": "name,map_x\na,one\n"})
    assert status == 422
    assert "my.csv, line 2" in said["error"]


CSV = "name,map_x,map_y,visible_x,visible_y\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", CSV + "a,1,2,nan,4\n", "a.csv, line 2: visible_x is nan; a finite number"),
        ("a.csv", CSV + "a,1,2,1e999,4\n", "a.csv, line 2: visible_x is inf; a finite number"),
        ("a.csv", CSV + "a\0,1,2,3,4\n", "a.csv: holds null characters"),
        ("a.csv", "\0" * 5000, "a.csv: holds null characters"),
        ("a.csv", CSV + "a,1,2,3,4\n" * 2001, "2001 tie points, at most 2000"),
        ("a.csv", "x" * ((16 << 20) + 1), "give the name and the text"),
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", CSV + '"' + "x" * 200_000 + '",1,2,3,4\n', "a.csv: cannot read tie points"),
        ("a.points", "#CRS: EPSG:999999\nmapX,mapY,pixelX,pixelY,enable\n1,2,3,-4,1\n", "'EPSG:999999' is not known"),
        ("a.geojson", "[" * 100_000, "not a GeoJSON FeatureCollection of tie points"),
        ("a.geojson", '{"features": [{"properties": {"map_x": NaN}}]}', "map_x is nan"),
        ("a.tif", "II*", "tie points come as"),
        ("/etc/passwd", "x", "tie points come as"),
        ("../../a.csv", CSV + "a,1,2,3,x\n", "a.csv, line 2: visible_y is 'x'"),
        ("a.csv", None, "give the name and the text"),
    ],
)
def test_a_file_that_is_none_of_tie_points_is_refused_in_words(client: Client, name: str, text: Any, said: str) -> None:
    status, answer = client.ask("POST", "/api/sites/001/1/import", {"name": name, "text": text})
    assert status == 422, answer
    assert said in answer["error"]
    assert "/tmp" not in answer["error"]
    assert client.get("/api/sites/001/1")["document"]["points"] == []
