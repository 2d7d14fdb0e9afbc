"""Warp levels: the ground truth follows the warp, no border shows, nothing depends on order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.benchmark.levels import at_level
from matcher.benchmark.pairs import ImagePair
from raster.homography import apply_homography
from raster.levels import LEVELS, CornerPerturbation, HomographyRange, corners_of, seeded

pytestmark = pytest.mark.unit


def gradient_pair(name: str, width: int = 240, height: int = 200, scale: float = 1.0) -> ImagePair:
    """An image whose red and green are its own x and y, so that a warped pixel tells where it came from."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x, y, np.full_like(x, 255)], axis=2).astype(np.uint8)
    return ImagePair(name, image, image, np.diag([scale, scale, 1.0]))


@pytest.mark.parametrize("level", [name for name, warp in LEVELS.items() if warp])
@pytest.mark.parametrize("name", ["a/1", "b/2", "c/3"])
def test_the_truth_follows_the_warp(level: str, name: str) -> None:
    view = at_level(gradient_pair(name), level)
    height, width = view.image1.shape[:2]
    points1 = np.random.default_rng(0).integers(0, [width, height], (200, 2))
    points0 = apply_homography(np.linalg.inv(view.homography), points1)
    inside = (points0 >= 1).all(1) & (points0 <= [237, 197]).all(1)
    seen = view.image1[points1[:, 1], points1[:, 0], :2].astype(float)
    assert inside.sum() > 60
    assert np.abs(seen - points0)[inside].max() < 1.0


def test_the_truth_of_an_unaligned_pair_is_kept() -> None:
    plain, doubled = (at_level(gradient_pair("x", scale=scale), "normal").homography for scale in (1.0, 2.0))
    np.testing.assert_allclose(doubled, plain @ np.diag([2.0, 2.0, 1.0]))


@pytest.mark.parametrize("level", ["easy", "minima"])
@pytest.mark.parametrize("name", [f"pair/{n}" for n in range(10)])
def test_gentle_levels_show_only_image(level: str, name: str) -> None:
    view = at_level(gradient_pair(name), level)
    height, width = view.image1.shape[:2]
    corners0 = apply_homography(np.linalg.inv(view.homography), corners_of(width, height))
    if level == "easy":
        assert corners0.min() >= -1e-6
        assert (corners0 <= [239 + 1e-6, 199 + 1e-6]).all()
    assert min(width / 240, height / 200) >= 0.5 - 0.01


def test_no_level_adds_a_flat_border() -> None:
    """Blue is 255 all over the image: any filling but the image itself would show."""
    for name in map(str, range(12)):
        assert (at_level(gradient_pair(name), "hard").image1[..., 2] == 255).all()


def test_aligned_changes_nothing() -> None:
    pair = gradient_pair("a")
    assert at_level(pair, "aligned") is pair


def test_names_alone_decide() -> None:
    first, again, other = (at_level(gradient_pair(name), "hard") for name in ("a", "a", "b"))
    assert np.array_equal(first.homography, again.homography)
    assert np.array_equal(first.image1, again.image1)
    assert not np.array_equal(first.homography, other.homography)
    assert seeded("hard", "a").random() != seeded("harda").random()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["easy", "normal", "hard"]))
def test_homographies_stay_within_their_limits(seed: int, level: str) -> None:
    limits = LEVELS[level]
    assert isinstance(limits, HomographyRange)
    matrix = limits.sample(np.random.default_rng(seed), 401, 301)
    centre = np.array([[200.0, 150.0]])
    assert (np.abs(apply_homography(matrix, centre) - centre) <= np.array([401, 301]) * limits.shift + 1e-9).all()
    local = (apply_homography(matrix, centre + np.array([1e-4, 0])) - apply_homography(matrix, centre))[0] / 1e-4
    slack = 1 + 401 * limits.perspective
    assert 1 / limits.scale / slack <= np.hypot(*local) <= limits.scale * slack
    if limits.rotation_deg < 180:
        assert abs(np.rad2deg(np.arctan2(local[1], local[0]))) <= limits.rotation_deg + 5


def test_corner_noise_without_noise_enlarges_the_patch() -> None:
    matrix = CornerPerturbation(patch=0.5, amplitude=0, angle_deg=0).sample(np.random.default_rng(0), 101, 101)
    np.testing.assert_allclose(
        apply_homography(matrix, np.array([[25.0, 25], [50, 50], [75, 25]])), [[0, 0], [50, 50], [100, 0]], atol=1e-3
    )


def test_published_limits() -> None:
    assert LEVELS["easy"] == HomographyRange(rotation_deg=10, scale=1.1, shift=0.05, perspective=5e-5)
    assert LEVELS["normal"] == HomographyRange(rotation_deg=45, scale=1.33, shift=0.10, perspective=1.5e-4)
    assert LEVELS["hard"] == HomographyRange(rotation_deg=180, scale=2.0, shift=0.15, perspective=3e-4)
    assert LEVELS["minima"] == CornerPerturbation(patch=0.8, amplitude=0.05, angle_deg=10)
