"""Street-level views: projection, faces of buildings, and what a camera must see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cartography.imagery.conditions import Conditions
from cartography.landmarks import Country, describe
from cartography.landmarks.place import SPACING
from cartography.landmarks.views import photograph
from cartography.scene import Building, Scene
from cartography.street import StreetCamera, Weather, render_street
from cartography.street.camera import clipped
from cartography.street.planes import faces_of
from cartography.street.render import Ground

pytestmark = pytest.mark.unit

CLEAR = Weather(seed=1, sky="clear", visibility=1e6, noise=0.0, jpeg_quality=100)


def camera(heading: float = 0.0, pitch: float = 0.0) -> StreetCamera:
    return StreetCamera((0.0, 0.0, 1.7), heading, pitch, 200.0, 160, 120)


@given(heading=st.floats(0, 360), pitch=st.floats(-40, 40), right=st.floats(-5, 5), up=st.floats(-5, 5))
def test_a_pixels_ray_leads_back_to_the_pixel(heading: float, pitch: float, right: float, up: float) -> None:
    eye = camera(heading, pitch)
    column, row = 80 + int(right * 10), 60 + int(up * 10)
    point = np.array(eye.position) + 7.5 * eye.rays[row, column]
    assert eye.to_pixels(eye.to_camera(point[None]))[0] == pytest.approx([column, row], abs=1e-2)


def test_directions() -> None:
    north, east = camera(0.0), camera(90.0)
    assert north.to_camera(np.array([[0.0, 10.0, 1.7]]))[0] == pytest.approx([0, 0, 10])
    assert north.to_camera(np.array([[2.0, 10.0, 1.7]]))[0] == pytest.approx([2, 0, 10]), "east is to the right"
    assert east.to_camera(np.array([[10.0, 0.0, 4.7]]))[0] == pytest.approx([0, -3, 10]), "up is negative"


def test_what_lies_behind_is_cut_off() -> None:
    square = np.array([[-1.0, 0, -2], [1, 0, -2], [1, 0, 4], [-1, 0, 4]])
    kept = clipped(square)
    assert kept[:, 2].min() == pytest.approx(0.3)
    assert len(clipped(square - [0, 0, 10])) == 0


@pytest.mark.parametrize("roof", ["flat", "gabled", "hipped"])
def test_the_faces_of_a_building_close_around_it(roof: str) -> None:
    building = Building(shapely.box(0, 0, 20, 8), "house", 9.0, roof, 1)  # type: ignore[arg-type]
    faces = list(faces_of(building))
    # By Gauss, the areas of a closed surface, as vectors to the outside, add up to nothing; here ground and flat roof
    # are open, and point down and up.
    total = np.zeros(3)
    for face in faces:
        after = np.roll(face.corners, -1, axis=0)
        total += np.cross(face.corners, after).sum(axis=0) / 2
    assert total == pytest.approx([0, 0, 0 if roof == "flat" else 160], abs=1e-9)
    assert max(face.corners[:, 2].max() for face in faces) == pytest.approx(9.0)


def test_a_wall_is_seen_where_it_stands() -> None:
    wall = Building(shapely.box(-3, 20, 3, 30), "industrial", 5.0, "flat", 1)
    scene = Scene((-200, -200, 200, 200), buildings=(wall,))
    conditions = Conditions(seed=1, materials_seed=1)
    ground = Ground.of(scene, (0.0, 0.0), conditions)
    seen = render_street(scene, camera(), conditions, CLEAR, ground).astype(int)
    empty = render_street(replace(scene, buildings=()), camera(), conditions, CLEAR, ground).astype(int)
    different = np.abs(seen - empty).max(axis=2) > 12
    rows, columns = np.nonzero(different)
    # The wall is 6 m wide and 5 m high at 20 m: 60 px wide about the middle, from 33 px above to 17 px below it.
    assert columns.min() == pytest.approx(79.5 - 30, abs=1.5)
    assert columns.max() == pytest.approx(79.5 + 30, abs=1.5)
    assert rows.min() == pytest.approx(59.5 - 33, abs=1.5)
    assert rows.max() == pytest.approx(59.5 + 17, abs=1.5)


def test_the_nearer_wall_hides_the_farther() -> None:
    near = Building(shapely.box(-3, 20, 3, 22), "industrial", 5.0, "flat", 1)
    far = Building(shapely.box(-2, 60, 2, 62), "house", 6.0, "flat", 2)
    conditions = Conditions(seed=1, materials_seed=1)
    alone = Scene((-200, -200, 200, 200), buildings=(near,))
    ground = Ground.of(alone, (0.0, 0.0), conditions)
    both = replace(alone, buildings=(near, far))
    first, second = (render_street(scene, camera(), conditions, CLEAR, ground) for scene in (alone, both))
    assert np.array_equal(first, second), "the far one is lower in the image and lies wholly behind"


def test_landmarks_are_the_same_every_time_and_lie_apart() -> None:
    places = [Country(7).landmark(n) for n in range(24)]
    again = Country(7)
    for n in (23, 3, 11):
        other = again.landmark(n)
        assert (other.name, other.lonlat, other.built) == (places[n].name, places[n].lonlat, places[n].built)
        assert [p.geometry.wkt for p in other.parts] == [p.geometry.wkt for p in places[n].parts]
    for i, one in enumerate(places):
        for two in places[:i]:
            if one.region == two.region:
                assert np.hypot(*np.subtract(one.centre, two.centre)) > SPACING / 2


def test_distractors_lie_far_from_landmarks() -> None:
    country = Country(7)
    landmarks = [country.landmark(n) for n in range(40)]
    for number in range(40):
        _, centre, lonlat, _ = country.distractor(number)
        near = [each for each in landmarks if np.hypot(*np.subtract(each.lonlat, lonlat)) < 1]
        assert all(np.hypot(*np.subtract(each.centre, centre)) > 500 for each in near)


def test_a_photographer_stands_outside_and_the_landmark_is_in_the_picture() -> None:
    country = Country(7)
    landmark = country.landmark(5)
    x, y = landmark.centre
    scene = country.scene(landmark, (x - 300, y - 300, x + 300, y + 300), 2023)
    for number in range(4):
        eye, _ = photograph(country, landmark, scene, number)
        assert not any(b.geometry.contains(shapely.Point(eye.position[:2])) for b in scene.buildings)
        seen = eye.to_camera(np.array([[x, y, 2.0]]))
        assert seen[0, 2] > 0
        assert 0 <= eye.to_pixels(seen)[0, 0] < eye.width


def test_an_article_says_what_stands_there() -> None:
    country = Country(7)
    landmark = country.landmark(5)
    x, y = landmark.centre
    scene = country.scene(landmark, (x - 200, y - 200, x + 200, y + 200), 2023)
    article = describe(country, landmark, scene)
    assert landmark.name in article[""]
    assert landmark.kind.label in article[""]
    assert f"{max(part.height for part in landmark.parts):.0f} m high" in article["Architecture"]


def test_the_newest_part_is_missing_before_its_year() -> None:
    country = Country(7)
    landmark = next(each for each in map(country.landmark, range(60)) if each.built)
    x, y = landmark.centre
    bounds = (x - 200, y - 200, x + 200, y + 200)
    before, after = (
        len(country.scene(landmark, bounds, year).buildings) for year in (landmark.built - 1, landmark.built)
    )
    assert after == before + 1
