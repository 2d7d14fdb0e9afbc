"""Which windows of a large raster are measured first."""

from __future__ import annotations

import numpy as np
import pytest

from matcher.dense.windows import window_grid
from stages.align.fine import BLOCK, Layout
from stages.align.passes import _in_part

pytestmark = pytest.mark.unit

SIZE = 296


@pytest.mark.parametrize(("height", "width"), [(7_500, 10_000), (15_000, 20_000), (3_000, 60_000)])
def test_a_part_of_the_windows_lies_all_over_a_large_raster(height: int, width: int) -> None:
    layout = Layout(1, SIZE, 12, window_grid(height, width, SIZE, 350), BLOCK)
    few, more = (_in_part(layout, count) for count in (60, 300))
    assert (more | few == more).all()
    assert 300 <= more.sum() <= 0.5 * len(more) + 300
    there = layout.corners[more] + SIZE / 2
    for axis, length in enumerate((width, height)):
        assert there[:, axis].min() < length / 3
        assert there[:, axis].max() > 2 * length / 3
    spread = np.linalg.svd((there - there.mean(0)) / (width, height), compute_uv=False) / np.sqrt(len(there))
    assert spread.min() > 0.15  # they do not lie on a line


def test_all_windows_of_a_small_raster_are_measured_at_once() -> None:
    layout = Layout(1, SIZE, 12, window_grid(2_304, 2_304, SIZE, 140), BLOCK)
    assert _in_part(layout, 240).all()
