"""A leaderboard compares models on the same queries, landmark by landmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrieval.report.leaderboard import write_leaderboard

pytestmark = pytest.mark.unit

LANDMARKS = np.repeat(np.arange(60), 3)


def results(folder: Path, model: str, ranks: np.ndarray, landmarks: np.ndarray = LANDMARKS) -> dict[str, Any]:
    """Return results of one task, with the table of its queries in `folder`."""
    folder.mkdir()
    queries = [str(number) for number in range(len(ranks))]
    table = pa.table({"query": queries, "landmark": landmarks, "MRR": 1 / ranks})
    pq.write_table(table, folder / "G2S-whole-gallery.parquet")
    names = {
        "median rank": float(np.median(ranks)),
        "R@1": float((ranks == 1).mean()),
        "MRR": float((1 / ranks).mean()),
    }
    figures = {name: {"value": value, "low": value, "high": value} for name, value in names.items()}
    entry = {"task": "G2S", "protocol": "whole-gallery", "queries": len(ranks), "gallery": 60, "figures": figures}
    dataset = {"name": "demo", "digest": "0" * 32}
    return {
        "model": model,
        "identity": model,
        "machine": {"name": "here"},
        "dataset": dataset,
        "results": [entry],
        "folder": folder,
    }


def row_of(text: str, model: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {model} "))


def test_a_worse_model_is_told_from_an_equal_one(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    good = generator.integers(1, 5, len(LANDMARKS))
    swapped = good.reshape(-1, 3)[generator.permutation(60)].ravel()
    text = write_leaderboard(
        [
            results(tmp_path / "a", "good", good),
            results(tmp_path / "b", "bad", good + 4),
            results(tmp_path / "c", "shuffled", swapped),
        ]
    )
    first, worse, alike = (row_of(text, model) for model in ("good", "bad", "shuffled"))
    difference = (1 / (good + 4) - 1 / good).mean()
    assert ", p " not in first
    assert f"{difference:+.3g} (" in worse
    assert "p 0.0005" in worse
    assert float(alike.split(", p ")[1].split()[0]) > 0.05


def test_two_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    ranks = np.full(len(LANDMARKS), 2)
    first, other = results(tmp_path / "a", "a|b", ranks), results(tmp_path / "b", "a|b", ranks + 1)
    text = write_leaderboard([first, other | {"identity": "trained again"}])
    rows = [line for line in text.splitlines() if line.startswith("| a\\|b [")]
    assert len(rows) == 2
    assert "figures differ" not in text
    assert len({row.split("]")[0] for row in rows}) == 2
    assert write_leaderboard([first, other]).count("figures differ between machines") == 2


def test_approximate_figures_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    ranks = np.full(len(LANDMARKS), 2)
    first, second = results(tmp_path / "a", "good", ranks), results(tmp_path / "b", "bad", ranks + 1)
    assert write_leaderboard([first, second | {"search": "exact"}]).count("## ") == 1
    text = write_leaderboard([first, second | {"search": "approximate (faiss)"}])
    assert text.count("## ") == 2
    assert "protocol whole-gallery, approximate (faiss) search" in text


def test_other_queries_or_no_table_are_not_compared(tmp_path: Path) -> None:
    ranks = np.full(len(LANDMARKS), 2)
    first = results(tmp_path / "a", "good", ranks)
    other = results(tmp_path / "b", "bad", ranks + 1, LANDMARKS[::-1].copy())
    without = results(tmp_path / "c", "worse", ranks + 2)
    (tmp_path / "c" / "G2S-whole-gallery.parquet").unlink()
    assert ", p " not in write_leaderboard([first, other, without])
