"""The mapnik renderer and the light one put the same thing in the same place, to half a pixel."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely
from contourpy import contour_generator

from cartography import mapnik_renderer, opencv_renderer
from cartography.frame import Frame
from cartography.procedural import SyntheticScene
from cartography.scene import Area, Building, Road, Scene, Waterway
from cartography.style import FillStyle, Generalisation, LineStyle, Style
from cartography.styles import NAMES, named

pytestmark = pytest.mark.unit

CITY = SyntheticScene(11, "city")
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
FRAME = Frame(-3.3, 51.7, 0.5, 120, 110)
INK = Style(
    "ink",
    WHITE,
    areas={"park": FillStyle(BLACK)},
    building=FillStyle(BLACK),
    waterway=LineStyle(BLACK),
    roads={"primary": LineStyle(BLACK)},
)


def _rectangle(angle: float) -> shapely.Polygon:
    return shapely.affinity.rotate(shapely.box(10.13, 8.71, 41.4, 33.33), angle)


def _line(angle: float) -> shapely.LineString:
    return shapely.affinity.rotate(shapely.LineString([(5.2, 25.1), (45.9, 25.1)]), angle)


SCENES = {
    f"{kind} {angle}": scene
    for angle in (0, 17, 45, 90, 123)
    for kind, scene in {
        "building": Scene(FRAME.bounds, buildings=(Building(_rectangle(angle), "house", 6.0, "flat", 1),)),
        "area": Scene(FRAME.bounds, areas=(Area(_rectangle(angle), "park", 1),)),
        "road": Scene(FRAME.bounds, roads=(Road(_line(angle), "primary", 7.3, 1),)),
        "river": Scene(FRAME.bounds, waterways=(Waterway(_line(angle), "river", 4.6, 1),)),
    }.items()
}


def _coverage(image: np.ndarray) -> np.ndarray:
    return 1 - image[..., 0] / 255.0


@pytest.mark.parametrize("name", SCENES)
def test_every_edge_of_a_single_feature_agrees(name: str) -> None:
    ours = _coverage(mapnik_renderer.render_map(SCENES[name], FRAME, INK))
    other = _coverage(opencv_renderer.render_map(SCENES[name], FRAME, INK))
    assert ours.sum() > 200
    # The contours at half coverage lie within half a pixel of each other.
    contours = [shapely.MultiLineString(contour_generator(z=each).lines(0.5)) for each in (ours, other)]
    assert shapely.hausdorff_distance(*contours, densify=0.05) < 0.5
    assert abs(ours.sum() - other.sum()) / contours[0].length < 0.3  # px of width along the outline
    rows, columns = np.mgrid[: ours.shape[0], : ours.shape[1]]
    for axis in (rows, columns):
        assert abs((ours * axis).sum() / ours.sum() - (other * axis).sum() / other.sum()) < 0.25


def test_a_rectangle_lies_where_the_frame_says() -> None:
    scene = Scene(FRAME.bounds, buildings=(Building(shapely.box(7.2, 11.45, 31.95, 40.2), "house", 6.0, "flat", 1),))
    coverage = _coverage(mapnik_renderer.render_map(scene, FRAME, INK))
    (left, top), (right, bottom) = FRAME.to_pixels(np.array([[7.2, 40.2], [31.95, 11.45]]))
    row, column = coverage[50], coverage[:, 40]
    assert row.sum() == pytest.approx(right - left, abs=0.02)
    assert column.sum() == pytest.approx(bottom - top, abs=0.02)
    assert (row * np.arange(120)).sum() / row.sum() == pytest.approx((left + right) / 2, abs=0.01)
    assert (column * np.arange(110)).sum() / column.sum() == pytest.approx((top + bottom) / 2, abs=0.01)


@pytest.mark.parametrize("style", NAMES)
def test_whole_scenes_agree(style: str) -> None:
    wordless = replace(
        named(style), road_text=None, water_text=None, places={}, pois=None, generalisation=Generalisation()
    )
    frame = Frame(320.4, 800.7, 0.6, 384, 384)
    ours = mapnik_renderer.render_map(CITY, frame, wordless).astype(np.float32)
    other = opencv_renderer.render_map(CITY, frame, wordless).astype(np.float32)
    # Nowhere may a window of one have to be moved by half a pixel to fit the other.
    for y in range(0, 384, 128):
        for x in range(0, 384, 128):
            window = np.s_[y : y + 128, x : x + 128]
            a, b = (cv2.cvtColor(image[window], cv2.COLOR_RGB2GRAY) for image in (ours, other))
            # The phase of two windows that hold little and are equal to a tenth of a grey level is noise.
            if a.std() > 2 and np.abs(a - b).mean() > 0.1:
                (dx, dy), _ = cv2.phaseCorrelate(a, b, cv2.createHanningWindow((128, 128), cv2.CV_32F))
                assert np.hypot(dx, dy) < 0.25
    # What is left is the antialiasing of edges and the phase of hatches.
    if style not in ("topographic", "plan"):
        assert np.abs(ours - other).max(axis=2).mean() < 3
        assert (np.abs(ours - other).max(axis=2) > 60).mean() < 0.02
