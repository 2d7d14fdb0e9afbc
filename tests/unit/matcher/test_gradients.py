"""Oriented gradients against a slow implementation, pixel by pixel."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.gradients import FLOOR, eroded, oriented_gradients

pytestmark = pytest.mark.unit

SCHARR_X = np.array([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]) / 32


def slow_gradients(image: np.ndarray, orientations: int, window: int, mask: np.ndarray) -> np.ndarray:
    """C x H x W -> O x H x W by loops over pixels, straight from the definition."""
    _, height, width = image.shape
    magnitude, angle, valid = np.zeros((3, height, width))
    for y in range(height):
        for x in range(width):
            rows = np.clip(np.arange(y - 1, y + 2), 0, height - 1)
            columns = np.clip(np.arange(x - 1, x + 2), 0, width - 1)
            patches = image[:, rows][:, :, columns]
            gradients = [(float((patch * SCHARR_X).sum()), float((patch * SCHARR_X.T).sum())) for patch in patches]
            gx, gy = max(gradients, key=lambda g: g[0] ** 2 + g[1] ** 2)
            valid[y, x] = mask[rows][:, columns].all()
            magnitude[y, x] = math.hypot(gx, gy) * valid[y, x]
            angle[y, x] = math.atan2(gy, gx) % math.pi
    bins = np.zeros((orientations, height, width))
    reach = window // 2
    for y in range(height):
        for x in range(width):
            around = np.s_[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
            ratio = magnitude[y, x] / (magnitude[around].sum() / max(valid[around].sum(), 1) + FLOOR)
            position = angle[y, x] * orientations / math.pi
            share = position - math.floor(position)
            strength = ratio / (1 + ratio)
            bins[math.floor(position) % orientations, y, x] += strength * (1 - share)
            bins[(math.floor(position) + 1) % orientations, y, x] += strength * share
    return bins


@pytest.mark.parametrize(("channels", "orientations", "window"), [(3, 8, 33), (1, 6, 5), (3, 9, 7)])
def test_equals_the_definition(channels: int, orientations: int, window: int) -> None:
    generator = np.random.default_rng(orientations)
    image = generator.random((channels, 21, 26))
    mask = generator.random((21, 26)) > 0.02
    fast = oriented_gradients(torch.tensor(image)[None], orientations, window, torch.tensor(mask)[None, None])
    np.testing.assert_allclose(fast[0].numpy(), slow_gradients(image, orientations, window, mask), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_unsigned_and_bounded(seed: int) -> None:
    """A negative has the same gradients; values lie in [0, 1); a batch equals its images one by one."""
    images = torch.rand(2, 3, 17, 19, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    gradients = oriented_gradients(images)
    assert gradients.min() >= 0
    assert gradients.max() < 1
    torch.testing.assert_close(oriented_gradients(1 - images), gradients)
    torch.testing.assert_close(oriented_gradients(images[1:]), gradients[1:])


def test_a_quarter_turn_turns_the_bins() -> None:
    image = torch.rand(1, 3, 24, 24, dtype=torch.float64)
    turned = oriented_gradients(image.rot90(1, (2, 3)), orientations=8)
    torch.testing.assert_close(turned, oriented_gradients(image, orientations=8).roll(4, 1).rot90(1, (2, 3)))


def test_a_faint_block_counts_like_a_strong_one_far_from_it() -> None:
    """Local normalisation: a faint edge is nearly as strong as a saturated one that is out of the window's reach."""
    image = torch.zeros(1, 3, 40, 160)
    image[..., 20:] += 0.1
    image[..., 120:] += 0.9
    strength = oriented_gradients(image)[0].sum(0)
    faint, strong = strength[20, 19], strength[20, 119]
    assert faint > 0.8 * strong


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_flat_image_has_no_gradient(level: float) -> None:
    assert (oriented_gradients(torch.full((1, 3, 20, 20), level)) == 0).all()


def test_one_pixel() -> None:
    assert oriented_gradients(torch.rand(1, 3, 1, 1)).max() < 1e-4


def test_the_edge_of_the_data_is_no_structure() -> None:
    image = torch.full((1, 3, 30, 30), 0.7)
    image[..., :10] = 0
    mask = torch.ones(1, 1, 30, 30, dtype=torch.bool)
    mask[..., :10] = False
    assert oriented_gradients(image)[..., 9:11].amax() > 0.5
    assert oriented_gradients(image, mask=mask).amax() < 1e-4


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_erosion_is_a_minimum_over_windows(seed: int, height: int, width: int, radius: int) -> None:
    mask = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(seed)) > 0.05
    expected = F.max_pool2d((~mask).float(), 2 * radius + 1, 1, radius) == 0
    assert torch.equal(eroded(mask, radius), expected)
