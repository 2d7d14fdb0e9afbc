"""The verdict by region on made-up tie points of known truth, and what it means for pairs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from stages.align.fine import Windows
from stages.align.ground import NO_GROUND, Ground
from stages.align.limits import DEFAULTS
from stages.align.regions import building_lean, common_error, judge_regions, residuals_of
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


def regions_of(measured: Windows, ground: Ground = NO_GROUND) -> list[Region]:
    residuals = residuals_of(measured, np.eye(3), ground, 1, DEFAULTS)
    common = common_error(0.2, ground, 0.0, 1, DEFAULTS)
    return judge_regions(PAIR, measured, residuals, common, 1, DEFAULTS)  # type: ignore[arg-type]


def test_the_part_that_is_displaced_is_refused_and_the_rest_accepted() -> None:
    generator = np.random.default_rng(1)

    def found(expected: np.ndarray) -> np.ndarray:
        away = np.where(expected[:, :1] < SIDE / 2, 8.0, 0.0)
        return expected + away + generator.normal(0, 0.5, expected.shape)

    regions = regions_of(windows(found))
    assert len(regions) == 16
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
    residuals = residuals_of(measured, np.eye(3), NO_GROUND, 1, DEFAULTS)
    regions = judge_regions(pair, measured, residuals, 1.0, 1, DEFAULTS)  # type: ignore[arg-type]
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


def test_roofs_displaced_along_the_building_lean_agree_and_others_do_not() -> None:
    generator = np.random.default_rng(4)
    ground = Ground(np.array([0.0, 3.0]), 0.3, True)
    along = windows(lambda at: at + np.column_stack([0 * at[:, 0], -generator.uniform(0, 6, len(at))]))
    across = windows(lambda at: at + np.column_stack([generator.uniform(4, 6, len(at)), 0 * at[:, 0]]))
    assert residuals_of(along, np.eye(3), ground, 1, DEFAULTS).agreeing.all()
    assert not residuals_of(across, np.eye(3), ground, 1, DEFAULTS).agreeing.any()
    assert not residuals_of(along, np.eye(3), NO_GROUND, 1, DEFAULTS).agreeing.all()


def test_building_lean_is_estimated_from_the_spread_of_heights() -> None:
    generator = np.random.default_rng(6)

    def displaced(at: np.ndarray) -> np.ndarray:
        heights = generator.normal(0, 1.0, len(at))  # about their mean, which the fit has followed
        return at + generator.normal(0, 0.5, at.shape) + np.column_stack([0 * heights, heights])

    mean = DEFAULTS.building_lean_per_spread
    assert building_lean(windows(displaced), np.eye(3), 1, DEFAULTS) == pytest.approx(mean, abs=0.7)
    even = windows(lambda at: at + generator.normal(0, 0.7, at.shape))
    assert building_lean(even, np.eye(3), 1, DEFAULTS) == 0.0


def test_high_buildings_count_for_the_building_lean_and_a_few_outliers_do_not() -> None:
    generator = np.random.default_rng(8)

    def with_towers(share: float) -> Windows:
        def displaced(at: np.ndarray) -> np.ndarray:
            heights = np.where(generator.random(len(at)) < share, generator.uniform(3, 9, len(at)), 0.0)
            return at + generator.normal(0, 0.3, at.shape) + np.column_stack([0 * heights, heights])

        return windows(displaced)

    assert building_lean(with_towers(0.3), np.eye(3), 1, DEFAULTS) > DEFAULTS.max_common_px
    assert building_lean(with_towers(0.04), np.eye(3), 1, DEFAULTS) == 0.0


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


def test_building_lean_that_the_ground_does_not_explain_and_roofs_where_it_is_not_seen_count() -> None:
    known, bias = Ground(np.array([3.0, 0.0]), 0.1, True), DEFAULTS.ground.bias_px
    assert bias < common_error(0.4, known, 0.0, 1, DEFAULTS) < bias + 0.1
    assert common_error(0.4, known, 5.0, 1, DEFAULTS) > 5
    unseen = Ground(np.zeros(2), 3.0, False, 1.8)
    assert common_error(0.4, unseen, 0.0, 1, DEFAULTS) > max(2.0, common_error(0.4, NO_GROUND, 0.0, 1, DEFAULTS))
    assert common_error(1.6, known, 0.0, 1, DEFAULTS) > common_error(0.4, known, 0.0, 1, DEFAULTS)


@pytest.mark.parametrize(("building_lean", "share"), [(0.0, 0.75), (5.0, 1.0)])
def test_the_ground_decides_where_roofs_are_displaced_and_else_counts_beside_all_windows(
    building_lean: float, share: float
) -> None:
    ground = Ground(np.array([2.0, -1.0]), 0.1, True).weighed(2 * building_lean, 2, DEFAULTS.ground)
    np.testing.assert_allclose(ground.shift, share * np.array([2.0, -1.0]), atol=0.05)


def test_building_lean_that_the_shift_does_not_explain_is_bounded_in_large_rasters_only() -> None:
    shift, limits = np.array([1.2, 1.6]), DEFAULTS.ground
    small = Ground(shift, 0.1, True, windows=limits.many_windows - 1)
    assert small.unexplained_px(7.0, 1, limits) == pytest.approx(5.0)
    assert small.unexplained_px(1.0, 1, limits) == 0.0
    large = Ground(shift, 0.1, True, windows=limits.many_windows)
    assert large.unexplained_px(7.0, 1, limits) == limits.max_unexplained_px
    assert large.unexplained_px(7.0, 2, limits) == 2 * limits.max_unexplained_px
    lost = Ground(np.zeros(2), 9.0, False, windows=limits.many_windows)
    assert lost.unexplained_px(7.0, 1, limits) == pytest.approx(7.0)
