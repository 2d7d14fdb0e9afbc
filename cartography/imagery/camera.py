"""From reflected light to the file: haze, tone, point spread, noise, compression."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from cartography.hashing import generator, mix
from cartography.imagery.conditions import Conditions
from cartography.imagery.textures import tiled

MARGIN = 32
"""Pixels of surroundings that exposing needs on every side; a multiple of the 16 pixels of a JPEG unit."""

_AIR = np.array([196, 206, 216], np.float32)
_NOISE = 577
"""Size of the repeating tile of sensor noise, pixels; prime, so that it never falls in step with the texture."""


def expose(light: np.ndarray, conditions: Conditions, column: int, row: int) -> np.ndarray:
    """Turn light (H + 2 MARGIN, W + 2 MARGIN, 3) float32, 0-255, into the image (H, W, 3) uint8.

    (`column`, `row`) is the position of the image's top-left pixel in the whole image.

    Args:
        light: Reflected light (H + 2 MARGIN, W + 2 MARGIN, 3) float32, 0 to 255.
        conditions: Haze, tone, point spread, noise and compression.
        column: Column of the image's first pixel in the whole image.
        row: Row of the image's first pixel in the whole image.

    Returns:
        The image, uint8 (H, W, 3) RGB.
    """
    # Saturation, contrast about mid grey, colour cast and haze are one affine map of colours.
    mixing = np.eye(3) * conditions.saturation + (1 - conditions.saturation) / 3
    gain = conditions.contrast * np.array(conditions.cast) * (1 - conditions.haze)
    offset = (
        118 * (1 - conditions.contrast) * np.array(conditions.cast) * (1 - conditions.haze) + _AIR * conditions.haze
    )
    light = cv2.transform(light, np.column_stack([mixing * gain[:, None], offset]).astype(np.float32))
    if conditions.blur_px > 0:
        light = cv2.GaussianBlur(light, (0, 0), conditions.blur_px)
    across, down = (mix(conditions.seed, axis) % _NOISE for axis in (2, 1))
    noise = tiled(_noise_tile(), light, column + across, row + down)
    light = cv2.scaleAdd(noise, conditions.noise, light)
    image: np.ndarray = np.clip(light, 0, 255, out=light).astype(np.uint8)
    if conditions.jpeg_quality:
        done, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, conditions.jpeg_quality])
        assert done
        decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
        assert decoded is not None
        image = decoded[..., ::-1]
    return np.ascontiguousarray(image[MARGIN:-MARGIN, MARGIN:-MARGIN])


@lru_cache(maxsize=1)
def _noise_tile() -> np.ndarray:
    random = generator(0x4015E)
    luminance = random.standard_normal((_NOISE, _NOISE, 1), np.float32)
    return luminance * 0.8 + random.standard_normal((_NOISE, _NOISE, 3), np.float32) * 0.5
