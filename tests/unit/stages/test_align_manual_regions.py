"""Manual tie points carry the regions where they lie, by the gate; pairs respect whose transform is known to hold."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from raster.homography import apply_homography
from stages.align.manual import carry_regions
from stages.align.result import Alignment, Region, Transform
from stages.tiepoints import TiePoint

pytestmark = pytest.mark.unit

SIDE, CELL = 3072, 1024
RASTER = SimpleNamespace(width=SIDE, height=SIDE)
TRUTH = np.array([[1.0, 0, 7], [0, 1, -4], [0, 0, 1]])


def cells(accepted: bool = False) -> list[Region]:
    return [
        Region((x - 0.5, y - 0.5, x + CELL - 0.5, y + CELL - 0.5), accepted, "towers", None, 0, 0.0)
        for y in range(0, SIDE, CELL)
        for x in range(0, SIDE, CELL)
    ]


def marked(low: float, high: float, noise_px: float = 0.3, count: int = 6) -> list[TiePoint]:
    """Return a lattice of points all over a square of the visible raster, marked with some error."""
    generator = np.random.default_rng(0)
    lattice = np.stack(np.meshgrid(*2 * [np.linspace(low, high, count)]), -1).reshape(-1, 2)
    source = apply_homography(np.linalg.inv(TRUTH), lattice)
    target = lattice + generator.normal(0, noise_px, lattice.shape)
    return [TiePoint(f"p{i}", *source[i].tolist(), *target[i].tolist()) for i in range(len(lattice))]


def test_points_all_over_a_region_carry_it_and_no_other() -> None:
    rough = TRUTH + np.array([[0, 0, 5], [0, 0, 5], [0, 0, 0]])
    carried = carry_regions(cells(), marked(1050, 2030), rough, RASTER, RASTER)  # type: ignore[arg-type]
    assert [region.accepted for region in carried] == [index == 4 for index in range(9)]
    middle = carried[4]
    assert middle.method == "manual"
    assert middle.predicted_px is not None
    assert middle.predicted_px <= 5
    x0, y0, x1, y1 = middle.bounds
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    assert middle.homography is not None
    moved = apply_homography(np.reshape(middle.homography, (3, 3)), apply_homography(np.linalg.inv(TRUTH), corners))
    assert np.linalg.norm(moved - corners, axis=1).max() < 1


@pytest.mark.parametrize(
    "points", [marked(1400, 1500), marked(1030, 2040, count=2), marked(800, 2270, noise_px=12)], ids=str
)
def test_points_that_do_not_pass_the_gate_carry_nothing(points: list[TiePoint]) -> None:
    carried = carry_regions(cells(), points, TRUTH, RASTER, RASTER)  # type: ignore[arg-type]
    assert not any(region.accepted for region in carried)
    assert "manual points" in carried[4].reason


def test_accepted_regions_stay_as_they_are() -> None:
    before = cells(accepted=True)
    assert carry_regions(before, marked(800, 2270), TRUTH, RASTER, RASTER) == before  # type: ignore[arg-type]


def test_a_pair_is_cut_by_the_transform_that_is_known_to_hold_for_all_of_it() -> None:
    own = (*np.ravel(TRUTH).tolist(),)
    regions = [
        region._replace(accepted=True, homography=own if index == 4 else None) for index, region in enumerate(cells())
    ]
    alignment = Alignment(Transform(np.eye(3)), "cfog", regions=regions)
    for read in (alignment, Alignment.from_json(json.loads(json.dumps(alignment.to_json())))):
        np.testing.assert_array_equal(read.at(1500, 1500).homography, TRUTH)
        np.testing.assert_array_equal(read.at(500, 500).homography, np.eye(3))
        assert read.accepts(square(1300)), "its own"
        assert read.accepts(square(800)), "its centre is within the region that points carry"
        assert not read.accepts(square(700)), "it reaches from outside into that region"
        assert read.accepts(square(400)), "it does not touch that region"


def square(first: float) -> np.ndarray:
    return np.array([[first, first], [first + 511, first], [first + 511, first + 511], [first, first + 511]])
