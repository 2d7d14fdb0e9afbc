"""The buildings, trees, symbols and letters of a map: what does not lie on the ground, or is not there at all."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from raster.image import Image, Mask

LEVELS = 12
"""Grey levels at which components are looked for; maps have few colours."""

COLOURS = 16
"""So many colours are looked at, at most: beside an area of another colour, a building may be as light as it."""

COLOUR_STEP, COLOUR_RADIUS = 4, 5
"""Grey levels of each band by which colours are told apart, and within which a pixel has a colour."""

MIN_COLOUR = 0.002
"""Least share of the map that has such a colour."""

TINY = 0.05
"""Of the area that most buildings stay below: what is smaller is a part of a letter or symbol, whatever its shape."""

LARGE = 10
"""How many times that area a hall may have."""

MIN_SOLIDITY = 0.65
"""Least share that a building covers of its convex hull."""

MIN_FILLED = 0.9
"""Least share that a building covers of what its outline encloses: ground has buildings in it."""

MAX_ELONGATION = 6
"""Largest ratio of a building's sides."""

MIN_COMPACT = 0.5
"""Least share, by area, of compact components among the small ones at one level, where these are buildings. Streets cut
into pieces by labels, and the ground between streets, are small, too, but few of their pieces are compact."""

THIN = 0.1
"""Of the side of a square of that area: what is thinner is the rim that antialiasing leaves along lines."""

MAX_SHARE = 0.5
"""Of a map that buildings cover at most: the side of a grey level that covers more is what they stand on."""

RIM = 0.03
"""Of the same: how far beyond a component the map is still its outline or its shadow."""


def find_buildings(image: Image, area: float) -> Mask:
    """Return which pixels (height, width) of a map (height, width, 3) belong to buildings, symbols and letters.

    Components are regions that are darker or lighter than all around them: what area closings and openings (Vincent,
    1993) would level. Those of less than `area` pixels are buildings where most of what is small at their grey level
    has the shape of one; larger ones of that shape at the same level are halls.

    Args:
        image: RGB uint8, the map as it is compared, that is warped to working resolution.
        area: Limit in square pixels of this image. Its square root sets the width of lines that are kept although they
            are small, and how far the mask grows around a component.
    """
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    found = np.zeros(grey.shape, np.uint8)
    for level in _levels(grey):
        for side in (grey >= level, grey < level):
            found |= _find_in_part(side, area)
    for colour in _colours(image):
        low, high = (np.clip(colour + step, 0, 255).astype(np.float64) for step in (-COLOUR_RADIUS, COLOUR_RADIUS))
        found |= _find_in_part(cv2.inRange(image, low, high) > 0, area)
    side_px = area**0.5
    thin = _disc(max(1, round(THIN / 2 * side_px)))
    rim = _disc(max(1, round((THIN / 2 + RIM) * side_px)))
    return np.asarray(cv2.dilate(cv2.erode(found, thin), rim) > 0)


def _find_in_part(part: Mask, area: float) -> Mask:
    """Return which pixels of a part of the map, a side of a grey level or a colour, belong to buildings, symbols and
    letters."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(part.view(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # the rest of the map
    chosen = (areas > 0) & (areas < TINY * area)
    small = (areas >= TINY * area) & (areas < area)
    compact = _find_compact(numbers, stats, small)
    built = areas[compact].sum()
    if built >= MIN_COMPACT * max(areas[small].sum(), 1) and part.mean() <= MAX_SHARE:
        chosen |= small
        halls = _find_compact(numbers, stats, (areas >= area) & (areas < LARGE * area))
        if areas[halls].sum() <= built:  # otherwise they are the blocks between streets
            chosen |= halls
    return np.asarray(chosen[numbers])


def _find_compact(numbers: NDArray[Any], stats: NDArray[Any], among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which components (N,) among some have the shape of a building: solid, without holes, not elongated."""
    compact = np.zeros(len(stats), bool)
    for number in np.flatnonzero(among):
        x, y, width, height, area = stats[number]
        inside = numbers[y : y + height, x : x + width] == number
        contour = max(cv2.findContours(inside.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
        hull = cv2.convexHull(contour)
        short, long = sorted(side + 1 for side in cv2.minAreaRect(hull)[1])  # from the middles of pixels to their edges
        filled, convex = _area_within(contour), _area_within(hull)
        solid = area >= max(MIN_SOLIDITY * convex, MIN_FILLED * filled)
        compact[number] = solid and long <= MAX_ELONGATION * short
    return compact


def _area_within(contour: NDArray[Any]) -> float:
    """Return the area of what a contour of pixels encloses, those it passes through included (Pick's theorem)."""
    return float(cv2.contourArea(contour) + cv2.arcLength(contour, closed=True) / 2 + 1)


def _colours(image: Image) -> list[NDArray[np.int16]]:
    """Return the colours (3,) of the map's areas, the commonest first; none where it is shaded or photographed."""
    coarse = image[::2, ::2].reshape(-1, 3) // COLOUR_STEP
    keys, counts = np.unique(coarse.astype(np.int64) @ np.array([4096, 64, 1]), return_counts=True)
    common = keys[counts >= MIN_COLOUR * len(coarse)][np.argsort(-counts[counts >= MIN_COLOUR * len(coarse)])]
    chosen: list[NDArray[np.int16]] = []
    for key in common[: 4 * COLOURS].tolist():
        colour = (np.array([key // 4096, key // 64 % 64, key % 64]) * COLOUR_STEP + COLOUR_STEP // 2).astype(np.int16)
        if all(np.abs(colour - other).max() > COLOUR_RADIUS for other in chosen):
            chosen.append(colour)
    return chosen[:COLOURS]


def _levels(grey: Image) -> list[int]:
    """Return grey levels between the commonest ones."""
    common = np.unique(np.quantile(grey[::3, ::3], np.linspace(0.005, 0.995, 40)).astype(int))
    between = (common[1:] + common[:-1] + 1) // 2
    places = np.linspace(0, len(between) - 1, min(LEVELS, len(between))).round().astype(int)
    return [int(level) for level in between[places]]


def _disc(radius: int) -> Image:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
