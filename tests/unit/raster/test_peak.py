"""The vertex of a parabola, against parabolas whose vertex is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raster.peak import vertex

pytestmark = pytest.mark.unit


@given(st.floats(-0.5, 0.5), st.floats(0.01, 100), st.floats(-10, 10))
def test_the_vertex_of_a_parabola(place: float, steepness: float, height: float) -> None:
    samples = [torch.tensor(height - steepness * (x - place) ** 2, dtype=torch.float64) for x in (-1, 0, 1)]
    assert vertex(*samples).item() == pytest.approx(place, abs=1e-9)


def test_what_has_no_peak_stays_where_it_is() -> None:
    flat, valley = torch.zeros(2), torch.tensor([1.0, 3.0])
    assert vertex(flat, flat, flat).tolist() == [0, 0]
    assert vertex(valley, flat, valley).tolist() == [0, 0]
    assert vertex(torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([1.999])).item() == pytest.approx(0.5)
