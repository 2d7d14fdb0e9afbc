"""The picture of matches: what is drawn where."""

import numpy as np
import pytest

from matcher.plot import GAP, INLIER, OUTLIER, draw_matches
from matcher.types import Matches
from raster.fit import Fit

pytestmark = pytest.mark.unit


def test_matches_and_overlay() -> None:
    image0, image1 = np.full((64, 80, 3), 10, np.uint8), np.full((64, 80, 3), 90, np.uint8)
    points0 = np.array([[20.0, 30.0], [60.0, 10.0]])
    matches = Matches(points0, points0, np.ones(2))
    picture = draw_matches(image0, image1, matches, Fit(np.eye(3), np.array([True, False]), "", 0.0))
    assert picture.shape == (64 + GAP + 64, 80 + GAP + 80, 3)
    assert tuple(picture[30, 20]) == INLIER
    assert tuple(picture[30, 20 + 80 + GAP]) == INLIER
    assert tuple(picture[10, 60]) == OUTLIER
    below = picture[64 + GAP :]
    assert set(np.unique(below[:, :80])) == {10, 90}  # a chequerboard of both
    assert set(np.unique(below[:, 80 + GAP :])) == {50}  # their mean


def test_no_model_draws_the_matches_only() -> None:
    image = np.zeros((50, 2000, 3), np.uint8)
    picture = draw_matches(image, image, Matches.empty(), Fit(None, np.zeros(0, bool), "too few"))
    assert picture.shape == (26, 1024 + GAP + 1024, 3)
