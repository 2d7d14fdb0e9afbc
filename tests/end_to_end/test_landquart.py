"""A dataset made from the real Swiss tiles, served on loopback, through the command line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from landquart import assert_visible_tile_is_the_services, build, mapdata, pixels
from snapshots import assert_as_recorded

pytestmark = pytest.mark.end_to_end

FIRST_X, FIRST_Y = 69024, 46109
COLUMNS, ROWS = 12, 8
"""Whole tiles of 512 px in 6,400 x 4,096 px."""


@pytest.fixture(scope="module")
def landquart(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of a finished run of configs/landquart.yaml.

    It trusts the georeferences: then it is known which pixel of the service's map becomes which of a pair's.
    """
    return build(shared_data, "landquart.yaml", tmp_path_factory.mktemp("landquart"), {"method": "georeference"})


def test_every_pair_is_in_the_manifest_with_verdict_and_split(landquart: Path) -> None:
    manifest = pq.read_table(landquart / "release" / "manifest.parquet").to_pylist()
    assert len(manifest) == COLUMNS * ROWS
    assert {row["split"] for row in manifest if row["verdict"] == "accepted"} == {"train"}
    verdicts = Counter(row["verdict"] for row in manifest)
    assert verdicts["accepted"] > 60
    reasons = {reason.split(":")[0] for row in manifest for reason in row["reasons"]}
    assert {"visible without data", "filled visible"} <= reasons, "missing tiles and the pale green border"


def test_visible_tiles_are_the_services_pixels(landquart: Path, shared_data: Path) -> None:
    for tile in ((2, 3), (4, 7)):
        assert_visible_tile_is_the_services(landquart, shared_data, 17, tile)


def test_map_tiles_are_the_services_pixels_at_twice_the_size(landquart: Path, shared_data: Path) -> None:
    # Tile 69026 / 46113 of zoom 17 starts a quarter into tile 34513 / 23056 of zoom 16.
    tile = pixels(landquart / "tiles/001/1/map/001_1_0002_0001.png").astype(int)
    x, y = (FIRST_X + 2) // 2, (FIRST_Y + 4) // 2
    corner = [[pixels(shared_data / f"tiles/lk25/16/{x + i}/{y + j}.png") for i in range(2)] for j in range(2)]
    around = np.vstack([np.hstack(line) for line in corner])
    doubled = cv2.resize(around, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR).astype(int)
    left, top = (FIRST_X + 2) % 2 * 256, (FIRST_Y + 4) % 2 * 256
    inner = slice(4, -4)
    assert np.abs(tile - doubled[top : top + 512, left : left + 512])[inner, inner].max() <= 4


def test_the_release_verifies(landquart: Path) -> None:
    assert mapdata("verify", "--workspace", str(landquart))["faults"] == []


def test_the_release_is_what_it_was(landquart: Path) -> None:
    assert_as_recorded(landquart, "landquart")
