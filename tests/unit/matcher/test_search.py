"""The search of similarities on pairs of known rotation, scale and shift, and that it stays on its device."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from drawings import drawing, tensor

from matcher.dense.pooling import pool_surfaces
from matcher.dense.search import _turned, search, search_harmonics
from raster.homography import apply_homography

pytestmark = pytest.mark.unit


def similarity(degrees: float, scale: float, centre: tuple[float, float], shift: tuple[float, float]) -> np.ndarray:
    turn = cv2.getRotationMatrix2D(centre, -degrees, scale)  # OpenCV turns from x towards -y
    turn[:, 2] += shift
    return np.vstack([turn, [0, 0, 1.0]])


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1], dtype=torch.bool)


@pytest.mark.parametrize(
    ("degrees", "scale", "size"),
    [
        (0, 1.0, (320, 256)),
        (40, 0.7, (320, 256)),
        (-115, 1.3, (320, 256)),
        (180, 1.7, (300, 410)),
        (90, 0.55, (200, 180)),
    ],
)
def test_any_rotation_and_scale_is_found(degrees: float, scale: float, size: tuple[int, int]) -> None:
    image = drawing(5)
    truth = similarity(degrees, scale, (159.5, 127.5), (size[0] / 2 - 159.5 + 9, size[1] / 2 - 127.5 - 6))
    moved = cv2.warpPerspective(image, truth, size, borderMode=cv2.BORDER_REFLECT_101)
    image0, image1 = tensor(image), tensor(moved)
    found = search(image0, everywhere(image0), image1, everywhere(image1), 3)
    corners = np.array([[60.0, 60], [250, 60], [250, 190], [60, 190]])
    error = apply_homography(found.matrices[0].numpy(), corners) - apply_homography(truth, corners)
    assert np.linalg.norm(error, axis=1).max() < 0.1 * 320 * scale
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_quarter_turns_by_signs_equal_the_harmonics_of_a_turned_image() -> None:
    image = tensor(np.ascontiguousarray(drawing(3, 128, 128)))
    turned = image.rot90(-1, (2, 3))
    fields = [_turned(search_harmonics(side, everywhere(side)), 8) for side in (image, turned)]
    torch.testing.assert_close(fields[0][2:], fields[1][:-2], atol=2e-3, rtol=1e-3)


def test_what_is_masked_is_not_searched() -> None:
    image = tensor(drawing(5))
    mask = everywhere(image)
    mask[..., 200:] = False
    spoilt = image.clone()
    spoilt[..., 210:] = torch.rand(spoilt[..., 210:].shape, generator=torch.Generator().manual_seed(0))
    first, second = (search(side, mask, image, everywhere(image), 1) for side in (image, spoilt))
    torch.testing.assert_close(first.matrices, second.matrices)
    torch.testing.assert_close(first.scores, second.scores)


def test_neither_the_search_nor_the_pooling_waits_for_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    image = tensor(drawing(5))
    harmonics = search_harmonics(image, everywhere(image))  # blurred by OpenCV on a CPU, by convolutions elsewhere
    monkeypatch.setattr("matcher.dense.search.search_harmonics", lambda image, mask: harmonics)
    surfaces = torch.rand(2, 9, 21, 21, generator=torch.Generator().manual_seed(0))
    centres = torch.rand(9, 2, generator=torch.Generator().manual_seed(1)) * 100

    def waits(*_: object, **__: object) -> None:
        raise AssertionError("this copies to the host")

    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__", "__array__"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    found = search(image, everywhere(image), image, everywhere(image), 3)
    pooled, _ = pool_surfaces(surfaces, centres, ("similarity", "homography"))
    monkeypatch.undo()
    assert found.matrices.shape == (3, 3, 3)
    assert pooled.shape == (2, 3, 3)


def test_surfaces_pooled_together_give_what_they_give_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    surfaces = torch.rand(3, 16, 25, 25, generator=generator)
    y, x = torch.meshgrid(torch.arange(25.0), torch.arange(25.0), indexing="ij")
    for number, (dx, dy) in enumerate(((10, 14), (15, 11), (12, 12))):
        surfaces[number] += 3 * torch.exp(-((x - dx) ** 2 + (y - dy) ** 2) / 8)
    centres = torch.rand(16, 2, generator=generator) * 100
    together, scores = pool_surfaces(surfaces, centres)
    for number in range(3):
        alone, score = pool_surfaces(surfaces[number : number + 1], centres)
        torch.testing.assert_close(together[number], alone[0], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(scores[number], score[0])
