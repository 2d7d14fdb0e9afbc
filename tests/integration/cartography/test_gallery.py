"""The contact sheet: every style beside the simulated image, and maps that cannot be taken for photographs."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from cartography.gallery import CELL_PX, SPOTS, contact_sheet, encode
from cartography.styles import NAMES

pytestmark = pytest.mark.integration


def test_a_map_is_told_from_an_image_and_the_styles_from_each_other() -> None:
    sheet = contact_sheet(SPOTS[1:2])
    step = (sheet.shape[1] - CELL_PX) // len(NAMES)
    cells = [sheet[-CELL_PX - 6 : -6, x : x + CELL_PX] for x in range(0, sheet.shape[1], step)]
    assert len(cells) == 1 + len(NAMES)
    image, *maps = cells
    assert _flat_share(image) < 0.1
    assert all(_flat_share(drawn) > 0.4 for drawn in maps)
    for one, other in combinations(maps, 2):
        assert np.abs(one.astype(int) - other).mean() > 6
    assert cv2.imdecode(np.frombuffer(encode(sheet), np.uint8), cv2.IMREAD_COLOR).shape == sheet.shape


def test_the_picture_of_the_readme_is_a_whole_sheet() -> None:
    path = Path(__file__).resolve().parents[3] / "docs" / "images" / "gallery.jpg"
    assert path.stat().st_size < 500_000
    height, width = cv2.imread(str(path)).shape[:2]
    assert (height - 26) // (CELL_PX + 6) == len(SPOTS)
    assert (width + 6) // (CELL_PX + 6) == 1 + len(NAMES)


def _flat_share(image: np.ndarray) -> float:
    """Share of pixels that are exactly as their right neighbour."""
    return float((image[:, 1:] == image[:, :-1]).all(axis=2).mean())
