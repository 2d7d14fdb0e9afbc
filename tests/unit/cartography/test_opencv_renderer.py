"""The light renderer: where edges lie, what generalisation does, and that blocks are the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate
from shapely.geometry import LineString

from cartography.frame import Frame
from cartography.opencv_renderer import mapped_buildings, mapped_roads, render_map
from cartography.procedural import SyntheticScene
from cartography.scene import Area, Building, Contour, Place, Poi, Road, Scene
from cartography.style import FillStyle, Generalisation, LineStyle, Style
from cartography.styles import NAMES, named

pytestmark = pytest.mark.unit

MIXED = SyntheticScene(3, "mixed")
FRAME = Frame(0.0, 60.0, 1.0, 80, 60)
INK = Style("ink", (255, 255, 255), {}, building=FillStyle((0, 0, 0)), roads={"residential": LineStyle((0, 0, 0))})


def _building(polygon: shapely.Polygon, key: int = 1) -> Building:
    return Building(polygon, "house", 8.0, "flat", key)


def _coverage(image: np.ndarray) -> np.ndarray:
    return (255.0 - image[..., 0]) / 255.0


def _scene(**layers: object) -> Scene:
    return Scene(FRAME.bounds, **layers)  # type: ignore[arg-type]


def test_a_buildings_area_and_centre_are_those_of_its_polygon() -> None:
    """Subpixels are a quarter of a pixel: their rounding scatters by a few hundredths and has no preferred side."""
    random = np.random.default_rng(0)
    errors = []
    for _ in range(80):
        x, y, w, h = random.uniform([25, 20, 10, 10], [50, 40, 20, 20])
        polygon = rotate(shapely.box(x - w / 2, y - h / 2, x + w / 2, y + h / 2), random.uniform(0, 90))
        coverage = _coverage(render_map(_scene(buildings=(_building(polygon),)), FRAME, INK))
        rows, columns = np.indices(coverage.shape)
        area = coverage.sum()
        # Pixel (0, 0) is the centre of the top-left pixel, whose outer corner is the scene's (0, 60).
        dx = (coverage * columns).sum() / area - (polygon.centroid.x - 0.5)
        dy = (coverage * rows).sum() / area - (59.5 - polygon.centroid.y)
        # An error e of every edge changes the area by e times the perimeter.
        errors.append((dx, dy, (area - polygon.area) / polygon.length))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.02
    assert np.sqrt(np.mean(np.square(errors), axis=0)).max() < 0.06
    assert np.abs(errors).max() < 0.15


def test_each_edge_of_an_upright_building_lies_within_half_a_subpixel() -> None:
    for offset in np.linspace(0, 1, 9):
        box = shapely.box(20 + offset, 20 - offset, 40 + offset, 35 - offset)
        coverage = _coverage(render_map(_scene(buildings=(_building(box),)), FRAME, INK))
        row, column = coverage[32], coverage[:, 30]
        left, right = 30 - row[:30].sum(), 30 + row[30:].sum()
        top, bottom = 32 - column[:32].sum(), 32 + column[32:].sum()
        edges = np.array([left, right, top, bottom])
        assert np.abs(edges - [20 + offset, 40 + offset, 25 + offset, 40 + offset]).max() < 0.13, offset


@pytest.mark.parametrize("width", [3.0, 6.0, 11.0])
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.8])
def test_a_road_is_as_wide_as_its_style_says_and_centred_on_its_line(width: float, factor: float) -> None:
    road = Road(LineString([(-50, 30.3), (150, 30.3)]), "residential", width, 1)
    style = replace(INK, roads={"residential": LineStyle((0, 0, 0), width_factor=factor)})
    column = _coverage(render_map(_scene(roads=(road,)), FRAME, style))[:, 40]
    assert abs(column.sum() - width * factor) < 0.26  # one subpixel
    assert abs((column * np.arange(60)).sum() / column.sum() - (59.5 - 30.3)) < 0.15


@pytest.mark.parametrize("style", NAMES)
def test_blocks_are_the_whole_pixel_for_pixel(style: str) -> None:
    world, frame = MIXED, Frame(100.0, 900.0, 0.8, 560, 530)
    whole = render_map(world, frame, named(style))
    assert whole.shape == (530, 560, 3)
    assert whole.dtype == np.uint8
    for column, row, width, height in [(310, 0, 250, 530), (500, 490, 40, 40), (559, 529, 1, 1)]:
        part = render_map(world, frame, named(style), (column, row, width, height))
        assert np.array_equal(part, whole[row : row + height, column : column + width])


NAMES_IN_SCRIPTS = st.text(st.sampled_from("abc Strößλдよ山는شम"), min_size=1, max_size=45)


@settings(max_examples=25, deadline=None)
@example(kind="place", name="Llanfairpwllgwyngyll 山山山山山山", x=425.0, y=60.0, key=3)
@example(kind="poi", name="A very long name of a small shop, longer", x=428.5, y=60.0, key=1)
@given(
    kind=st.sampled_from(["place", "poi", "road"]),
    name=NAMES_IN_SCRIPTS,
    x=st.floats(400, 620),
    y=st.floats(10, 110),
    key=st.integers(0, 9),
)
def test_no_label_is_cut_at_the_border_of_a_chunk(kind: str, name: str, x: float, y: float, key: int) -> None:
    """A frame whose chunks meet at column 512 and one that has a single chunk there show the same letters."""
    layers: dict[str, Any] = {
        "place": {"places": (Place(shapely.Point(x, y), "city", name, key),)},
        "poi": {"pois": (Poi(shapely.Point(x, y), "shop", name, key),)},
        "road": {"roads": (Road(LineString([(x - 90, y - 20), (x + 90, y + 20)]), "residential", 6, key, name=name),)},
    }
    frame = Frame(0.0, 120.0, 1.0, 1024, 120)
    scene = Scene(frame.bounds, **layers[kind])
    style = replace(named("osm-carto"), roads={}, generalisation=Generalisation())
    across = render_map(scene, frame, style)
    assert np.array_equal(across[:, 256:768], render_map(scene, frame.block(256, 0, 512, 120), style))


def test_omission_takes_the_stated_share_by_key_and_the_small() -> None:
    buildings = tuple(_building(shapely.box(0, 0, 10, 10 if k % 2 else 3), k * 7919) for k in range(2000))
    half = replace(INK, generalisation=Generalisation(buildings_omitted=0.4))
    kept = mapped_buildings(buildings, half)
    assert 0.56 < len(kept) / 2000 < 0.64
    assert mapped_buildings(buildings[500:900], half) == [b for b in kept if b in buildings[500:900]]
    large = mapped_buildings(buildings, replace(INK, generalisation=Generalisation(smaller_omitted=50)))
    assert large == [b for b in buildings if b.geometry.area >= 50]
    assert mapped_buildings((), half) == []


def test_paths_are_omitted_by_share_streets_never_tunnels_always() -> None:
    line = LineString([(0, 0), (9, 9)])
    paths = tuple(Road(line, "path", 2, k * 104729) for k in range(1000))
    street, tunnel = Road(line, "residential", 6, 5), Road(line, "primary", 9, 6, tunnel=True)
    style = replace(INK, generalisation=Generalisation(paths_omitted=0.5))
    kept = mapped_roads((*paths, street, tunnel), style)
    assert street in kept
    assert tunnel not in kept
    assert 0.45 < (len(kept) - 1) / 1000 < 0.55


def test_filled_blocks_stand_for_the_buildings_in_them() -> None:
    area = Area(shapely.box(10, 10, 60, 50), "residential", 1)
    building = _building(shapely.box(65, 20, 75, 40))
    style = replace(INK, areas={"residential": FillStyle((200, 200, 200))})
    plain = render_map(_scene(areas=(area,), buildings=(building,)), FRAME, style)
    blocks = replace(style, generalisation=Generalisation(blocks_filled=True))
    filled = render_map(_scene(areas=(area,), buildings=(building,)), FRAME, blocks)
    assert tuple(plain[30, 30]) == (200, 200, 200)
    assert tuple(plain[30, 70]) == (0, 0, 0)
    assert tuple(filled[30, 30]) == (0, 0, 0)
    assert tuple(filled[30, 70]) == (255, 255, 255)


def test_what_a_style_has_no_entry_for_is_not_drawn_and_an_empty_scene_is_background() -> None:
    contour = Contour(LineString([(0, 30), (80, 30)]), 100.0, True, 1)
    bare = replace(INK, building=None)
    image = render_map(_scene(contours=(contour,), buildings=(_building(shapely.box(9, 9, 40, 40)),)), FRAME, bare)
    assert (image == 255).all()
    drawn = render_map(_scene(contours=(contour,)), FRAME, replace(bare, index_contour=LineStyle((0, 0, 0))))
    assert drawn.min() < 128
