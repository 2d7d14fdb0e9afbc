"""The simulated image: shadows, relief displacement, textures, determinism."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions, random_conditions
from cartography.procedural import SyntheticScene
from cartography.scene import Building, Scene, Tree

pytestmark = pytest.mark.unit

FRAME = Frame(0.0, 160.0, 1.0, 160, 160)
MIDDLE = 79.5
BARE = Textures(1.0, *(np.zeros(shape, np.float32) for shape in [(512, 512, 3)] * 2 + [(375, 375), (512, 512, 2)]))
"""No texture: what is seen is geometry and light alone."""
NOISE = Textures.procedural(1.0)
TOWN = SyntheticScene(9, "town")
CLEAR = Conditions(sun_elevation=89.9, haze=0, blur_px=0, noise=0, absent=0, traffic=0, clutter=0)


def _tower(height: float) -> Scene:
    tower = Building(shapely.box(70, 70, 90, 90), "industrial", height, "flat", 7)
    return Scene(FRAME.bounds, buildings=(tower,))


def _image(scene: Scene, conditions: Conditions, textures: Textures = BARE) -> np.ndarray:
    return render_image(scene, FRAME, conditions, textures)


def _shadow(height: float, azimuth: float, elevation: float) -> np.ndarray:
    """Vector (east, north) in metres from the tower's middle to that of its shadow on the ground."""
    lit = _image(_tower(height), CLEAR).astype(int)
    dark = lit - _image(_tower(height), replace(CLEAR, sun_azimuth=azimuth, sun_elevation=elevation))
    rows, columns = np.nonzero(dark.sum(axis=2) > 40)
    ground = (columns < 69) | (columns > 90) | (rows < 69) | (rows > 90)
    return np.array([columns[ground].mean() - MIDDLE, MIDDLE - rows[ground].mean()])


@settings(max_examples=8, deadline=None)
@given(azimuth=st.integers(0, 359), elevation=st.integers(35, 60))
def test_a_shadow_lies_opposite_the_sun(azimuth: int, elevation: int) -> None:
    towards_sun = np.array([np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))])
    shadow = _shadow(25.0, azimuth, elevation)
    assert shadow @ towards_sun / np.hypot(*shadow) < -0.97


def test_a_shadow_is_as_long_as_height_and_sun_say() -> None:
    for height, elevation in [(10.0, 45.0), (30.0, 45.0), (30.0, 60.0)]:
        conditions = replace(CLEAR, sun_azimuth=180.0, sun_elevation=elevation)
        lit, seen = (_image(_tower(height), c)[:, 80].astype(int).sum(axis=1) for c in (CLEAR, conditions))
        north = np.flatnonzero(lit[:69] - seen[:69] > 40)
        assert abs(len(north) - height / np.tan(np.radians(elevation))) <= 1.5


@pytest.mark.parametrize("clockwise", [False, True])
@pytest.mark.parametrize("displacement", [(0.5, 0.0), (0.0, 0.5), (-0.4, -0.3)])
def test_a_roof_is_displaced_by_its_height_and_shows_the_walls_behind_it(
    displacement: tuple[float, float], clockwise: bool
) -> None:
    outline = shapely.orient_polygons(shapely.box(70, 70, 90, 90), exterior_cw=clockwise)
    scene = Scene(FRAME.bounds, buildings=(Building(outline, "industrial", 20.0, "flat", 7),))
    upright, displaced = (
        _image(scene, c).astype(int) for c in (CLEAR, replace(CLEAR, relief_displacement=displacement))
    )
    roof, ground = upright[80, 80], upright[0, 0]
    places = []
    for image in (upright, displaced):
        rows, columns = np.nonzero(np.abs(image - roof).sum(axis=2) < 12)
        places.append([(columns.min() + columns.max()) / 2, -(rows.min() + rows.max()) / 2])
    assert np.allclose(np.subtract(*places[::-1]), np.array(displacement) * 20.0, atol=0.51)
    column, row = np.rint(MIDDLE - 9 * np.sign(displacement) * (1, -1)).astype(int)
    wall = displaced[row, column]
    assert min(np.abs(wall - roof).sum(), np.abs(wall - ground).sum()) > 30


def test_the_same_conditions_give_the_same_image_and_others_another() -> None:
    conditions = random_conditions(12)
    one, other = (render_image(world, FRAME, conditions, NOISE) for world in (TOWN, SyntheticScene(9, "town")))
    assert np.array_equal(one, other)
    assert one.shape == (160, 160, 3)
    assert one.dtype == np.uint8
    assert not np.array_equal(one, render_image(TOWN, FRAME, replace(conditions, seed=13), NOISE))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_every_draw_of_conditions_makes_an_image_with_contrast(seed: int) -> None:
    conditions = random_conditions(seed)
    assert random_conditions(seed) == conditions
    image = render_image(TOWN, Frame(300, 300, 1.0, 128, 128), conditions, NOISE)
    assert image.std() > 4


def test_things_on_the_map_may_be_absent_by_the_stated_share() -> None:
    grid = [(x, y) for x in range(4, 156, 12) for y in range(4, 156, 12)]
    houses = tuple(
        Building(shapely.box(x, y, x + 6, y + 6), "industrial", 0.1, "flat", n * 7919) for n, (x, y) in enumerate(grid)
    )
    scene = Scene(FRAME.bounds, buildings=houses)
    there = _image(scene, CLEAR).astype(int)
    missing = _image(scene, replace(CLEAR, absent=0.5)).astype(int)
    centres = [(round(159.5 - y - 3), round(x + 2.5)) for x, y in grid]
    gone = np.mean([np.abs(there[c] - missing[c]).sum() > 10 for c in centres])
    assert 0.35 < gone < 0.65


def test_trees_hide_what_is_under_them_and_lose_leaves_in_winter() -> None:
    scene = Scene(FRAME.bounds, trees=(Tree(shapely.Point(80, 80), 10.0, 3),))
    plain = _image(Scene(FRAME.bounds), CLEAR).astype(int)
    summer = np.abs(_image(scene, CLEAR).astype(int) - plain).sum(axis=2) > 10
    bare = replace(CLEAR, season="winter")
    winter_plain = _image(Scene(FRAME.bounds), bare).astype(int)
    winter = np.abs(_image(scene, bare).astype(int) - winter_plain).sum(axis=2) > 10
    assert abs(summer.sum() - np.pi * 100) < 0.15 * np.pi * 100
    assert 0 < winter.sum() < 0.6 * summer.sum()


def test_blur_noise_haze_and_compression_do_what_they_are_called() -> None:
    sharp = _image(_tower(0.1), CLEAR).astype(float)
    noisy = _image(_tower(0.1), replace(CLEAR, noise=6.0)).astype(float)
    assert 4 < (noisy - sharp)[:50].std() < 7
    blurred = _image(_tower(0.1), replace(CLEAR, blur_px=2.0)).astype(float)
    assert np.abs(np.diff(blurred[80, :, 0])).max() < np.abs(np.diff(sharp[80, :, 0])).max() / 2
    hazy = _image(_tower(0.1), replace(CLEAR, haze=0.6)).astype(float)
    assert hazy.std() < 0.55 * sharp.std()
    squeezed = _image(_tower(0.1), replace(CLEAR, noise=6.0, jpeg_quality=20)).astype(float)
    assert 0 < np.abs(squeezed - noisy).mean() < 12


def _photographs(folder: Path, stripes: int) -> Path:
    folder.mkdir()
    for n in range(4):
        crop = np.full((300, 300, 3), 120, np.uint8)
        crop[::stripes] = 180
        crop[..., 1] += 20 * (n % 2)
        cv2.imwrite(str(folder / f"{n}.png"), crop)
    return folder


def test_a_folder_of_photographs_gives_the_texture(tmp_path: Path) -> None:
    folder = _photographs(tmp_path / "crops", 8)
    real, synthetic = Textures.from_photographs(folder, 1.0), NOISE
    profile = np.abs(np.fft.rfft(real.green[:256].mean(axis=(1, 2)) - real.green[:256].mean()))
    assert profile.argmax() % 32 == 0  # lines every 8 pixels of 256, and their harmonics
    assert real.green.std() == pytest.approx(1.0, abs=0.35)
    one, other = (render_image(TOWN, FRAME, CLEAR, textures) for textures in (real, synthetic))
    assert not np.array_equal(one, other)
    assert np.array_equal(one, render_image(TOWN, FRAME, CLEAR, Textures.from_photographs(folder, 1.0)))


def test_a_folder_without_photographs_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(ValueError, match="64x64"):
        Textures.from_photographs(tmp_path, 1.0)
