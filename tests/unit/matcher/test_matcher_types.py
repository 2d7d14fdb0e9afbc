"""The base of every matcher: checks, sizes, batches, scaling back."""

import numpy as np
import pytest

from matcher.errors import InputError, MatcherError
from matcher.images import RGBImage
from matcher.types import Matcher, Matches

pytestmark = pytest.mark.unit


class Corners(Matcher):
    """Matches the four corner pixels, and remembers what it saw."""

    name = "corners"
    maximum_side = 100

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        self.seen += [image0.shape, image1.shape]
        sides = [np.array([[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]]) for h, w, _ in (image0.shape, image1.shape)]
        return Matches(sides[0], sides[1], np.ones(4))


def test_large_images_are_shrunk_and_points_scaled_back() -> None:
    matcher = Corners()
    found = matcher.match(np.zeros((400, 300), np.uint8), np.zeros((50, 80, 4), np.uint8))
    assert matcher.seen == [(100, 75, 3), (50, 80, 3)]
    # The centre of a pixel that covers 4 x 4 lies 1.5 pixels inside.
    np.testing.assert_allclose(found.points0, [[1.5, 1.5], [297.5, 1.5], [297.5, 397.5], [1.5, 397.5]])
    np.testing.assert_allclose(found.points1, [[0, 0], [79, 0], [79, 49], [0, 49]])


def test_tiny_images_have_no_match() -> None:
    matcher = Corners()
    assert len(matcher.match(np.zeros((1, 1), np.uint8), np.zeros((64, 64), np.uint8))) == 0
    assert matcher.seen == []


def test_a_batch_keeps_its_order() -> None:
    images = [np.zeros((size, size, 3), np.uint8) for size in (40, 1, 60)]
    found = Corners().match_batch(images, images)
    assert [len(pair) for pair in found] == [4, 0, 4]
    assert found[2].points0.max() == 59
    assert Corners().match_batch([], []) == []


def test_a_bad_image_of_a_batch_is_named() -> None:
    good = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(InputError, match=r"images1\[1\]"):
        Corners().match_batch([good, good], [good, good.astype(np.int64)])
    with pytest.raises(InputError, match="2 first images but 1 second"):
        Corners().match_batch([good, good], [good])


@pytest.mark.parametrize(
    ("points0", "points1", "scores", "message"),
    [
        (np.zeros((3, 2)), np.zeros((2, 2)), np.zeros(3), "points1 has shape"),
        (np.zeros((3, 3)), np.zeros((3, 2)), np.zeros(3), "points0 has shape"),
        (np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 1)), "scores has shape"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), np.zeros(3), "points0 holds values"),
        (np.zeros((3, 2)), np.zeros((3, 2)), np.full(3, np.inf), "scores holds values"),
    ],
)
def test_malformed_matches_are_refused(
    points0: np.ndarray, points1: np.ndarray, scores: np.ndarray, message: str
) -> None:
    with pytest.raises(MatcherError, match=message):
        Matches(points0, points1, scores)


def test_matches_are_float32_and_can_be_chosen_from() -> None:
    matches = Matches(np.arange(6).reshape(3, 2), np.arange(6).reshape(3, 2) + 1, np.arange(3))
    assert {getattr(matches, name).dtype for name in ("points0", "points1", "scores")} == {np.dtype(np.float32)}
    chosen = matches[np.array([False, True, True])]
    assert chosen.points0.tolist() == [[2, 3], [4, 5]]
    assert chosen.scores.tolist() == [1, 2]
    assert len(Matches.empty()) == 0
