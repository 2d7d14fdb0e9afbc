"""`mapdata.align` from Python, on real rasters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from swiss_tiles import Tiles, assemble, save

import mapdata
from raster.homography import apply_homography

pytestmark = pytest.mark.integration

PLACE: Tiles = (34512, 34518, 23056, 23060)


@pytest.fixture(scope="module")
def rasters(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rasters")
    chart = assemble(shared_data, "lk25", "png", PLACE)
    return {
        "visible": save(folder / "visible.tif", assemble(shared_data, "swissimage", "jpg", PLACE), PLACE),
        "map": save(folder / "map.tif", chart, PLACE),
        "mirrored": save(folder / "mirrored.tif", np.ascontiguousarray(chart[:, ::-1]), PLACE),
    }


def test_align_gives_verdict_reason_and_homography(rasters: dict[str, Path], tmp_path: Path) -> None:
    alignment = mapdata.align(rasters["map"], str(rasters["visible"]), out=tmp_path)
    refused = [region for region in alignment.regions if not region.accepted]  # forest on a slope
    assert alignment.verdict == "accepted"
    assert 2 * len(refused) < len(alignment.regions)
    assert all(region.reason for region in refused)
    expected = f"{len(refused)} of {len(alignment.regions)} regions are refused" if refused else ""
    assert alignment.reason == expected
    written = json.loads((tmp_path / "alignment.json").read_text())
    assert np.array_equal(written["homography"], alignment.transform.homography)
    corners = np.array([[0.0, 0], [1791, 0], [1791, 1279], [0, 1279]])
    assert np.abs(apply_homography(alignment.transform.homography, corners) - corners).max() < 6


def test_a_pair_that_needs_a_person_says_why(rasters: dict[str, Path]) -> None:
    alignment = mapdata.align(rasters["mirrored"], rasters["visible"])
    assert alignment.verdict == "needs-manual"
    assert alignment.reason
