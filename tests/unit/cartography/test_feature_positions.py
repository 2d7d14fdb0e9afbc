"""Features lie in the map and in the image where the displacement field says: every one to a tenth of a pixel.

Building corners and road crossings are drawn by both map renderers and by the simulated image, and measured from grey
levels alone. What is asserted is the largest gap of all, along either axis, and that there is no common drift.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import shapely
from shapely.affinity import rotate, translate
from shapely.geometry import LineString

from cartography import mapnik_renderer, opencv_renderer
from cartography.frame import Frame
from cartography.imagery import Conditions, Textures, render_image
from cartography.misregistration import MisregisteredSource, Misregistration, random_homography
from cartography.scene import AreaKind, Building, Road, RoofShape, Scene, SceneSource
from cartography.style import FillStyle, LineStyle, Style

pytestmark = pytest.mark.unit

FRAME = Frame(0.0, 256.0, 1.0, 256, 256)
"""At a metre a pixel roofs have no parapets and no ridges: one grey level on each side of an edge."""
GROUND: AreaKind = "glacier"
INK = Style("ink", (255, 255, 255), {}, building=FillStyle((0, 0, 0)), roads={"residential": LineStyle((0, 0, 0))})
CLEAR = Conditions(1, haze=0, blur_px=0, noise=0, absent=0, traffic=0, clutter=0)
MAPS: dict[str, Callable[[SceneSource, Frame, Style], np.ndarray]] = {
    "light": opencv_renderer.render_map, "mapnik": mapnik_renderer.render_map,
}  # fmt: skip
ANGLES = (0.0, 7.0, 26.0, 45.0, 71.0)
"""Along the grid and across it: where rasterisers round most, and where they round all points of an edge alike."""


def disturbances() -> list[Misregistration]:
    """Shifts by fractions of a pixel alone, and whole disturbances with a local warp."""
    shifts = [np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]]) for dx, dy in ((0.3, 0.45), (0.6, 0.15))]
    randoms = [np.random.default_rng(seed) for seed in range(2)]
    return [
        *(Misregistration(shift) for shift in shifts),
        *(Misregistration(random_homography(r, 256, 25, 1.3, 0.03, 2e-4), 1.5, 600.0, seed=3) for r in randoms),
    ]


@pytest.mark.parametrize("roof", ["flat", "gabled"])
@pytest.mark.parametrize("renderer", MAPS)
def test_building_corners_are_where_the_field_says(renderer: str, roof: RoofShape) -> None:
    gaps = []
    for n, angle in enumerate(ANGLES):
        corners = rotate(shapely.box(-27, -25, 27, 25), angle)
        metres = shapely.get_coordinates(translate(corners, 120 + 0.37 * n, 122 + 0.21 * n))[:4]
        scene = Scene(FRAME.bounds, GROUND, buildings=(Building(shapely.Polygon(metres), "house", 0.0, roof, 1),))
        pixels = FRAME.to_pixels(metres)
        seen = corners_of(simulated(scene), pixels)
        assert np.abs(seen - pixels).max() < 0.1
        for known in disturbances():
            drawn = red(MAPS[renderer](MisregisteredSource(scene, FRAME, known), FRAME, INK))
            gaps.append(known.to_visible(corners_of(drawn, known.to_map(pixels))) - seen)
    assert np.abs(gaps).max() < 0.1
    assert np.abs(np.mean(gaps, axis=(0, 1))).max() < 0.01


@pytest.mark.parametrize("renderer", MAPS)
def test_road_crossings_are_where_the_field_says(renderer: str) -> None:
    gaps = []
    for n, angle in enumerate(ANGLES):
        middle = np.array([126.0 + 0.37 * n, 132.0 + 0.21 * n])
        arms = [np.array([np.cos(a), np.sin(a)]) for a in np.radians([angle, angle + 90 + 4 * n])]
        lines = [LineString([middle - arm * 90, middle + arm * 90]) for arm in arms]
        scene = Scene(FRAME.bounds, GROUND, roads=tuple(Road(line, "residential", 12.0, 1) for line in lines))
        pixels = FRAME.to_pixels(np.stack([middle, *(middle + arm * 20 for arm in arms)]))
        seen = crossing_of(simulated(scene), pixels)
        assert np.abs(seen - pixels[0]).max() < 0.1
        for known in disturbances():
            drawn = red(MAPS[renderer](MisregisteredSource(scene, FRAME, known), FRAME, INK))
            gaps.append(known.to_visible(crossing_of(drawn, known.to_map(pixels))[None])[0] - seen)
    assert np.abs(gaps).max() < 0.1
    assert np.abs(np.mean(gaps, axis=0)).max() < 0.02


def simulated(scene: Scene) -> np.ndarray:
    """The image of a scene without texture, so that a surface has one grey level."""
    none = np.zeros((512, 512, 3), np.float32)
    plain = Textures(1.0, none, none, np.zeros((375, 375), np.float32), np.zeros((512, 512, 2), np.float32))
    return red(render_image(scene, FRAME, CLEAR, plain))


def red(image: np.ndarray) -> np.ndarray:
    """The channel in which roofs, lit or not, differ most from snow."""
    return np.asarray(image[..., 0].astype(float))


def corners_of(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Locate the corners (4, 2) of a quadrilateral whose corners lie `near` (4, 2), from grey levels.

    Profiles across a side give its position: the share of one side's level in their sum. A line is fitted to these.
    """
    sides = []
    for start, end in pairwise([*near, near[0]]):
        along = (end - start) / np.linalg.norm(end - start)
        steps = np.linspace(-3, 3, 121)
        places = []
        for s in np.linspace(5, np.linalg.norm(end - start) - 5, 67):
            profile = bilinear(image, start + along * s + np.outer(steps, [-along[1], along[0]]))
            share = np.mean(profile - profile[-1]) / (profile[0] - profile[-1])
            places.append(start + along * s + np.array([-along[1], along[0]]) * (steps[0] + 6 * share))
        sides.append(fitted(np.array(places)))
    return np.array([meeting(sides[k - 1], sides[k]) for k in range(len(sides))])


def crossing_of(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Where the middle lines of two bands meet near near[0]; one passes near[1], the other near[2]."""
    bands = []
    for end in near[1:]:
        along = (end - near[0]) / np.linalg.norm(end - near[0])
        across = np.array([-along[1], along[0]])
        steps = np.linspace(-15, 15, 301)
        places = []
        for s in np.r_[np.linspace(-30, -20, 11), np.linspace(20, 30, 11)]:
            profile = bilinear(image, near[0] + along * s + np.outer(steps, across))
            weight = np.abs(profile - (profile[0] + profile[-1]) / 2)
            places.append(near[0] + along * s + across * float((weight * steps).sum() / weight.sum()))
        bands.append(fitted(np.array(places)))
    return meeting(*bands)


def fitted(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A point and the direction of the line through points (N, 2)."""
    centre = points.mean(axis=0)
    return centre, np.linalg.svd(points - centre)[2][0]


def meeting(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Where two lines meet: (2,)."""
    return np.asarray(one[0] + one[1] * np.linalg.solve(np.column_stack([one[1], -other[1]]), other[0] - one[0])[0])


def bilinear(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Sample a grey image (H, W) at pixel coordinates (N, 2)."""
    x, y = points.T
    c, r = np.floor(x).astype(int), np.floor(y).astype(int)
    u, v = x - c, y - r
    upper = image[r, c] * (1 - u) + image[r, c + 1] * u
    lower = image[r + 1, c] * (1 - u) + image[r + 1, c + 1] * u
    return np.asarray(upper * (1 - v) + lower * v)
