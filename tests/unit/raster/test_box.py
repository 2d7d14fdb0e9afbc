"""Window sums against sums written down window by window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from raster.box import box_sums, window_means

pytestmark = pytest.mark.unit


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(7, 15), st.integers(7, 15), st.integers(0, 1000))
def test_sums_of_every_window(rows: int, columns: int, height: int, width: int, seed: int) -> None:
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, height, width)))
    found = box_sums(F.pad(values, (1, 0, 1, 0)), rows, columns)
    assert found.shape == (2, height - rows + 1, width - columns + 1)
    for y in range(found.shape[1]):
        for x in range(found.shape[2]):
            assert torch.allclose(found[:, y, x], values[:, y : y + rows, x : x + columns].sum((1, 2)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(0, 1000))
def test_windows_that_reach_beyond_count_zeros_there(size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.random((12, 17)).astype(np.float32)
    corners = np.stack([generator.integers(0, 17, 9), generator.integers(0, 12, 9)], axis=1).astype(np.intp)
    expected = [values[y : y + size, x : x + size].sum(dtype=np.float64) / size**2 for x, y in corners]
    assert np.allclose(window_means(torch.from_numpy(values), corners, size), expected)


def test_shares_of_a_mask_are_exact() -> None:
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[:2] = True
    assert window_means(mask, np.zeros((1, 2), np.intp), 4).tolist() == [0.5]
