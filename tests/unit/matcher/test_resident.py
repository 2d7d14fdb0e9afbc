"""What stays on a device: warps by homographies that the host does not know, and results fetched together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from drawings import drawing

from matcher.dense import resident
from matcher.dense.masked_image import MaskedImage
from matcher.dense.matcher import FOLLOWING_STEPS, DenseMatcher
from matcher.dense.resident import Deferred, Homography, fetched, sampled
from raster.homography import inverse

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
MATRIX = np.array([[0.9, -0.2, 40.0], [0.25, 0.95, -20.0], [2e-4, -1e-4, 1.0]])


def test_results_of_several_kinds_come_by_one_copy() -> None:
    first = Deferred(torch.tensor([1.0, 2.0], dtype=torch.float64), lambda values: values.tolist())
    second = Deferred(torch.tensor([3.0], dtype=torch.float64), lambda values: float(values[0]))
    assert fetched(first, Deferred.of("known"), second) == ([1.0, 2.0], "known", 3.0)
    assert fetched() == ()


def test_a_change_is_the_same_on_the_host_and_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    change = torch.tensor([[1.01, 0.02, 3.0], [-0.02, 0.99, -2.0], [1e-4, 0, 1]], dtype=torch.float64)
    frame = np.diag([0.5, 0.5, 1.0])
    here = Homography.at(MATRIX, CPU).after(change, frame)
    np.testing.assert_array_equal(here.known, here.values.numpy())
    monkeypatch.setattr(resident, "HOST", "none")
    there = Homography.at(MATRIX, CPU).after(change, frame)
    np.testing.assert_allclose(there.values.numpy(), here.known, atol=1e-12)
    np.testing.assert_array_equal(there.known, MATRIX)


@pytest.mark.parametrize("matrix", [MATRIX, MATRIX @ np.diag([0.4, 0.4, 1.0])])  # the second shrinks
def test_an_image_is_warped_alike_on_the_host_and_on_a_device(
    matrix: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = cv2.GaussianBlur(drawing(8), (0, 0), 2)
    mask = np.ones(image.shape[:2], bool)
    mask[:40] = False
    view, at = MaskedImage(image, mask, CPU), Homography.at(matrix, CPU)
    here, mask_here = view.warped(at, np.eye(3), (200, 180))
    monkeypatch.setattr(resident, "HOST", "none")
    there, mask_there = view.warped(at, np.eye(3), (200, 180))
    inside = mask_here & mask_there
    assert 0.1 < float(inside.float().mean()) < 0.99
    assert float((mask_here ^ mask_there).float().mean()) < 0.01
    assert float(((here - there).abs() * inside).max()) < 5 / 255  # OpenCV rounds places to 1/32 px


def test_what_lies_behind_the_horizon_is_not_of_the_image() -> None:
    to_source = torch.from_numpy(inverse(np.array([[1.0, 0, 0], [0, 1, 0], [0.02, 0, 1]])))
    _, inside = sampled(torch.ones(1, 1, 100, 100), to_source, (100, 100))
    columns = torch.arange(100) < 50  # The horizon of the image is column 50 of the result.
    assert not inside[0, 0, :, ~columns].any()
    assert inside[0, 0, :30, :20].all()


def test_without_overlap_a_device_tells_the_same_as_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    view = MaskedImage(drawing(8), np.ones(drawing(8).shape[:2], bool), CPU)
    away = np.array([[1.0, 0, 5000], [0, 1, 0], [0, 0, 1]])
    matcher = DenseMatcher("cpu")
    here = matcher.follow(view, matcher.reference(view), away, FOLLOWING_STEPS)
    monkeypatch.setattr(resident, "HOST", "none")
    there = matcher.follow(view, matcher.reference(view), away, FOLLOWING_STEPS)
    for found in (here, there):
        np.testing.assert_array_equal(found.matrix, away)
        assert (found.windows, len(found.matches), found.score) == (0, 0, -np.inf)
