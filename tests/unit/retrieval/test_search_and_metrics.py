"""Ranks and metrics: worked out by hand, by brute force, and by a second implementation of the published definition."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.approximate import search_approximately
from retrieval.errors import RetrievalError
from retrieval.metrics import PROTOCOLS, average_precision, great_circle_km, score_queries
from retrieval.search import CUTOFF, Hits, hits_among, search
from retrieval.vectors import Vectors

pytestmark = pytest.mark.unit


def find(queries: np.ndarray, gallery: np.ndarray, positives: list[list[int]], distractors: np.ndarray) -> list[Hits]:
    right = [np.array(each, np.int64) for each in positives]
    return search(Vectors.of(queries), Vectors.of(gallery), right, distractors)


def by_scores(scores: list[float], positives: list[int], distractors: list[int] = []) -> Hits:  # noqa: B006
    """Search one query whose scores are given: vectors of one dimension."""
    flags = np.isin(np.arange(len(scores)), distractors)
    (hits,) = find(np.ones((1, 1)), np.array(scores)[:, None], [positives], flags)
    return hits


def published(scores: np.ndarray, positives: np.ndarray, distractors: np.ndarray) -> tuple[float, list[float], float]:
    """Average precision, recall at 1, 5, 10 and rank of the first answer as the published evaluation defines them."""
    order = np.argsort(-scores)
    median_rank = float(np.flatnonzero(np.isin(order, positives))[0])
    order = order[:1000]
    order = order[~np.isin(order, np.flatnonzero(distractors))]
    rows_good = np.flatnonzero(np.isin(order, positives))
    recalls = [float(any(row < k for row in rows_good)) for k in (1, 5, 10)]
    precision = 0.0
    for i, row in enumerate(rows_good):
        d_recall = 1.0 / len(positives)
        new = (i + 1) * 1.0 / (row + 1)
        old = i * 1.0 / row if row != 0 else 1.0
        precision += d_recall * (old + new) / 2
    return precision, recalls, median_rank


@pytest.mark.parametrize(("rank", "expected"), [(0, 1.0), (1, 0.25), (2, 1 / 6), (3, 0.125), (4, 0.1)])
def test_one_answer_at_a_rank(rank: int, expected: float) -> None:
    assert average_precision(np.array([rank]), 1) == pytest.approx(expected, abs=1e-15)


def test_a_missing_answer_counts_in_the_denominator() -> None:
    assert average_precision(np.array([0]), 4) == 0.25
    assert average_precision(np.zeros(0, np.int64), 4) == 0


def test_ranks_by_hand() -> None:
    hits = by_scores([0.9, 0.8, 0.7, 0.6, 0.5], positives=[1, 3], distractors=[0, 2])
    assert hits.ranks.tolist() == [1, 3]
    assert hits.undistracted.tolist() == [0, 1]
    assert (hits.first_rank, hits.nearest, hits.positives) == (1, 0, 2)
    official, whole = (score_queries([hits], protocol) for protocol in ("official", "whole-gallery"))
    assert (official.recall[1][0], whole.recall[1][0]) == (1.0, 0.0)
    assert official.average_precision[0] == pytest.approx(1.0)
    assert whole.average_precision[0] == pytest.approx((0.5 * (0 + 0.5) + 0.5 * (1 / 3 + 0.5)) / 2)
    assert whole.reciprocal_rank[0] == 0.5
    assert official.first_rank[0] == whole.first_rank[0] == 1


def test_equal_scores_are_no_success() -> None:
    hits = by_scores([0.5] * 40, positives=[0])
    assert hits.first_rank == 39
    assert by_scores([0.5] * 40, positives=[17]).first_rank == 39


def test_the_cut_comes_before_the_removal_of_distractors() -> None:
    gallery = np.linspace(1, 0, CUTOFF + 10)
    hits = by_scores(gallery.tolist(), positives=[CUTOFF + 5], distractors=list(range(CUTOFF)))
    assert hits.first_rank == CUTOFF + 5
    assert len(hits.undistracted) == 0, "beyond the cut, however few real items precede it"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), gallery=st.integers(3, 2500), answers=st.integers(1, 60), share=st.floats(0, 1))
def test_search_equals_the_published_definition(seed: int, gallery: int, answers: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    items, query = rng.normal(size=(gallery, 8)), rng.normal(size=(1, 8))
    positives = rng.choice(gallery, min(answers, gallery), replace=False)
    distractors = rng.random(gallery) < share
    distractors[positives] = False
    (hits,) = find(query, items, [positives.tolist()], distractors)
    scores = query.astype(np.float32) @ items.astype(np.float32).T
    precision, recalls, median_rank = published(scores[0], positives, distractors)
    official = score_queries([hits], "official")
    assert official.average_precision[0] == pytest.approx(precision, abs=1e-12)
    assert [official.recall[k][0] for k in (1, 5, 10)] == recalls
    assert official.first_rank[0] == median_rank
    whole = score_queries([hits], "whole-gallery")
    everything, kept, _ = published(scores[0], positives, np.zeros(gallery, bool))
    assert whole.average_precision[0] == pytest.approx(everything, abs=1e-12)
    assert [whole.recall[k][0] for k in (1, 5, 10)] == kept


def test_perfect_embeddings_score_everything_and_random_ones_chance() -> None:
    rng = np.random.default_rng(0)
    landmarks = rng.normal(size=(300, 64))
    right = [[i] for i in range(300)]
    none = np.zeros(300, bool)
    perfect = score_queries(find(landmarks, landmarks, right, none), "whole-gallery")
    assert perfect.average_precision.mean() == 1
    chance = score_queries(find(rng.normal(size=(300, 64)), landmarks, right, none), "whole-gallery")
    assert chance.recall[10].mean() == pytest.approx(10 / 300, abs=3 * np.sqrt(10 / 300 / 300))
    assert np.median(chance.first_rank) == pytest.approx(150, abs=30)


def test_the_two_protocols_differ_as_documented() -> None:
    """Random embeddings, 50 landmarks of one image each, 5,000 distractors: R@10 is 20% by the official protocol."""
    rng = np.random.default_rng(1)
    queries, gallery = rng.normal(size=(50, 32)), rng.normal(size=(5050, 32))
    distractors = np.arange(5050) >= 50
    official, whole = [], []
    for _ in range(20):
        queries = rng.normal(size=(50, 32))
        hits = find(queries, gallery, [[i] for i in range(50)], distractors)
        official.append(score_queries(hits, "official").recall[10].mean())
        whole.append(score_queries(hits, "whole-gallery").recall[10].mean())
    # An answer counts only within the first 1,000 of 5,050 before the removal: about a fifth of them do.
    assert np.mean(official) == pytest.approx(0.2, abs=0.03)
    assert np.mean(whole) == pytest.approx(10 / 5050, abs=0.004)


def test_workers_and_groups_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    queries, gallery = Vectors.of(rng.normal(size=(40, 48))), Vectors.of(rng.normal(size=(5000, 48)))
    right = [rng.choice(5000, 7, replace=False) for _ in range(40)]
    none = np.zeros(5000, bool)
    first = search(queries, gallery, right, none, workers=1)
    monkeypatch.setattr("retrieval.search._BLOCK", 640)
    second = search(queries, gallery, right, none, workers=3)
    for one, other in zip(first, second, strict=True):
        assert one.ranks.tolist() == other.ranks.tolist()
        assert one.nearest == other.nearest


def test_a_device_gives_the_same_ranks() -> None:
    rng = np.random.default_rng(3)
    queries, gallery = Vectors.of(rng.normal(size=(10, 16))), Vectors.of(rng.normal(size=(900, 16)))
    right, none = [np.array([i]) for i in range(10)], np.zeros(900, bool)
    ours = search(queries, gallery, right, none)
    torchs = search(queries, gallery, right, none, device="cpu:0")
    assert [hits.first_rank for hits in ours] == [hits.first_rank for hits in torchs]


def test_an_approximate_search_finds_nearly_what_the_exact_one_does() -> None:
    pytest.importorskip("faiss", reason="faiss is not installed")
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(400, 32))
    landmarks = rng.integers(0, 400, 20_000)
    gallery = centres[landmarks] + 0.7 * rng.normal(size=(20_000, 32))
    queries = centres[:200] + 0.7 * rng.normal(size=(200, 32))
    right = [np.flatnonzero(landmarks == number) for number in range(200)]
    distractors = np.isin(landmarks, np.arange(300, 400))
    vectors = Vectors.of(_unit(queries)), Vectors.of(_unit(gallery)), right, distractors
    exact, approximate = search(*vectors), search_approximately(*vectors)
    same = [one.nearest == other.nearest for one, other in zip(exact, approximate, strict=True)]
    assert np.mean(same) > 0.9
    for protocol in PROTOCOLS:
        ours, theirs = (score_queries(hits, protocol) for hits in (exact, approximate))
        assert theirs.recall[10].mean() == pytest.approx(ours.recall[10].mean(), abs=0.02)
        assert theirs.average_precision.mean() == pytest.approx(ours.average_precision.mean(), abs=0.03)
    assert all(other.positives == one.positives for one, other in zip(exact, approximate, strict=True))


def test_an_approximate_search_of_few_items_is_exact_and_of_what_it_misses_the_rank_is_the_last() -> None:
    pytest.importorskip("faiss", reason="faiss is not installed")
    gallery = np.eye(30, dtype=np.float32) + 0.01
    vectors = Vectors.of(gallery[:5]), Vectors.of(gallery), [np.array([n]) for n in range(5)], np.zeros(30, bool)
    assert [hits.first_rank for hits in search_approximately(*vectors)] == [0] * 5
    missed = hits_among(np.array([0.9, 0.8]), np.array([7, 3]), np.array([5, 6]), np.zeros(30, bool))
    assert (missed.positives, missed.first_rank, missed.nearest, len(missed.ranks)) == (2, 30, 7, 0)
    found = hits_among(np.array([0.9, 0.8]), np.array([7, 3]), np.array([3, 6]), np.arange(30) == 7)
    assert (found.first_rank, found.ranks.tolist(), found.undistracted.tolist()) == (1, [1], [0])


def test_without_faiss_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    one = Vectors.of(np.ones((1, 3)))
    with pytest.raises(RetrievalError, match=r"pip install 'mapdata\[faiss\]'"):
        search_approximately(one, one, [np.array([0])], np.zeros(1, bool))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(RetrievalError, match="encode both with one model"):
        find(np.ones((1, 3)), np.ones((2, 4)), [[0]], np.zeros(2, bool))
    with pytest.raises(RetrievalError, match="no right answer"):
        score_queries(find(np.ones((1, 3)), np.ones((2, 3)), [[]], np.zeros(2, bool)), "official")
    with pytest.raises(RetrievalError, match="not finite"):
        Vectors.of(np.array([[1.0, np.nan]]))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0), (0, 90), 6371 * np.pi / 2),
        ((179.5, 0), (-179.5, 0), 6371 * np.radians(1)),
        ((10, 90), (-50, 90), 0.0),
        ((-73.9857, 40.7484), (-0.1276, 51.5072), 5567.0),
    ],
)
def test_great_circle(first: tuple[float, float], second: tuple[float, float], expected: float) -> None:
    assert great_circle_km(first, second) == pytest.approx(expected, abs=6)
