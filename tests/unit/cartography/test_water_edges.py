"""Where water ends: one outline round waters cut in pieces, and no contour, stream or river line in a lake."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cartography import mapnik_renderer, opencv_renderer
from cartography.frame import Frame
from cartography.procedural import SyntheticScene
from cartography.scene import Area, Scene, geometries
from cartography.styles import named

pytestmark = pytest.mark.unit

FRAME = Frame(0.0, 90.0, 1.0, 120, 90)
LAKE = shapely.Polygon([(10, 12), (101.3, 25.4), (96, 71), (55, 80.2), (14, 60)])
RENDERERS = {"light": opencv_renderer.render_map, "mapnik": mapnik_renderer.render_map}


@pytest.mark.parametrize("style", ["topographic", "plan"])
@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_lake_in_pieces_looks_like_a_whole_one(renderer: str, style: str) -> None:
    """Cells of a landscape overlap by half a metre; a river's bank ends in a half circle inside the lake."""
    west, east = LAKE.intersection(shapely.box(0, 0, 50.5, 90)), LAKE.intersection(shapely.box(50, 0, 120, 90))
    bank = shapely.LineString([(60, 40), (70, 45)]).buffer(9)
    whole, pieces = (
        Scene(FRAME.bounds, areas=tuple(Area(shape, "water", n) for n, shape in enumerate(shapes)))
        for shapes in ([LAKE], [west, east, bank])
    )
    drawn = [RENDERERS[renderer](scene, FRAME, named(style)).astype(int) for scene in (whole, pieces)]
    # Along the shore the pieces' corners are rounded anew; no outline leads across, which would differ by 130 and more.
    difference = np.abs(drawn[0] - drawn[1])
    assert difference.max() < 50
    y, x = np.indices(difference.shape[:2])
    assert difference[shapely.contains_xy(LAKE.buffer(-2.5), x + 0.5, 89.5 - y)].max() <= 1
    assert np.abs(drawn[0] - named(style).areas["water"].outline).sum(axis=2).min() < 150


def test_fields_that_share_a_border_keep_it() -> None:
    fields = (Area(shapely.box(10, 10, 60, 80), "farmland", 1), Area(shapely.box(60, 10, 110, 80), "farmland", 2))
    for render in RENDERERS.values():
        image = render(Scene(FRAME.bounds, areas=fields), FRAME, named("plan"))
        assert image[45, 59:61].min() < 225


@pytest.mark.parametrize("landscape", ["coast", "forest"])
def test_nothing_runs_on_through_a_lake(landscape: str) -> None:
    world = SyntheticScene(7, landscape)  # type: ignore[arg-type]
    scene = world.window((0.0, 0.0, 1500.0, 1500.0))
    assert scene.contours
    assert scene.waterways
    for lines in (scene.contours, scene.waterways):
        places = shapely.get_coordinates(shapely.segmentize(geometries(lines), 10))  # type: ignore[arg-type]
        # A sample is 18 m from the next: a straight shore between them may cut a corner of the true one.
        depth = world.landscape.lake(places)
        assert (depth > 0.03).sum() == 0
    rivers = shapely.union_all([a.geometry for a in scene.areas if a.kind == "water"]).buffer(-1)
    inside = shapely.intersection(geometries(scene.contours), rivers)
    # What is left crosses the ponds of parks.
    assert shapely.length(inside).sum() < 0.003 * shapely.length(geometries(scene.contours)).sum()


@pytest.mark.parametrize(("landscape", "seed"), [("coast", 44), ("forest", 53)])
def test_railways_end_at_a_lake(landscape: str, seed: int) -> None:
    world = SyntheticScene(seed, landscape)  # type: ignore[arg-type]
    rails = world.window((0.0, 0.0, 1500.0, 1500.0)).rails
    assert rails
    places = shapely.get_coordinates(shapely.segmentize(geometries(rails), 10))
    assert world.landscape.lake(places).max() < 0.03
