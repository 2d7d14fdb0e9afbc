"""The verdict by region on made-up tie points of known truth, and what it means for pairs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from raster.homography import translation
from stages.align.features import harmonics
from stages.align.fine import Windows
from stages.align.ground import remaining_building_lean
from stages.align.limits import DEFAULTS
from stages.align.model import Fitted
from stages.align.passes import Answer
from stages.align.regions import common_error, judge_regions
from stages.align.result import Alignment, Region, Transform

pytestmark = pytest.mark.unit

SIDE = 4096
PAIR = SimpleNamespace(visible=SimpleNamespace(width=SIDE, height=SIDE))


def windows(found_of: object) -> Windows:
    """Return windows 200 px apart whose found positions `found_of` makes of the expected ones."""
    expected = np.stack(np.meshgrid(*2 * [np.arange(100.0, SIDE, 200)]), -1).reshape(-1, 2)
    ones = np.ones(len(expected))
    found = found_of(expected)  # type: ignore[operator]
    return Windows(expected, expected, found, ones, ones, 0 * ones, ones > 0, ones > 0)


def regions_of(measured: Windows, pair: object = PAIR) -> list[Region]:
    """Return the regions of an answer, the identity, by the windows that were measured."""
    residuals = np.linalg.norm(measured.found - measured.expected, axis=1)
    fitted = Fitted("similarity", np.eye(3), residuals, residuals <= DEFAULTS.tolerance_px)
    answer = Answer("whole map 1", np.eye(3), measured, fitted, harmonics(0.0), 1, DEFAULTS)
    return judge_regions(pair, answer, common_error(0.2, 0.0, 1, DEFAULTS))  # type: ignore[arg-type]


def test_the_part_that_is_displaced_is_refused_and_the_rest_accepted() -> None:
    generator = np.random.default_rng(1)

    def found(expected: np.ndarray) -> np.ndarray:
        away = np.where(expected[:, :1] < SIDE / 2, 8.0, 0.0)
        return expected + away + generator.normal(0, 0.5, expected.shape)

    regions = regions_of(windows(found))
    sides = [(right - left) * (bottom - top) for left, top, right, bottom in (region.bounds for region in regions)]
    assert sum(sides) == SIDE**2
    left = [region for region in regions if region.bounds[0] < 1000]
    right = [region for region in regions if region.bounds[2] > 4000]
    assert not any(region.accepted for region in left)
    assert all("agree" in region.reason for region in left)
    assert all(region.accepted for region in right)
    assert all(1 < region.predicted_px < 3 for region in right if region.predicted_px is not None)


def test_random_shifts_are_accepted_nowhere() -> None:
    generator = np.random.default_rng(2)
    regions = regions_of(windows(lambda at: at + generator.uniform(-12, 12, at.shape)))
    assert not any(region.accepted for region in regions)


def test_a_region_without_windows_of_its_own_is_refused() -> None:
    generator = np.random.default_rng(3)
    measured = windows(lambda at: at + generator.normal(0, 0.3, at.shape))
    empty = (np.abs(measured.expected - 1536) <= 700).all(axis=1)
    kept = Windows(*(getattr(measured, name)[~empty] for name in Windows.__dataclass_fields__))
    middle = next(region for region in regions_of(kept) if region.bounds[:2] == (1023.5, 1023.5))
    assert not middle.accepted
    assert "within it" in middle.reason


def test_a_corner_that_windows_do_not_surround_is_refused_and_the_rest_of_its_cell_is_not() -> None:
    generator = np.random.default_rng(7)
    measured = windows(lambda at: at + generator.normal(0, 0.3, at.shape))
    water = (measured.expected < 560).all(axis=1)
    kept = Windows(*(getattr(measured, name)[~water] for name in Windows.__dataclass_fields__))
    refused = [region for region in regions_of(kept) if not region.accepted]
    assert [region.bounds for region in refused] == [(-0.5, -0.5, 511.5, 511.5)]
    assert "a corner is 7" in refused[0].reason
    assert not [region for region in regions_of(measured) if not region.accepted]


def test_cells_at_the_border_are_looked_at_within_the_raster_only() -> None:
    generator = np.random.default_rng(7)
    measured = windows(lambda at: at + generator.normal(0, 0.3, at.shape))
    pair = SimpleNamespace(visible=SimpleNamespace(width=SIDE + 30, height=SIDE))
    regions = regions_of(measured, pair)
    assert all("corner" not in region.reason for region in regions)


def test_a_region_that_is_displaced_alone_is_refused() -> None:
    generator = np.random.default_rng(5)
    measured = windows(
        lambda at: (
            at
            + generator.normal(0, 0.3, at.shape)
            + np.where((np.abs(at - 1536) <= 500).all(axis=1, keepdims=True), 9.0, 0.0)
        )
    )
    refused = [region.bounds[:2] for region in regions_of(measured) if not region.accepted]
    assert refused == [(1023.5, 1023.5)]


def test_the_predicted_error_holds_for_the_share_that_it_claims() -> None:
    generator = np.random.default_rng(5)
    sigma = 0.8
    regions = regions_of(windows(lambda at: at + generator.normal(0, sigma, at.shape)))
    errors = np.linalg.norm(generator.normal(0, sigma, (20_000, 2)), axis=1)
    for region in regions:
        assert region.predicted_px is not None
        assert 0.85 < (errors <= region.predicted_px).mean() < 0.999


def test_a_pair_needs_all_regions_that_it_touches() -> None:
    cells = [(x - 0.5, -0.5, x + 1023.5, 1023.5) for x in (0, 1024)]
    regions = [Region(bounds, index == 0, "", 1.0, 20, 1.0) for index, bounds in enumerate(cells)]
    alignment = Alignment(Transform(np.eye(3)), "cfog", regions=regions)
    again = Alignment.from_json(json.loads(json.dumps(alignment.to_json())))
    for read in (alignment, again):
        assert read.accepts(np.array([[0.0, 0.0], [1023, 1023]]))
        assert not read.accepts(np.array([[0.0, 0.0], [1024, 0]]))
        assert not read.accepts(np.array([[0.0, 2000.0]]))
    assert Alignment(Transform(np.eye(3)), "cfog").accepts(np.array([[9e9, 0.0]]))


def test_what_may_be_wrong_all_over_a_raster_enters_the_common_error() -> None:
    least = common_error(0.4, 0.0, 1, DEFAULTS)
    assert DEFAULTS.bias_px < least < DEFAULTS.bias_px + 0.2
    assert common_error(1.6, 0.0, 1, DEFAULTS) > least
    assert common_error(0.4, 1.0, 1, DEFAULTS) == pytest.approx(np.hypot(least, 1.0))
    assert common_error(0.8, 0.0, 2, DEFAULTS) == pytest.approx(2 * least)


def test_what_is_left_of_building_lean_follows_from_how_far_gradients_go_with_it() -> None:
    generator = np.random.default_rng(6)
    measured = windows(lambda at: at + generator.normal(0, 0.3, at.shape))
    residuals = np.zeros(len(measured))
    fitted = Fitted("similarity", np.eye(3), residuals, residuals <= 1)
    ground = Answer("ground 1", translation(1.0, 0.0), measured, fitted, harmonics(0.0), 1, DEFAULTS)
    rough = Answer("rough", translation(6.0, -5.0), measured, fitted, harmonics(0.0), 2, DEFAULTS)
    left = remaining_building_lean(rough, ground)
    np.testing.assert_allclose(left, DEFAULTS.remaining_building_lean * np.array([5.0, -5.0]), atol=1e-9)
