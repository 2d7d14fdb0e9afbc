"""Curves and maps as SVG."""

from __future__ import annotations

import re

import numpy as np
import pytest

from retrieval.report.plots import error_map

pytestmark = pytest.mark.unit


def test_a_line_across_180_degrees_goes_the_short_way() -> None:
    truth, answers = np.array([[179.0, -17.0]]), np.array([[-179.0, -17.0]])
    svg = error_map("G2C", truth, answers, np.array([212.0]))
    lines = re.findall(r'd="M ([\d.]+) [\d.]+ \nL ([\d.]+) [\d.]+ \n"[^>]*stroke: #e69f00', svg)
    (x0, x1) = map(float, lines[0])
    assert x1 - x0 > 0
    assert "180°" in svg
    assert "\N{MINUS SIGN}179°" not in svg
