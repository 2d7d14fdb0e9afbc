"""Every form in which users have images, and the errors for the others."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import InputError
from matcher.images import as_rgb, shrink, to_tensor

pytestmark = pytest.mark.unit


def random_image(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape).astype(dtype)


def test_rgb_stays_as_it_is() -> None:
    image = random_image(5, 7, 3)
    assert as_rgb(image) is image


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1)])
def test_grey_is_repeated(shape: tuple[int, ...]) -> None:
    image = random_image(*shape)
    rgb = as_rgb(image)
    assert rgb.shape == (5, 7, 3)
    for channel in range(3):
        np.testing.assert_array_equal(rgb[..., channel], image.reshape(5, 7))


def test_alpha_lies_on_white() -> None:
    image = np.array([[[100, 50, 0, 255], [100, 50, 0, 0], [100, 50, 0, 51]]], np.uint8)
    np.testing.assert_array_equal(as_rgb(image)[0], [[100, 50, 0], [255, 255, 255], [224, 214, 204]])


def test_16_bit_is_stretched_alike_in_all_channels() -> None:
    values = np.linspace(200, 1200, 1000).astype(np.uint16)
    image = np.stack([values, values, values // 2], axis=-1)[None]
    rgb = as_rgb(image)
    low, high = np.percentile(image, (0.5, 99.5))
    expected = np.clip((image.astype(float) - low) / (high - low) * 255, 0, 255)
    assert np.abs(rgb - expected).max() <= 0.51
    assert (rgb[..., 0] >= rgb[..., 2]).all()


@pytest.mark.parametrize("level", [0, 500, 65535])
def test_flat_16_bit_keeps_its_place_in_the_range(level: int) -> None:
    assert (as_rgb(np.full((3, 3), level, np.uint16)) == round(level / 65535 * 255)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_in_0_1(dtype: type) -> None:
    image = np.array([[0, 0.5, 1]], dtype)
    assert as_rgb(image)[0, :, 0].tolist() == [0, 128, 255]


def test_bool_is_black_and_white() -> None:
    assert as_rgb(np.array([[False, True]]))[0, :, 1].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[1, 2]], "is a list"),
        (torch.zeros(4, 4, 3), "is a Tensor"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\)"),
        (np.zeros((3, 40, 40), np.uint8), r"shape \(3, 40, 40\)"),
        (np.zeros(4, np.uint8), r"shape \(4,\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"shape \(1, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixel"),
        (np.zeros((4, 4), np.int32), "dtype int32"),
        (np.zeros((4, 4), np.complex64), "dtype complex64"),
        (np.array([["a"]]), "dtype <U1"),
        (np.full((4, 4), np.nan), "not finite"),
        (np.full((4, 4), 255.0), r"in \[255, 255\]"),
        (np.full((4, 4), -0.1), "scale it"),
    ],
)
def test_what_cannot_be_used_is_named(image: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        as_rgb(image, "image1")  # type: ignore[arg-type]
    assert "image1" in str(error.value)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 120))
def test_shrinking_keeps_corners(height: int, width: int, side: int) -> None:
    small, factors = shrink(np.zeros((height, width, 3), np.uint8), side)
    assert max(small.shape[:2]) <= max(side, 1)
    corner = np.array([small.shape[1], small.shape[0]]) - 0.5
    np.testing.assert_allclose((corner + 0.5) * factors - 0.5, [width - 0.5, height - 0.5], rtol=1e-5)
    if max(height, width) <= side:
        assert (factors == 1).all()


def test_tensor_layout() -> None:
    image = random_image(4, 6, 3)
    tensor = to_tensor([image, image], torch.device("cpu"))
    assert tensor.shape == (2, 3, 4, 6)
    assert tensor[1, 2, 3, 5] == image[3, 5, 2] / np.float32(255)
