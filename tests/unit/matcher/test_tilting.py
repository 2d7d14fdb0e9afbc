"""Tilt and shear of whole images: what is found around a similarity, and that nothing is changed without need."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from drawings import drawing

from matcher.dense import resident, tilting
from matcher.dense.masked_image import MaskedImage
from matcher.dense.matcher import FOLLOWING_STEPS, DenseMatcher
from matcher.dense.resident import Homography
from raster.homography import apply_homography
from raster.levels import corners_of

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
SIZE = 400, 320
MOVED = np.array([(14, 10), (-16, 12), (-10, -14), (16, -6)])
"""How far the corners of the image are moved: more by shear and perspective than by a similarity."""


def view(image: np.ndarray) -> MaskedImage:
    return MaskedImage(image, np.ones(image.shape[:2], bool), CPU)


def tilted_pair(moved: np.ndarray) -> tuple[MaskedImage, MaskedImage, np.ndarray]:
    """Return an image, the same with its corners moved, and the homography between them."""
    image = drawing(5, SIZE[1], SIZE[0])
    corners = corners_of(*SIZE)
    truth = cv2.getPerspectiveTransform(corners.astype(np.float32), (corners + moved).astype(np.float32))
    seen = cv2.warpPerspective(image, truth, SIZE, borderMode=cv2.BORDER_REFLECT_101)
    return view(image), view(np.asarray(seen, np.uint8)), truth


def error(found: Homography, truth: np.ndarray) -> float:
    corners = corners_of(*SIZE)
    difference = apply_homography(found.values.numpy(), corners) - apply_homography(truth, corners)
    return float(np.linalg.norm(difference, axis=1).mean())


def test_tilt_and_shear_are_found_and_always_the_same() -> None:
    view0, view1, truth = tilted_pair(MOVED)
    start = Homography.at(np.eye(3), CPU)
    first, second = (tilting.tilted(view0, view1, start) for _ in range(2))
    assert error(start, truth) > 15
    assert error(first, truth) < 5
    np.testing.assert_array_equal(first.known, second.known)


def test_a_device_finds_what_the_host_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    view0, view1, _ = tilted_pair(MOVED)
    host = tilting.tilted(view0, view1, Homography.at(np.eye(3), CPU))
    monkeypatch.setattr(resident, "HOST", "none")
    found = tilting.tilted(view0, view1, Homography.at(np.eye(3), CPU))
    np.testing.assert_allclose(found.values.numpy(), host.values.numpy(), atol=1e-3)


def test_tilt_is_followed_where_the_windows_agree_with_it_clearly_better() -> None:
    view0, view1, truth = tilted_pair(2 * MOVED)
    matcher, start = DenseMatcher("cpu"), Homography.at(np.eye(3), CPU)
    reference = matcher.reference(view1)
    plain = matcher.deferred(view0, reference, start, FOLLOWING_STEPS[:1]).at
    found = matcher.tilted(view0, reference, start, FOLLOWING_STEPS[:1])
    assert error(found, truth) < 3 < error(plain, truth)


def test_without_tilt_nothing_changes() -> None:
    view0, view1, _ = tilted_pair(np.zeros((4, 2)))
    matcher, start = DenseMatcher("cpu"), Homography.at(np.eye(3), CPU)
    reference = matcher.reference(view1)
    plain = matcher.deferred(view0, reference, start, FOLLOWING_STEPS[:1]).at
    found = matcher.tilted(view0, reference, start, FOLLOWING_STEPS[:1])
    np.testing.assert_array_equal(found.known, plain.known)


def test_where_nothing_overlaps_nothing_changes() -> None:
    view0, view1, _ = tilted_pair(MOVED)
    away = np.array([[1.0, 0, 5000], [0, 1, 0], [0, 0, 1]])
    matcher = DenseMatcher("cpu")
    found = matcher.tilted(view0, matcher.reference(view1), Homography.at(away, CPU), FOLLOWING_STEPS[:1])
    np.testing.assert_array_equal(found.known, away)


@pytest.mark.parametrize("host", ["cpu", "none"])
def test_another_homography_is_taken_by_a_flag(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "HOST", host)
    first, second = Homography.at(np.eye(3), CPU), Homography.at(np.diag([2.0, 2.0, 1.0]), CPU)
    for flag, expected in ((False, first), (True, second)):
        np.testing.assert_array_equal(first.unless(torch.tensor(flag), second).values, expected.values)
