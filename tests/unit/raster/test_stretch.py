"""The one stretch of values of any range to 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raster.stretch import stretched, value_range

pytestmark = pytest.mark.unit


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=300))
def test_order_is_kept_and_the_range_is_filled(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    low, high = value_range(values)
    assert low < high
    result = stretched(values, low, high)
    assert (np.diff(result[np.argsort(values)].astype(int)) >= 0).all()
    if values.min() <= low and values.max() >= high:
        assert (result.min(), result.max()) == (0, 255)


def test_what_is_not_finite_does_not_count() -> None:
    values = np.linspace(0, 100, 1001)
    spoilt = np.concatenate([values, [np.nan, np.inf, -np.inf] * 200])
    assert value_range(spoilt) == pytest.approx(value_range(values))
    assert value_range(spoilt) == pytest.approx((0.5, 99.5))
    assert stretched(np.array([np.nan, np.inf, -np.inf]), 0, 1).tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    ("value", "dtype", "level"),
    [(500, np.uint16, 2), (65535, np.uint16, 255), (0, np.int16, 128), (0.5, np.float32, 128), (40.0, np.float64, 128)],
)
def test_flat_values_keep_their_place(value: float, dtype: type, level: int) -> None:
    values = np.full(9, value, dtype)
    assert (stretched(values, *value_range(values)) == level).all()


def test_no_value_at_all_has_a_range() -> None:
    low, high = value_range(np.array([np.nan], np.float32))
    assert low < high
