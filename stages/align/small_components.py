"""The small connected components of a map: buildings, symbols and letters, which do not lie on the ground."""

from __future__ import annotations

import cv2
import numpy as np

from raster.image import Image, Mask

LEVELS = 12
"""Grey levels at which components are looked for; maps have few colours."""

THIN = 0.1
"""Of the side of the largest component: what is thinner is the rim that antialiasing leaves along lines."""

RIM = 0.08
"""Of the same: how far beyond a small component the map is still its outline or its shadow."""


def find_small_components(image: Image, area: float) -> Mask:
    """Return which pixels (height, width) of a map (height, width, 3) belong to regions of less than `area` pixels that
    are darker or lighter than all around them: what area closings and openings (Vincent, 1993) would level.

    Args:
        image: RGB uint8, the map as it is compared, that is warped to working resolution.
        area: Limit in square pixels of this image. Its square root sets the width of lines that are kept although they
            are small, and how far the mask grows around a component.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = np.zeros(grey.shape, np.uint8)
    for level in _levels(np.asarray(grey, np.uint8)):
        for side in (grey >= level, grey < level):
            _, numbers, stats, _ = cv2.connectedComponentsWithStats(side.view(np.uint8), connectivity=4)
            below = stats[:, cv2.CC_STAT_AREA] < area
            below[0] = False  # the other side
            small |= below[numbers]
    side_px = area**0.5
    thin = _disc(max(1, round(THIN / 2 * side_px)))
    rim = _disc(max(1, round((THIN / 2 + RIM) * side_px)))
    return np.asarray(cv2.dilate(cv2.erode(small, thin), rim) > 0)


def _levels(grey: Image) -> list[int]:
    """Return grey levels between the commonest ones."""
    common = np.unique(np.quantile(grey[::3, ::3], np.linspace(0.005, 0.995, 40)).astype(int))
    between = (common[1:] + common[:-1] + 1) // 2
    places = np.linspace(0, len(between) - 1, min(LEVELS, len(between))).round().astype(int)
    return [int(level) for level in between[places]]


def _disc(radius: int) -> Image:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
