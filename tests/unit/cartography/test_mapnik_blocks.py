"""A map drawn in blocks is the map drawn whole."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cartography.frame import Frame
from cartography.mapnik_renderer import MapnikRenderer, render_map
from cartography.procedural import SyntheticScene
from cartography.scene import Area, Place, Road, Scene
from cartography.styles import NAMES, named

pytestmark = pytest.mark.unit

WORLDS = {name: SyntheticScene(7, name) for name in ("city", "farmland")}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("style", "landscape", "gsd"), [*((name, "city", 0.5) for name in NAMES), ("plan", "farmland", 2.1)]
)
def test_blocks_of_any_style_make_up_the_whole(style: str, landscape: str, gsd: float) -> None:
    renderer = MapnikRenderer(WORLDS[landscape], Frame(-713.37, 911.11, gsd, 420, 370), named(style))
    whole = renderer.render()
    put_together = np.zeros_like(whole)
    for (column, row, width, height), image in renderer.blocks(157):
        put_together[row : row + height, column : column + width] = image
    assert np.array_equal(put_together, whole)
    assert len(np.unique(whole.reshape(-1, 3), axis=0)) > 10


@settings(max_examples=12, deadline=None)
@given(column=st.integers(0, 500), row=st.integers(0, 400), width=st.integers(1, 100), height=st.integers(1, 100))
def test_any_block_is_a_part_of_the_whole(column: int, row: int, width: int, height: int) -> None:
    renderer = _TOWN
    image = renderer.render((column, row, width, height))
    assert np.array_equal(image, _TOWN_WHOLE[row : row + height, column : column + width])


def test_two_renderers_of_one_map_agree_whatever_block_comes_first() -> None:
    first, second = (MapnikRenderer(SyntheticScene(3, "town"), _TOWN.frame, named("osm-carto")) for _ in range(2))
    first.render((400, 300, 50, 50))
    assert np.array_equal(first.render(), second.render())


def test_long_edges_and_hatches_run_through_the_blocks() -> None:
    # One huge triangle: every edge crosses many blocks at an angle no subpixel grid likes.
    triangle = shapely.Polygon([(-3000.17, -2111.3), (2777.7, 333.331), (100.5, 4000.9)])
    scene = Scene((-4000, -4000, 4000, 4000), areas=(Area(triangle, "rock", 1),))
    renderer = MapnikRenderer(scene, Frame(-200, 600, 1.0, 600, 600), named("topographic"))
    whole = renderer.render()
    for (column, row, width, height), image in renderer.blocks(170):
        assert np.array_equal(image, whole[row : row + height, column : column + width])


def test_a_label_across_blocks_is_written_once_and_whole() -> None:
    road = Road(shapely.LineString([(50, -100), (550, -100)]), "residential", 8.0, 1, name="Long Street Name")
    place = Place(shapely.Point(300, -250), "town", "Middletown", 2)
    scene = Scene((0, -400, 600, 0), roads=(road,), places=(place,))
    frame = Frame(0, 0, 1.0, 600, 400)
    lettered, bare = (MapnikRenderer(s, frame, named("osm-carto")) for s in (scene, _nameless(scene)))
    ink = np.abs(lettered.render().astype(int) - bare.render()).max(axis=2) > 0
    assert len(lettered.labels) == 2
    # The middle of both labels lies on the border between the left and the right block.
    halves = [
        np.abs(lettered.render(b).astype(int) - bare.render(b)).max(axis=2) > 0
        for b in ((0, 0, 300, 400), (300, 0, 300, 400))
    ]
    assert np.array_equal(np.hstack(halves), ink)
    assert halves[0].any()
    assert halves[1].any()


def test_a_block_outside_the_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(590, 0, 20, 10\) does not lie in the map of 600x500"):
        _TOWN.render((590, 0, 20, 10))
    with pytest.raises(ValueError, match="does not lie in the map"):
        _TOWN.render((0, 0, 0, 10))


def test_an_empty_scene_is_background() -> None:
    image = render_map(Scene((0, 0, 10, 10)), Frame(0, 10, 0.1, 100, 100), named("dark"))
    assert np.array_equal(np.unique(image.reshape(-1, 3), axis=0), [named("dark").background])


def _nameless(scene: Scene) -> Scene:
    road = scene.roads[0]
    return Scene(scene.bounds, roads=(Road(road.geometry, road.kind, road.width, road.key),))


_TOWN = MapnikRenderer(SyntheticScene(3, "town"), Frame(40.2, 700.9, 0.6, 600, 500), named("osm-carto"))
_TOWN_WHOLE = _TOWN.render()
