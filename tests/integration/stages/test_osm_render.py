"""Source `osm-render`: real extracts and a real GeoPackage drawn for real imagery; broken, empty and absent data."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import cv2
import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from pydantic import ValidationError

from cartography.styles import NAMES
from pipeline.errors import PermanentError
from raster.georeference import grid_of
from raster.grid import Grid
from stages.acquire.osm_render import OsmRenderSource
from stages.acquire.service import TileServiceSource
from stages.acquire.source import Site

pytestmark = pytest.mark.integration

EXTRACTS = (
    "hamburg-hafen-ferry", "karlsruhe-kirchfeld", "locarno", "london-northern-line", "miraustr", "neuss-s11",
    "rome-piazza-vittorio-emanuele",
)  # fmt: skip
CENTRES = {
    "hamburg-hafen-ferry": (9.9731, 53.5427), "karlsruhe-kirchfeld": (8.3955, 49.0560), "locarno": (8.8017, 46.1718),
    "london-northern-line": (-0.1388, 51.4618), "miraustr": (13.3110, 52.5850), "neuss-s11": (6.6850, 51.2040),
    "rome-piazza-vittorio-emanuele": (12.5045, 41.8950),
}  # fmt: skip


def _site(lon: float, lat: float, gsd: float = 1.0, metres: float = 500) -> Site:
    dy = metres / 111_000 / 2
    dx = dy / np.cos(np.radians(lat))
    return Site("001", "1", shapely.box(lon - dx, lat - dy, lon + dx, lat + dy), gsd, "city")


def _draw(source: OsmRenderSource, site: Site, folder: Path) -> tuple[Grid, np.ndarray, dict[str, str]]:
    with source.open(site, folder) as strips:
        pixels = np.concatenate(list(strips.pixels))
    assert pixels.shape == (strips.grid.height, strips.grid.width, 4)
    return strips.grid, pixels, dict(strips.tags)


@pytest.mark.parametrize("name", EXTRACTS)
def test_every_extract_is_drawn(name: str, shared_data: Path, tmp_path: Path) -> None:
    source = OsmRenderSource(path=shared_data / "osm" / f"{name}.osm.pbf", style="osm-carto")
    grid, pixels, tags = _draw(source, _site(*CENTRES[name]), tmp_path)
    assert grid.gsd == pytest.approx(1.0, rel=2e-3)
    seen = pixels[pixels[..., 3] > 0][:, :3]
    assert len(seen) > 0
    assert len(np.unique(seen, axis=0)) > 20
    assert (source.licence, source.attribution) == ("ODbL-1.0", "© OpenStreetMap contributors")
    if name in ("hamburg-hafen-ferry", "karlsruhe-kirchfeld", "london-northern-line", "rome-piazza-vittorio-emanuele"):
        assert tags["DATE"].startswith("2026-0")


@pytest.mark.parametrize("style", NAMES)
def test_one_extract_in_every_style(style: str, shared_data: Path, tmp_path: Path) -> None:
    source = OsmRenderSource(path=shared_data / "osm" / "karlsruhe-kirchfeld.osm.pbf", style=style)
    _, pixels, _ = _draw(source, _site(*CENTRES["karlsruhe-kirchfeld"]), tmp_path)
    assert pixels[..., 3].all()
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 20


@pytest.mark.parametrize("name", ["3320D_2010_315_RGB_LATLNG.tif", "3420B_2010_328_RGB_LATLNG.tif"])
def test_the_map_of_an_orthophoto_has_its_grid_and_its_roads(name: str, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "georeferenced" / "swellendam"
    with rasterio.open(folder / name) as dataset:
        visible = grid_of(dataset, folder / name)
    site = Site("001", "1", visible.footprint(), visible.gsd, "")
    source = OsmRenderSource(path=folder / "training_data.gpkg", style="osm-carto", like=folder / name)
    grid, pixels, _ = _draw(source, site, tmp_path)
    assert grid == visible
    # Found without our readers: the vertices of the roads, by the raster's own geotransform, are not background.
    roads = geopandas.read_file(folder / "training_data.gpkg", layer="roads").to_crs(visible.crs)
    ends = shapely.get_coordinates(roads.geometry.array)
    columns, rows = np.floor(np.array(~visible.transform @ ends.T)).astype(int)
    inside = (columns >= 0) & (rows >= 0) & (columns < visible.width) & (rows < visible.height)
    background = np.array([242, 239, 233])
    assert inside.sum() > 100
    ink = (np.abs(pixels[..., :3].astype(int) - background).max(axis=2) > 3).astype(np.uint8)
    near = cv2.dilate(ink, np.ones((5, 5), np.uint8))  # dashes have gaps
    assert near[rows[inside], columns[inside]].mean() > 0.97
    assert near.mean() < 0.5


def test_the_map_can_take_the_grid_of_a_tile_service(shared_data: Path, tmp_path: Path) -> None:
    site, path = _site(*CENTRES["locarno"]), shared_data / "osm" / "locarno.osm.pbf"
    grid, pixels, _ = _draw(OsmRenderSource(path=path, zoom=17), site, tmp_path)
    service = TileServiceSource(
        kind="tiles", url="http://localhost/{z}/{x}/{y}.png", source="x", licence="x", attribution="x", zoom=17
    )
    assert grid == service._window(site).grid
    assert grid.crs == "EPSG:3857"
    assert pixels[..., 3].any()
    with pytest.raises(ValidationError, match="give like or zoom, not both"):
        OsmRenderSource(path=path, zoom=17, like=path)


def test_strips_make_up_one_map_whatever_their_height(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = OsmRenderSource(path=shared_data / "osm" / "miraustr.osm.pbf", style="web-light")
    site = _site(*CENTRES["miraustr"], metres=700)
    _, whole, _ = _draw(source, site, tmp_path)
    monkeypatch.setattr("stages.acquire.osm_render.ROWS", 150)
    assert np.array_equal(_draw(source, site, tmp_path)[1], whole)


def _geopackage(path: Path, rows: list[dict[str, object]]) -> OsmRenderSource:
    geopandas.GeoDataFrame(rows, crs="EPSG:4326").to_file(path, layer="features", driver="GPKG", engine="pyogrio")
    return OsmRenderSource(path=path, style="osm-carto")


def test_ground_outside_the_data_is_no_data(tmp_path: Path) -> None:
    area = shapely.box(8.500, 47.400, 8.503, 47.403)
    source = _geopackage(tmp_path / "park.gpkg", [{"leisure": "park", "geometry": area}])
    grid, pixels, tags = _draw(source, _site(8.500, 47.4015, 1.0, 400), tmp_path)
    left, right = (
        pixels[:, : grid.width // 2 - 3, 3],
        pixels[grid.height // 4 : -grid.height // 4, grid.width // 2 + 3 : -3, 3],
    )
    assert not left.any()
    assert right.all()
    assert tags["DATE"] == ""
    _, away, _ = _draw(source, _site(9.5, 47.4), tmp_path)
    assert not away[..., 3].any()


def test_broken_geometry_and_missing_tags_are_drawn_round(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bow_tie = shapely.Polygon([(8.500, 47.400), (8.503, 47.403), (8.503, 47.400), (8.500, 47.403)])
    rows = [
        {"building": "yes", "highway": None, "geometry": bow_tie},
        {"building": "yes", "highway": None, "geometry": shapely.Polygon()},
        {"building": "yes", "highway": None, "geometry": shapely.Polygon([(8.5, 47.4)] * 4)},
        {"building": None, "highway": None, "geometry": shapely.LineString([(8.5, 47.4), (8.5, 47.4)])},
        {"building": None, "highway": "nonsense", "geometry": shapely.Point(8.501, 47.401)},
        {"building": None, "highway": "primary", "geometry": shapely.LineString([(8.5, 47.4), (8.503, 47.4025)])},
    ]
    source = _geopackage(tmp_path / "broken.gpkg", rows)
    with caplog.at_level(logging.WARNING):
        _, pixels, _ = _draw(source, _site(8.5015, 47.4015, 1.0, 300), tmp_path)
    assert (pixels[..., :3] == [217, 208, 201]).all(axis=2).any()
    assert (pixels[..., :3] == [252, 214, 164]).all(axis=2).any()


def test_an_extract_without_features_is_no_data(tmp_path: Path) -> None:
    osm = tmp_path / "empty.osm"
    osm.write_text('<?xml version="1.0"?>\n<osm version="0.6"></osm>\n')
    _, pixels, _ = _draw(OsmRenderSource(path=osm, style="plan"), _site(8.5, 47.4), tmp_path)
    assert not pixels[..., 3].any()


def test_unreadable_data_is_named(tmp_path: Path) -> None:
    site = _site(8.5, 47.4)
    with pytest.raises(PermanentError, match=r"site 001/1: .*absent\.osm\.pbf"):
        _draw(OsmRenderSource(path=tmp_path / "absent.osm.pbf"), site, tmp_path)
    (tmp_path / "cut.osm.pbf").write_bytes(b"\x00\x00\x00\x0d\x0a\x09OSMHeader\x18\x99")
    with pytest.raises(PermanentError, match=r"cut\.osm\.pbf"):
        _draw(OsmRenderSource(path=tmp_path / "cut.osm.pbf"), site, tmp_path)


def test_an_unknown_style_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="choose one of web-light, web-muted"):
        OsmRenderSource(path=Path("x.gpkg"), style="watercolour")


def test_names_without_letters_are_told_by_the_run_and_by_status(tmp_path: Path) -> None:
    rows = [
        {"place": "town", "name": name, "geometry": shapely.Point(8.5 + 0.001 * index, 47.4)}
        for index, name in enumerate(("\U00012000\U00012001", "กรุงเทพ", "Town"))
    ]
    _geopackage(tmp_path / "names.gpkg", rows)
    stages = {
        "sample": {"sites": [{"point": "1", "bounds": [8.4995, 47.399, 8.5035, 47.401], "gsd": 1.0}]},
        "acquire": {
            "map": {"kind": "osm-render", "path": str(tmp_path / "names.gpkg")},
            "visible": {"kind": "simulated-image"},
        },
    }
    config = {"name": "names", "seed": 1, "stages": stages}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    workspace = ["--workspace", str(tmp_path / "w")]
    command = [
        sys.executable,
        "-m",
        "mapdata",
        "run",
        str(tmp_path / "config.yaml"),
        *workspace,
        "--only",
        "sample",
        "--only",
        "acquire",
    ]
    done = subprocess.run([*command, "--workers", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 names are left out" in done.stderr
    status = subprocess.run(
        [sys.executable, "-m", "mapdata", "status", *workspace, "--json"], capture_output=True, text=True, check=True
    )
    (note,) = json.loads(status.stdout)["notes"]
    assert (note["stage"], note["name"]) == ("acquire", "1/1/map")
    assert "(Cuneiform)" in note["note"]
    assert "mapdata[fonts]" in note["note"]
