"""Every matcher on every kind of image: no crash, no NaN, points inside the image, the same in a batch."""

from functools import cache

import numpy as np
import pytest
import torch

from matcher.errors import InputError, MatcherUnavailable
from matcher.registry import load_matcher, matcher_names
from matcher.types import Matcher, Matches
from raster.fit import fit

pytestmark = pytest.mark.integration

KEYPOINTS = 512

SLOW = ("cfog", "fast-mapglue", "mapglue")
"""Seconds for a pair that does not match: these see one image of each sort; forms and batches are the base's affair."""


@cache
def loaded(name: str) -> Matcher:
    return load_matcher(name, "cpu", num_keypoints=KEYPOINTS)


@pytest.fixture(params=matcher_names())
def matcher(request: pytest.FixtureRequest) -> Matcher:
    try:
        return loaded(request.param)
    except MatcherUnavailable as reason:
        pytest.skip(str(reason))


def skip_if_slow(matcher: Matcher, spare: bool) -> None:
    if spare and matcher.name in SLOW:
        pytest.skip(f"{matcher.name} takes seconds a pair and has seen images of this sort")


def scene(height: int = 112, width: int = 128, seed: int = 0) -> np.ndarray:
    """Overlapping rectangles of random colours: corners and edges for everybody."""
    generator = np.random.default_rng(seed)
    image = np.full((height, width, 3), 200, np.uint8)
    for _ in range(height * width // 400):
        y, x = generator.integers(0, [height, width])
        image[y : y + generator.integers(4, 30), x : x + generator.integers(4, 30)] = generator.integers(0, 255, 3)
    return image


def assert_valid(found: Matches, image0: np.ndarray, image1: np.ndarray) -> None:
    assert found.points0.shape == found.points1.shape == (len(found), 2)
    assert found.scores.shape == (len(found),)
    for points, image in ((found.points0, image0), (found.points1, image1)):
        assert np.isfinite(points).all()
        height, width = image.shape[:2]
        assert (points >= -0.51).all()
        assert (points <= [width - 0.49, height - 0.49]).all()


IMAGES = {
    "grey": scene()[..., 0],
    "rgba": np.dstack([scene(), np.full(scene().shape[:2], 128, np.uint8)]),
    "16 bit": scene().astype(np.uint16) * 37 + 100,
    "1 x 1": np.zeros((1, 1, 3), np.uint8),
    "1 x 500": np.zeros((1, 500, 3), np.uint8),
    "33 x 47": scene(33, 47),
    "black": np.zeros((128, 128, 3), np.uint8),
    "white": np.full((128, 128, 3), 255, np.uint8),
    "noise": np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8),
    "one dot": np.pad(np.full((1, 1, 3), 255, np.uint8), ((40, 60), (40, 60), (0, 0))),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_any_image(matcher: Matcher, kind: str) -> None:
    skip_if_slow(matcher, kind not in ("16 bit", "1 x 500"))
    image = IMAGES[kind]
    assert_valid(matcher.match(image, scene()), image, scene())
    assert_valid(matcher.match(image, image), image, image)


@pytest.mark.parametrize("kind", ["1 x 1", "black", "one dot"])
def test_nothing_to_see_gives_no_homography(matcher: Matcher, kind: str) -> None:
    skip_if_slow(matcher, kind != "black")
    matches = matcher.match(IMAGES[kind], scene())
    assert fit(matches.points0, matches.points1).matrix is None


def test_identical_images_lie_on_each_other(matcher: Matcher) -> None:
    image = scene(224, 224, seed=3)
    found = matcher.match(image, image)
    assert len(found) >= 20
    assert np.median(np.linalg.norm(found.points0 - found.points1, axis=1)) < 1.0


def test_4000_by_3000(matcher: Matcher) -> None:
    large = np.kron(scene(100, 133, seed=1), np.ones((30, 30, 1), np.uint8))[:3000, :3990]
    assert_valid(matcher.match(large, scene()), large, scene())


def test_a_batch_of_mixed_sizes_equals_single_pairs(matcher: Matcher) -> None:
    skip_if_slow(matcher, True)
    images0 = [scene(96, 128, 1), scene(128, 128, 2), np.zeros((1, 1), np.uint8)]
    images1 = [scene(96, 128, 1), scene(96, 160, 2), scene()]
    together = matcher.match_batch(images0, images1)
    for found, image0, image1 in zip(together, images0, images1, strict=True):
        alone = matcher.match(image0, image1)
        assert len(alone) == len(found)
        np.testing.assert_allclose(found.points0, alone.points0, atol=1e-3)
        np.testing.assert_allclose(found.points1, alone.points1, atol=1e-3)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)


def test_twice_the_same(matcher: Matcher) -> None:
    first, second = (matcher.match(scene(seed=4), scene(seed=5)) for _ in range(2))
    for name in ("points0", "points1", "scores"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_what_is_no_image_is_refused(matcher: Matcher) -> None:
    for wrong in (np.zeros((8, 8), np.int64), np.zeros((3, 64, 64), np.uint8), np.full((40, 40), np.nan)):
        with pytest.raises(InputError, match="image1"):
            matcher.match(scene(), wrong)


def test_the_callers_random_state_is_left_alone(matcher: Matcher) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    matcher.match(scene(), scene())
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # type: ignore[arg-type]
