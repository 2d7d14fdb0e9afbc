"""The confidence of an answer: from the record that it was fitted to, and what it does with strange evidence."""

from __future__ import annotations

import importlib
import json
import math
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from matcher.mapglue.judgement import BIAS, MIN_CONFIDENCE, WEIGHTS, Evidence, confidence

pytestmark = pytest.mark.unit

RECORD = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "confidence.json"


def test_the_weights_are_those_of_the_record() -> None:
    figures = json.loads(RECORD.read_text())["figures"]
    assert figures["weights"] == WEIGHTS._asdict()
    assert figures["bias"] == BIAS


def test_right_answers_of_the_record_are_kept_and_negative_pairs_are_not() -> None:
    rows = json.loads(RECORD.read_text())["figures"]["evidence"]
    judged = [
        (positive, right, confidence(Evidence(*numbers)) >= MIN_CONFIDENCE) for _, positive, right, *numbers in rows
    ]
    right = [kept for _, right, kept in judged if right]
    negative = [kept for positive, _, kept in judged if not positive]
    assert sum(right) >= 0.9 * len(right)
    assert sum(negative) <= 0.02 * len(negative)


def test_what_is_right_on_a_topographic_map_is_mostly_kept() -> None:
    rows = json.loads(RECORD.read_text())["figures"]["evidence"]
    west = [(right, numbers) for name, _, right, *numbers in rows if name.startswith("landquart")]
    kept = [confidence(Evidence(*numbers)) >= MIN_CONFIDENCE for right, numbers in west if right]
    wrong = [confidence(Evidence(*numbers)) >= MIN_CONFIDENCE for right, numbers in west if not right]
    assert len(kept) >= 20
    assert sum(kept) >= 0.6 * len(kept)
    assert not any(wrong)


def test_no_overlap_is_no_confidence_and_more_evidence_is_more() -> None:
    nothing = Evidence(cells=0.0, margin=0.0, windows=-math.inf, near=0.0)
    some = Evidence(cells=0.2, margin=0.08, windows=0.3, near=0.5)
    assert confidence(nothing) < 0.01
    for name in Evidence._fields:
        assert confidence(some._replace(**{name: getattr(some, name) * 1.5})) > confidence(some)


def test_the_confidence_is_the_share_of_right_answers() -> None:
    """Of the record, where right and wrong answers are weighed alike, as the confidence is defined."""
    rows = json.loads(RECORD.read_text())["figures"]["evidence"]
    right = np.array([row[2] for row in rows])
    found = np.array([confidence(Evidence(*row[3:])) for row in rows])
    weights = np.where(right, 0.5 / right.sum(), 0.5 / (~right).sum())
    for low, high in pairwise((0.0, 0.25, 0.5, 0.75, 1.0)):
        kept = (found >= low) & (found < high)
        share = np.average(right[kept], weights=weights[kept])
        assert share == pytest.approx(np.average(found[kept], weights=weights[kept]), abs=0.2), (low, high)


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(RECORD.parents[1]))
    return importlib.import_module("confidence")


def test_a_fold_shares_nothing_with_what_it_is_judged_on(benchmark: ModuleType) -> None:
    """The first pair is left out: its image, its block, and what overlaps it, on either side, are not fitted to."""
    left_out = {
        "Optical-Map/1#d0": ["Optical-Map/1|Optical-Map/2", "Optical-Map/3|Optical-Map/1"],
        "401/001/1#0": ["401/001/1#2"],
        "landquart-west/512-0#0": [
            "landquart-west/256-256",
            "landquart-west/768-0#0",
            "landquart-west/1536-1280 with landquart-west/768-256",
        ],
    }
    others = ["Optical-Map/2|Optical-Map/3", "404/001/1#0", "landquart-west/1024-0 with landquart-west/1536-1280"]
    for first, sharing in left_out.items():
        pairs = [first, *sharing, *others]
        assert benchmark.apart(pairs, np.arange(len(pairs)) == 0).tolist() == [False] * (1 + len(sharing)) + [True] * 3
