"""The confidence of an answer: from the record that it was fitted to, and what it does with strange evidence."""

from __future__ import annotations

import json
import math
from pathlib import Path

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
    """By cross-validation; right and wrong ones of the record are weighed alike, as the confidence is defined."""
    figures = json.loads(RECORD.read_text())["figures"]
    answers = figures["limits"]["all"]["all"]
    weight = answers["right"] / (answers["negative"] + answers["wrong"])  # of a wrong answer
    shares = []
    for found in figures["calibration"]:
        wrong = found["wrong"] * weight
        right = found["answers"] - found["wrong"]
        shares.append(right / (right + wrong))
    assert shares == sorted(shares)
    for found, share in zip(figures["calibration"], shares, strict=True):
        assert found["from"] - 0.15 <= share <= found["below"] + 0.15
