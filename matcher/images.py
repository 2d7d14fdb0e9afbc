"""Conversion of images of any form to what matchers take: H x W x 3, uint8, RGB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from matcher.errors import InputError
from raster.stretch import stretched, value_range

if TYPE_CHECKING:
    import torch

RGBImage: TypeAlias = npt.NDArray[np.uint8]
"""H x W x 3, uint8, RGB, C-contiguous."""


def as_rgb(image: np.ndarray, name: str = "image") -> RGBImage:
    """Convert an image to RGB; one that is RGB already is returned unchanged.

    Args:
        image: H x W or H x W x 1 (grey), H x W x 3 (RGB) or H x W x 4 (RGBA, blended onto white as web maps are shown),
            of dtype uint8, bool, uint16 (stretched linearly between its 0.5th and 99.5th percentile, as sensors use an
            unknown part of the range) or floating point in [0, 1].
        name: What messages call the image.

    Returns:
        H x W x 3 uint8 RGB.

    Raises:
        InputError: The image has another form, is empty, or holds values that are not finite.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f"{name} is a {type(image).__name__}: pass a numpy array of shape (H, W, 3), uint8, RGB")
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise InputError(f"{name} has shape {image.shape}: pass (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    if 0 in image.shape:
        raise InputError(f"{name} has shape {image.shape}: it holds no pixel")
    image = _as_uint8(image, name)
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    elif image.shape[2] == 4:
        image = _on_white(image)
    return np.ascontiguousarray(image)


def shrink(image: RGBImage, maximum_side: int) -> tuple[RGBImage, npt.NDArray[np.float32]]:
    """Reduce an image whose longer side exceeds a limit.

    Args:
        image: H x W x 3 uint8.
        maximum_side: Longest side of the result, pixels.

    Returns:
        The image, and the factors (x, y) from its size back to the original's.
    """
    height, width = image.shape[:2]
    scale = min(1.0, maximum_side / max(height, width))
    if scale == 1:
        return image, np.ones(2, np.float32)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, np.array([width / size[0], height / size[1]], np.float32)


def to_tensor(images: Sequence[RGBImage], device: torch.device) -> torch.Tensor:
    """Stack images of one size.

    Args:
        images: B images, each H x W x 3 uint8.
        device: Device of the result.

    Returns:
        B x 3 x H x W float32 in [0, 1].
    """
    import torch  # Imported late: reading pairs, fitting and drawing do without it.

    stacked = torch.from_numpy(np.stack(images)).to(device)
    return stacked.permute(0, 3, 1, 2).float() / 255


def _as_uint8(image: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    if image.dtype == np.bool_:
        return np.where(image, np.uint8(255), np.uint8(0))
    if image.dtype == np.uint16:
        return _stretch(image)
    if image.dtype.kind == "f":
        if not np.isfinite(image).all():
            raise InputError(f"{name} holds values that are not finite: fill its no-data pixels first")
        low, high = float(image.min()), float(image.max())
        if low < 0 or high > 1:
            raise InputError(f"{name} is floating point in [{low:g}, {high:g}]: scale it to [0, 1], or pass uint8")
        return np.asarray(np.rint(image * 255), np.uint8)
    raise InputError(f"{name} has dtype {image.dtype}: pass uint8, uint16, or floating point in [0, 1]")


def _stretch(image: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Map the colours' range to 0..255, the same for all channels so that hues stay; a fourth channel (alpha) fully."""
    colours, alpha = image[..., :3], image[..., 3:]
    return np.concatenate([stretched(colours, *value_range(colours)), (alpha >> 8).astype(np.uint8)], axis=2)


def _on_white(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.rint(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
