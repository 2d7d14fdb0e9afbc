"""Buildings, symbols and letters of a map told from its ground."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stages.align.small_components import find_small_components

pytestmark = pytest.mark.unit

PAPER, ROAD, FIELD, HOUSE, INK = (236, 232, 226), (255, 255, 255), (206, 228, 190), (214, 204, 196), (60, 60, 70)


def town(scale: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return a map (400, 400, 3) times `scale`, drawn four times too large and averaged, and where its houses are."""
    image = np.full((1600, 1600, 3), PAPER, np.uint8)
    houses = np.zeros((1600, 1600), np.uint8)
    cv2.rectangle(image, (0, 1000), (1599, 1599), FIELD, -1)
    for place in (200, 800, 1400):
        cv2.line(image, (place, 0), (place + 160, 1599), ROAD, 48)
        cv2.line(image, (0, place), (1599, place - 90), ROAD, 48)
    for x, y in ((330, 300), (480, 320), (640, 560), (1000, 240), (1160, 520)):
        cv2.rectangle(image, (x, y), (x + 100, y + 80), HOUSE, -1)
        cv2.rectangle(houses, (x, y), (x + 100, y + 80), 1, -1)
    cv2.putText(image, "Mill", (1000, 1250), cv2.FONT_HERSHEY_SIMPLEX, 4, INK, 24)
    side = 400 * scale
    return (
        np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)),
        cv2.resize(houses, (side, side), interpolation=cv2.INTER_AREA) > 0,
    )


@pytest.mark.parametrize("scale", [1, 2])
def test_houses_and_letters_are_found_and_roads_and_fields_are_not(scale: int) -> None:
    image, houses = town(scale)
    found = find_small_components(image, 1200 * scale**2)
    assert found[houses].all()
    ink = (image < 140).all(-1)
    assert ink.any()
    assert found[ink].mean() > 0.9
    roads = (image > 250).all(-1)
    assert found[roads].mean() < 0.05
    assert found.mean() < 0.25


def test_what_is_large_is_not_found() -> None:
    image, houses = town()
    assert not find_small_components(image, 300)[houses].any()  # a house has 25 x 20 px, its letters far fewer


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_map_has_none(value: int) -> None:
    assert not find_small_components(np.full((64, 80, 3), value, np.uint8), 100).any()
