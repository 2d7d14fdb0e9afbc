"""The known misregistration: exact there and back, and true of what is drawn to a tenth of a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, Polygon

from cartography.disturbance import Disturbance, Disturbed, project, random_homography
from cartography.frame import Frame
from cartography.imagery import Conditions, Textures, render_image
from cartography.light import render_map
from cartography.scene import Building, Road, Scene
from cartography.style import FillStyle, LineStyle, Style

pytestmark = pytest.mark.unit

FRAME = Frame(0.0, 256.0, 1.0, 256, 256)
"""At a metre a pixel roofs have no parapets: one grey level on each side of an edge."""
BLACK_ON_WHITE = Style(
    "test",
    (255, 255, 255),
    {},
    building=FillStyle((0, 0, 0)),
    roads={"residential": LineStyle((0, 0, 0))},
)
CLEAR = Conditions(1, haze=0, blur_px=0, noise=0, absent=0, traffic=0, clutter=0)


def disturbance(seed: int, warp_px: float = 1.5, feature_px: float = 0.0) -> Disturbance:
    random = np.random.default_rng(seed)
    return Disturbance(random_homography(random, 256, 25, 1.3, 0.03, 2e-4), warp_px, 600.0, feature_px, seed)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 255), st.floats(0, 255))
def test_there_and_back(seed: int, x: float, y: float) -> None:
    known = disturbance(seed)
    visible = np.array([[x, y]])
    assert np.abs(known.to_visible(known.to_map(visible)) - visible).max() < 1e-6


def test_without_warp_it_is_the_homography() -> None:
    known = disturbance(3, warp_px=0.0)
    points = np.random.default_rng(1).uniform(0, 256, (50, 2))
    assert np.allclose(known.to_visible(points), project(known.homography, points), atol=1e-9)


def test_the_field_is_that_of_single_points_and_of_blocks() -> None:
    known = disturbance(9)
    field = known.field(40, 30)
    assert np.allclose(field[17, 23], known.to_visible(np.array([[23.0, 17.0]]))[0], atol=1e-9)
    assert np.allclose(known.field(10, 5, 20, 11), field[11:16, 20:30], atol=1e-9)


def test_the_warp_is_as_strong_as_it_says() -> None:
    known = disturbance(2, warp_px=2.0)
    points = np.random.default_rng(1).uniform(0, 100_000, (5000, 2))
    assert np.allclose(known.warp(points).std(axis=0), 2.0, rtol=0.1)


def intersection_of_edges(image: np.ndarray, directions: list[float], near: np.ndarray) -> np.ndarray:
    """Locate where two straight edges of given directions (radians) meet near a point, from grey levels alone.

    Each edge is found by sampling profiles across it and taking the half-level crossing, then a line is fitted:
    nothing of the renderer is used.
    """
    lines = []
    for direction in directions:
        along = np.array([np.cos(direction), np.sin(direction)])
        across = np.array([-along[1], along[0]])
        found = []
        for s in np.linspace(5, 38, 67):
            steps = np.linspace(-3, 3, 121)
            places = near + along * s + across * steps[:, None]
            profile = bilinear(image, places)
            levels = profile - (profile[0] + profile[-1]) / 2
            turn = np.flatnonzero(np.diff(np.sign(levels)))
            if len(turn) == 1:
                k = int(turn[0])
                share = levels[k] / (levels[k] - levels[k + 1])
                found.append(places[k] + (places[k + 1] - places[k]) * share)
        assert len(found) > 40
        points = np.array(found)
        centre = points.mean(axis=0)
        lines.append((centre, np.linalg.svd(points - centre)[2][0]))
    (p, u), (r, v) = lines
    t = np.linalg.solve(np.column_stack([u, -v]), r - p)[0]
    return np.asarray(p + u * t)


def bilinear(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Sample a grey image (H, W) at pixel coordinates (N, 2)."""
    x, y = points.T
    c, r = np.floor(x).astype(int), np.floor(y).astype(int)
    u, v = x - c, y - r
    upper = image[r, c] * (1 - u) + image[r, c + 1] * u
    lower = image[r + 1, c] * (1 - u) + image[r + 1, c + 1] * u
    return np.asarray(upper * (1 - v) + lower * v)


def edge_directions(known: Disturbance | None, corner: np.ndarray, ends: np.ndarray) -> list[float]:
    """Directions from a corner to neighbouring points, on the map if a disturbance is given."""
    points = np.vstack([corner, ends])
    moved = known.to_map(points) if known else points
    return [float(np.arctan2(*(end - moved[0])[::-1])) for end in moved[1:]]


def corner_gaps(seed: int) -> np.ndarray:
    """How far (4, 2) the corners of a building lie on the map from where the image and the field say."""
    known = disturbance(seed)
    metres = np.array([[100.0, 92.0], [152.6, 102.4], [142.8, 152.2], [90.2, 141.8]])
    scene = Scene((0, 0, 256, 256), buildings=(Building(Polygon(metres), "house", 0.0, "flat", 1),))
    pixels = FRAME.to_pixels(metres)
    image = render_image(scene, FRAME, CLEAR, flat_textures())[..., 0].astype(float)
    drawn = render_map(Disturbed(scene, FRAME, known), FRAME, BLACK_ON_WHITE)[..., 0].astype(float)
    gaps = []
    for k in range(4):
        ends = pixels[[(k + 1) % 4, (k - 1) % 4]]
        seen = intersection_of_edges(image, edge_directions(None, pixels[k], ends), pixels[k])
        start = known.to_map(pixels[k : k + 1])[0]
        mapped = intersection_of_edges(drawn, edge_directions(known, pixels[k], ends), start)
        gaps.append(known.to_visible(mapped[None])[0] - seen)
    return np.array(gaps)


def test_building_corners_are_where_the_field_says() -> None:
    """Both rasters round the corners of a polygon to a quarter of a pixel: that is all that separates them."""
    gaps = np.stack([corner_gaps(seed) for seed in range(12)])
    buildings = gaps.mean(axis=1)
    assert np.sqrt((buildings**2).mean(axis=0)).max() < 0.1
    assert np.abs(buildings.mean(axis=0)).max() < 0.05
    assert np.sqrt((gaps**2).mean(axis=(0, 1))).max() < 0.15
    assert np.abs(gaps).max() < 0.35


@pytest.mark.parametrize("seed", range(6))
def test_a_road_crossing_is_where_the_field_says(seed: int) -> None:
    """Both edges of both roads: the middle of the four corners of the crossing."""
    known = disturbance(seed)
    middle = np.array([126.0, 132.0])
    arms = [np.array([np.cos(a), np.sin(a)]) for a in (0.35, 1.95)]
    lines = [LineString([middle - arm * 90, middle + arm * 90]) for arm in arms]
    roads = tuple(Road(line, "residential", 12.0, n) for n, line in enumerate(lines))
    scene = Scene((0, 0, 256, 256), roads=roads)
    drawn = render_map(Disturbed(scene, FRAME, known), FRAME, BLACK_ON_WHITE)[..., 0].astype(float)
    image = render_map(scene, FRAME, BLACK_ON_WHITE)[..., 0].astype(float)
    centre = FRAME.to_pixels(middle[None])
    seen = crossing(image, centre[0], [FRAME.to_pixels((middle + a * 20)[None])[0] for a in arms])
    ends = [known.to_map(FRAME.to_pixels((middle + a * 20)[None]))[0] for a in arms]
    mapped = crossing(drawn, known.to_map(centre)[0], ends)
    assert np.abs(seen - centre[0]).max() < 0.1
    assert np.abs(known.to_visible(mapped[None])[0] - seen).max() < 0.1


def crossing(image: np.ndarray, near: np.ndarray, ends: list[np.ndarray]) -> np.ndarray:
    """Where the middle lines of two dark bands meet: the centre of mass of profiles across each, and fitted lines."""
    lines = []
    for end in ends:
        along = (end - near) / np.linalg.norm(end - near)
        across = np.array([-along[1], along[0]])
        points = []
        for s in np.r_[np.linspace(-24, -14, 11), np.linspace(14, 24, 11)]:
            steps = np.linspace(-11, 11, 221)
            darkness = 255 - bilinear(image, near + along * s + across * steps[:, None])
            points.append(near + along * s + across * float((darkness * steps).sum() / darkness.sum()))
        track = np.array(points)
        lines.append((track.mean(axis=0), np.linalg.svd(track - track.mean(axis=0))[2][0]))
    (p, u), (r, v) = lines
    return np.asarray(p + u * np.linalg.solve(np.column_stack([u, -v]), r - p)[0])


def test_generalisation_moves_a_building_by_the_offset_of_its_key_and_leaves_roads() -> None:
    known = Disturbance(np.eye(3), feature_px=4.0, seed=5)
    square = Polygon([(50, 50), (70, 50), (70, 70), (50, 70)])
    scene = Scene(
        (0, 0, 256, 256),
        buildings=(Building(square, "house", 5.0, "flat", 77),),
        roads=(Road(LineString([(0, 10), (240, 10)]), "residential", 6.0, 78),),
    )
    moved = known.apply(scene, FRAME)
    offset = known.feature_offsets(np.array([77], np.uint64))[0]
    assert 0 < np.abs(offset).max() <= 4.0
    centre = FRAME.to_pixels(np.array(moved.buildings[0].geometry.centroid.coords))[0]
    assert np.allclose(centre - FRAME.to_pixels(np.array([[60.0, 60.0]]))[0], offset, atol=1e-6)
    assert moved.roads[0].geometry.equals(scene.roads[0].geometry)


def test_a_long_straight_road_bends_with_the_warp() -> None:
    known = Disturbance(np.eye(3), warp_px=3.0, warp_wavelength_px=150.0, seed=2)
    scene = Scene((0, 0, 256, 256), roads=(Road(LineString([(-50, 128), (300, 128)]), "residential", 6.0, 1),))
    bent = known.apply(scene, FRAME).roads[0].geometry
    for x in np.linspace(5, 250, 40):
        place = known.to_map(FRAME.to_pixels(np.array([[x, 128.0]])))
        gap = bent.distance(LineString(np.vstack([FRAME.to_scene(place), FRAME.to_scene(place) + 1e-9])))
        assert gap / FRAME.gsd < 0.05


def test_impossible_disturbances_are_refused() -> None:
    with pytest.raises(ValueError, match="invertible"):
        Disturbance(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="fold"):
        Disturbance(np.eye(3), warp_px=20, warp_wavelength_px=50)


def flat_textures() -> Textures:
    """Textures of no contrast, so that an edge has one grey level on each side."""
    none = np.zeros((512, 512, 3), np.float32)
    return Textures(1.0, none, none, np.zeros((375, 375), np.float32), np.zeros((512, 512, 2), np.float32))
