"""What the ground says of an answer that all of the map gave."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from raster.homography import translation
from stages.align import ground
from stages.align.features import harmonics
from stages.align.fine import Windows
from stages.align.limits import DEFAULTS
from stages.align.model import Fitted
from stages.align.passes import Answer

pytestmark = pytest.mark.unit

SIDE, REDUCE = 2048, 2
PAIR = SimpleNamespace(visible=SimpleNamespace(width=SIDE, height=SIDE))


def windows(shifts: np.ndarray) -> Windows:
    ones = np.ones(len(shifts))
    places = np.random.default_rng(1).uniform(0, SIDE, (len(shifts), 2))
    return Windows(places, places, places + shifts, ones, ones, 0 * ones, ones > 0, ones > 0)


@pytest.mark.parametrize(
    ("count", "shift", "passes", "off"),
    [
        (100, (1.0, -1.0), (True, True), np.hypot(1, 1) / REDUCE),
        (100, (8.0, 0.0), (False, True), 8 / REDUCE),
        (10, (0.0, 0.0), (True, False), 0.0),  # enough windows together, too few of each half
        (4, (0.0, 0.0), (False, False), np.inf),
    ],
)
def test_the_ground_confirms_what_lies_close_to_it(
    monkeypatch: pytest.MonkeyPatch, count: int, shift: tuple[float, float], passes: tuple[bool, bool], off: float
) -> None:
    said = windows(np.tile(shift, (count, 1)))
    fitted = Fitted("similarity", np.eye(3), np.zeros(count), np.ones(count, bool))
    answer = Answer("whole map 1", translation(5.0, 0.0), said, fitted, harmonics(0.0), REDUCE, DEFAULTS)
    monkeypatch.setattr(ground, "measure", lambda *arguments: said)
    close, halves, seen = ground.check_ground(PAIR, answer, harmonics(0.0, 100.0))  # type: ignore[arg-type]
    assert (close.passed, halves.passed) == passes
    assert close.value == pytest.approx(off)
    assert (seen is not None) is bool(np.isfinite(off))


def test_halves_of_the_ground_that_differ_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said = windows(np.zeros((200, 2)))
    said.found[ground.chequered(said.expected)] += [5.0, 0.0]
    fitted = Fitted("similarity", np.eye(3), np.zeros(200), np.ones(200, bool))
    answer = Answer("whole map 1", np.eye(3), said, fitted, harmonics(0.0), REDUCE, DEFAULTS)
    monkeypatch.setattr(ground, "measure", lambda *arguments: said)
    _, halves, _ = ground.check_ground(PAIR, answer, harmonics(0.0, 100.0))  # type: ignore[arg-type]
    assert halves.value == pytest.approx(5 / REDUCE)
    assert not halves.passed
