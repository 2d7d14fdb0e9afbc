"""Mosaics of tiles: what is no imagery is masked."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from matcher.training.config import Tiles
from matcher.training.tiles import TILE, read_mosaic

pytestmark = pytest.mark.unit

PALE_GREEN = (200, 224, 190)


def _tile(filling: tuple[int, int, int], share: float) -> np.ndarray:
    tile = np.random.default_rng(0).integers(0, 250, (TILE, TILE, 3), dtype=np.uint8)
    tile[: round(share * TILE)] = filling
    return tile


@pytest.mark.parametrize("filling", [(255, 255, 255), PALE_GREEN])
def test_tiles_that_a_service_filled_are_masked_in_imagery_and_kept_in_maps(
    tmp_path: Path, filling: tuple[int, int, int]
) -> None:
    shares = {(4, 7): 0.0, (5, 7): 0.2, (4, 8): 0.3, (5, 8): 1.0}  # by x, y
    for (x, y), share in shares.items():
        path = tmp_path / "3" / str(x) / f"{y}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), _tile(filling, share)[..., ::-1])
    tiles = Tiles(folder=tmp_path, zoom=3, x=(4, 6), y=(7, 8))  # column 6 is missing
    masks = {kind: read_mosaic(tiles, imagery=kind).mask[::TILE, ::TILE] for kind in (True, False)}
    np.testing.assert_array_equal(masks[True], [[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(masks[False], [[True, True, False], [True, True, False]])
