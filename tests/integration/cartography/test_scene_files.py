"""Vector files as scenes: real extracts, broken and empty files, coordinate systems."""

from __future__ import annotations

import logging
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, Point, Polygon, box

from cartography import styles
from cartography.frame import Frame
from cartography.labels import BUILDING, render_labels
from cartography.opencv_renderer import render_map
from cartography.osm import VectorFileError, read_scene
from cartography.scene import LAYERS, geometries

pytestmark = pytest.mark.integration

EXTRACTS = (
    "hamburg-hafen-ferry",
    "karlsruhe-kirchfeld",
    "locarno",
    "london-northern-line",
    "miraustr",
    "neuss-s11",
    "rome-piazza-vittorio-emanuele",
)


@pytest.mark.parametrize("name", EXTRACTS)
def test_every_extract_is_read_and_drawn(shared_data: Path, name: str) -> None:
    scene = read_scene(shared_data / "osm" / f"{name}.osm.pbf")
    assert len(scene) > 0
    assert scene.crs.startswith("EPSG:326")
    for layer, features in scene.layers():
        keys = [feature.key for feature in features]
        # A place is read once for its outline and once for its point; nothing else shares a key.
        assert len(keys) - len(set(keys)) <= 0.01 * len(keys), layer
        if features:
            assert np.isfinite(shapely.bounds(geometries(features))).all(), layer
    if not scene.roads:
        return
    middle = scene.roads[len(scene.roads) // 2].geometry.centroid
    frame = Frame(middle.x - 150, middle.y + 150, 1.0, 300, 300)
    image = render_map(scene, frame, styles.named("osm-carto"))
    assert image.std() > 1


def test_a_town_has_what_a_town_has_and_heights_vary(shared_data: Path) -> None:
    scene = read_scene(shared_data / "osm" / "karlsruhe-kirchfeld.osm.pbf")
    assert len(scene.buildings) > 100
    assert len(scene.roads) > 100
    assert {"residential", "path"} <= {road.kind for road in scene.roads}
    assert len({round(building.height, 1) for building in scene.buildings}) > 3
    assert any(road.name for road in scene.roads)


def test_web_mercator_stretches_widths_and_heights_with_the_ground(shared_data: Path) -> None:
    path = shared_data / "osm" / "karlsruhe-kirchfeld.osm.pbf"
    metres, mercator = read_scene(path), read_scene(path, "EPSG:3857")
    stretch = 1 / np.cos(np.radians(49.06))
    ours = {road.key: road.width for road in metres.roads}
    ratios = [road.width / ours[road.key] for road in mercator.roads if road.key in ours]
    assert np.median(ratios) == pytest.approx(stretch, rel=0.01)
    areas = [sum(b.geometry.area for b in scene.buildings) for scene in (metres, mercator)]
    assert areas[1] / areas[0] == pytest.approx(stretch**2, rel=0.01)


def test_bounds_leave_out_what_lies_outside(shared_data: Path) -> None:
    path = shared_data / "osm" / "karlsruhe-kirchfeld.osm.pbf"
    whole = read_scene(path)
    x, y = geometries(whole.buildings)[0].centroid.coords[0]
    part = read_scene(path, bounds=(x - 100, y - 100, x + 100, y + 100))
    assert 0 < len(part) < len(whole)
    assert part.bounds == (x - 100, y - 100, x + 100, y + 100)
    window = whole.window(part.bounds)
    assert {b.key for b in part.buildings} == {b.key for b in window.buildings}


def _write(path: Path, layers: dict[str, geopandas.GeoDataFrame]) -> Path:
    for name, frame in layers.items():
        frame.to_file(path, layer=name, driver="GPKG")
    return path


def test_a_geopackage_without_tags_goes_by_the_names_of_its_layers(tmp_path: Path) -> None:
    house, street = box(500000, 5000000, 500020, 5000010), LineString([(500000, 5000030), (500100, 5000030)])
    path = _write(
        tmp_path / "plain.gpkg",
        {
            "buildings": geopandas.GeoDataFrame({"id": [1]}, geometry=[house], crs="EPSG:32633"),
            "roads": geopandas.GeoDataFrame({"id": [2]}, geometry=[street], crs="EPSG:32633"),
        },
    )
    scene = read_scene(path)
    assert len(scene.buildings) == 1
    assert len(scene.roads) == 1
    assert scene.buildings[0].geometry.area == pytest.approx(200, rel=0.01)
    frame = Frame(499990, 5000040, 1.0, 60, 50)
    assert abs(int((render_labels(scene, frame) == BUILDING).sum()) - 200) < 35
    again = geopandas.read_file(path, layer="buildings")
    again.to_parquet(tmp_path / "buildings.parquet")
    assert len(read_scene(tmp_path / "buildings.parquet").buildings) == 1


def test_broken_geometry_is_repaired_or_left_out_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bow_tie = Polygon([(0, 0), (20, 20), (20, 0), (0, 20)])
    rows = geopandas.GeoDataFrame(
        {"building": ["house", "house", None, "yes"], "building:levels": ["2", "nonsense", None, None]},
        geometry=[bow_tie, Polygon(), Point(3, 3), None],
        crs="EPSG:32633",
    )
    rows.geometry = rows.geometry.translate(500000, 5000000)
    path = _write(tmp_path / "broken.gpkg", {"things": rows})
    with caplog.at_level(logging.WARNING):
        scene = read_scene(path)
    assert "2 features of broken or empty geometry left out" in caplog.text
    assert len(scene.buildings) == 2  # the two halves of the bow tie
    assert all(building.geometry.is_valid for building in scene.buildings)
    assert len({building.key for building in scene.buildings}) == 2


def test_an_empty_file_is_an_empty_scene_that_draws_as_background(tmp_path: Path) -> None:
    empty = geopandas.GeoDataFrame({"building": []}, geometry=[], crs="EPSG:32633")
    scene = read_scene(_write(tmp_path / "empty.gpkg", {"things": empty}))
    assert all(getattr(scene, name) == () for name in LAYERS)
    style = styles.named("web-light")
    image = render_map(scene, Frame(0, 0, 1.0, 40, 30), style)
    assert (image == style.background).all()


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(VectorFileError, match="there is no such file"):
        read_scene(tmp_path / "absent.osm.pbf")
    for name in ("broken.osm.pbf", "broken.gpkg", "broken.parquet"):
        (tmp_path / name).write_bytes(b"certainly not a vector file")
        with pytest.raises(VectorFileError, match=name):
            read_scene(tmp_path / name)


def test_a_system_in_degrees_is_refused(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"building": ["yes"]}, geometry=[box(10, 50, 10.001, 50.001)], crs="EPSG:4326")
    with pytest.raises(VectorFileError, match="not a projected coordinate system"):
        read_scene(_write(tmp_path / "ok.gpkg", {"things": frame}), "EPSG:4326")
