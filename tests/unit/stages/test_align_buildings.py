"""Buildings, trees, symbols and letters of a map told from its ground."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stages.align.buildings import find_buildings

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
    found = find_buildings(image, 1200 * scale**2)
    assert found[houses].all()
    ink = (image < 140).all(-1)
    assert ink.any()
    assert found[ink].mean() > 0.9
    roads = (image > 250).all(-1)
    assert found[roads].mean() < 0.05
    assert found.mean() < 0.25


def test_what_is_large_is_not_found() -> None:
    image, houses = town()
    assert not find_buildings(image, 300)[houses].any()  # a house has 25 x 20 px, its letters far fewer


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_map_has_none(value: int) -> None:
    assert not find_buildings(np.full((64, 80, 3), value, np.uint8), 100).any()


def dense_city(hall: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a map (1024, 1024, 3) of a city whose streets have a casing, and masks of its buildings and its streets.

    Between streets lie blocks of 120 px with a yard amid four buildings each; with `hall`, one block is one building.
    """
    image = np.full((1024, 1024, 3), (252, 252, 244), np.uint8)
    buildings, streets = np.zeros((2, 1024, 1024), np.uint8)
    for edge, colour in ((0, INK), (2, ROAD)):
        for near in range(edge, 1024, 160):
            far = near + 39 - 2 * edge
            for drawn, value in ((image, colour), (streets, 1)):
                cv2.rectangle(drawn, (near, 0), (far, 1023), value, -1)
                cv2.rectangle(drawn, (0, near), (1023, far), value, -1)
    for left in range(48, 1024, 160):
        for top in range(48, 1024, 160):
            for x, y in ((0, 0), (58, 0), (0, 58), (58, 58)):
                for drawn, value in ((image, INK), (buildings, 1)):
                    cv2.rectangle(drawn, (left + x, top + y), (left + x + 44, top + y + 44), value, -1)
    if hall:
        for drawn, value in ((image, INK), (buildings, 1)):
            cv2.rectangle(drawn, (203, 203), (316, 316), value, -1)
    return image, buildings > 0, cv2.erode(streets, np.ones((21, 21), np.uint8)) > 0


@pytest.mark.parametrize("hall", [False, True])
def test_between_dense_buildings_the_ground_is_left(hall: bool) -> None:
    image, buildings, streets = dense_city(hall)
    found = find_buildings(image, 12_000)  # every block between streets is smaller, and a hall is larger
    assert found[buildings].mean() > 0.99
    assert found[streets].mean() < 0.05


def test_blocks_between_streets_are_no_halls() -> None:
    image = np.full((1024, 1024, 3), PAPER, np.uint8)
    for place in range(100, 1024, 200):
        cv2.line(image, (place, 0), (place, 1023), ROAD, 20)
        cv2.line(image, (0, place), (1023, place), ROAD, 20)
    for left in range(120, 900, 200):
        cv2.rectangle(image, (left, left), (left + 40, left + 60), HOUSE, -1)
    assert find_buildings(image, 12_000)[(image == ROAD).all(-1)].mean() < 0.05


def test_ground_that_contour_lines_cut_into_small_pieces_is_left() -> None:
    image = np.full((1024, 1024, 3), PAPER, np.uint8)
    for place in range(20, 1024, 60):
        cv2.line(image, (place, 0), (place, 1023), INK, 3)
        cv2.line(image, (0, place), (1023, place), INK, 3)
    houses = np.zeros((1024, 1024), np.uint8)
    for left in range(33, 960, 120):
        for top in range(33, 960, 120):
            for drawn, value in ((image, HOUSE), (houses, 1)):
                cv2.rectangle(drawn, (left, top), (left + 30, top + 24), value, -1)
    found = find_buildings(image, 12_000)  # every piece of the ground is smaller
    assert found[houses > 0].all()
    assert found[(image == PAPER).all(-1)].mean() < 0.1
