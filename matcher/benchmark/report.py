"""The benchmark's report: results.json, leaderboard.md, and one self-contained report.html."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from matcher.benchmark.drawings import draw_pair
from matcher.benchmark.leaderboard import (
    COLUMNS,
    caveat,
    failures,
    is_uncertain,
    measured,
    percent,
    ranked,
    write_leaderboard,
)
from matcher.benchmark.levels import Level, at_level
from matcher.benchmark.pairs import PairSource
from matcher.benchmark.plots import cumulative_errors, runtime_and_accuracy, success_by_level
from matcher.benchmark.summary import Json, write_results

DRAWN = 3
"""Pairs drawn of the best and of the worst, for the best matcher of each level."""

LIMIT_PX = 20.0

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;color:#1b1b1b}
table{border-collapse:collapse;display:block;overflow-x:auto;margin:1rem 0}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
figure{display:inline-block;margin:.5rem;vertical-align:top}
svg{width:420px;max-width:100%;font:11px system-ui,sans-serif}
.grid{stroke:#e2e2e2}.legend span{margin-right:.8rem;white-space:nowrap}
.legend{max-width:420px;font-size:12px}.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}
.note{background:#fff6e0;padding:.5rem .8rem;border-left:4px solid #e69f00}
img{max-width:100%;height:auto}
"""


def write_report(
    folder: Path, results: Json, rows: pa.Table, pairs: Sequence[PairSource], levels: Mapping[str, Level]
) -> None:
    """Write `results.json`, `leaderboard.md` and `report.html`.

    Args:
        folder: Where to.
        results: What `summarise` returned.
        rows: The rows that it was computed from.
        pairs: The pairs, which are read again for the pictures.
        levels: The levels.

    Raises:
        InputError: A pair of a picture cannot be read.
    """
    write_results(folder / "results.json", results)
    (folder / "leaderboard.md").write_text(write_leaderboard(results), encoding="utf-8")
    (folder / "report.html").write_text(_html(results, rows, pairs, levels), encoding="utf-8")


def _html(results: Json, rows: pa.Table, pairs: Sequence[PairSource], levels: Mapping[str, Level]) -> str:
    found = results["set"]
    title = escape(f"Benchmark: {found['name']}")
    note = caveat(found["truth_px"])
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{escape(measured(results))}, Python {escape(results['environment']['python'])}.</p>",
        f'<p class="note">{escape(note)}</p>' if note else "",
        "<h2>All levels</h2>",
        success_by_level(_success(results), list(results["levels"])),
        runtime_and_accuracy(_speed(results)),
    ]
    by_name = {pair.name: pair for pair in pairs}
    for level in results["levels"]:
        chosen = rows.filter(pc.equal(rows["level"], level))
        parts += [f"<h2>{escape(level)}</h2>", _parameters(results["levels"][level])]
        parts += [_figures(results, level), cumulative_errors(_errors(chosen), LIMIT_PX), _comparisons(results, level)]
        parts.append(_drawings(ranked(results, level)[0]["matcher"], chosen, by_name, level, levels))
    parts += [_times(results), _failures(results)]
    head = f'<head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
    return f'<!doctype html><html lang="en">{head}<body>{"".join(parts)}</body></html>\n'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in [titles, *lines]) + "</table>"


def _figures(results: Json, level: str) -> str:
    truth = results["set"]["truth_px"]
    head = ["matcher", *(("~" if is_uncertain(name, truth) else "") + title for name, title in COLUMNS.items())]
    head += ["median error, px", "correct matches", "RMSE, px"]
    head += [f"matching accuracy {px} px" for px in (1, 3, 5)] + ["inlier ratio", "seconds a pair", "failed"]
    rows = []
    for entry in ranked(results, level):
        figures, median = entry["figures"], entry["median_corner_error_px"]
        row = [entry["matcher"], *(percent(figures[name]) for name in COLUMNS)]
        row += ["failed" if median is None else f"{median:.2f}", f"{figures['correct_matches']['value']:.0f}"]
        row += [f"{figures['rmse_px']['value']:.2f}"]
        row += [percent(figures[f"matching_accuracy_{px}px"]) for px in (1, 3, 5)]
        rows.append([*row, percent(figures["inlier_ratio"]), f"{entry['seconds']['match']:.3g}", str(failures(entry))])
    return _table(head, rows)


def _comparisons(results: Json, level: str) -> str:
    head = ["first", "second", "AUC 10 px, difference", "only first succeeds", "only second succeeds", "p (McNemar)"]
    rows = [
        [
            entry["first"],
            entry["second"],
            percent(entry["auc_10px_difference"]),
            str(entry["only_first_succeeds"]),
            str(entry["only_second_succeeds"]),
            f"{entry['p_success']:.3g}",
        ]
        for entry in results["comparisons"]
        if entry["level"] == level
    ]
    summary = "<summary>Matchers against each other, pair by pair</summary>"
    return f"<details>{summary}{_table(head, rows)}</details>" if rows else ""


def _drawings(
    matcher: str, rows: pa.Table, pairs: Mapping[str, PairSource], level: str, levels: Mapping[str, Level]
) -> str:
    own = rows.filter(pc.equal(rows["matcher"], matcher))
    own = own.sort_by([("corner_error_px", "ascending"), ("pair", "ascending")])
    records = own.select(["pair", "corner_error_px", "estimate", "reason"]).to_pylist()
    best, worst = records[:DRAWN], records[DRAWN:][-DRAWN:]
    parts = [f"<h3>Best and worst pairs of {escape(matcher)}</h3>"]
    parts.append("<p>Image 0, image 1 (true outline green, found red), and image 0 laid on image 1 in squares.</p>")
    for record in [*best, *worst]:
        seen = at_level(pairs[record["pair"]].load(), level, levels)
        estimate = None if record["estimate"] is None else np.reshape(record["estimate"], (3, 3))
        error = record["corner_error_px"]
        outcome = f"{error:.2f} px" if np.isfinite(error) else f"failed: {record['reason']}"
        caption = escape(f"{record['pair']}: {outcome}")
        image = f'<img alt="{caption}" src="{draw_pair(seen, estimate)}">'
        parts.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
    return "".join(parts)


def _times(results: Json) -> str:
    steps = {
        "load": "reading",
        "warp": "warping",
        "match": "matching",
        "fit": "MAGSAC++",
        "fit_ransac": "RANSAC",
        "wall": "all",
    }
    rows = [
        [entry["matcher"], entry["level"], *(f"{1000 * entry['seconds'][step]:.1f}" for step in steps)]
        for entry in results["entries"]
    ]
    return "<h2>Milliseconds a pair (median)</h2>" + _table(["matcher", "level", *steps.values()], rows)


def _failures(results: Json) -> str:
    kinds = ("error", "crash", "timeout", "no model")
    rows = [
        [
            entry["matcher"],
            entry["level"],
            *(str(entry["failures"][kind]) for kind in kinds),
            "; ".join(f"{count} x {reason}" for reason, count in entry["reasons"].items()),
        ]
        for entry in results["entries"]
        if entry["reasons"]
    ]
    return "<h2>Failures</h2>" + (_table(["matcher", "level", *kinds, "commonest"], rows) if rows else "<p>None.</p>")


def _parameters(level: dict[str, Any] | None) -> str:
    if level is None:
        return "<p>The pairs as they are.</p>"
    return f"<p>{escape(', '.join(f'{name} {value:g}' for name, value in level.items() if name != 'kind'))}</p>"


def _success(results: Json) -> dict[str, dict[str, float]]:
    success: dict[str, dict[str, float]] = {}
    for entry in results["entries"]:
        success.setdefault(entry["matcher"], {})[entry["level"]] = entry["figures"]["success_10px"]["value"]
    return success


def _speed(results: Json) -> dict[str, tuple[float, float]]:
    """Return (seconds, AUC at 10 px) of each matcher, both averaged over levels."""
    grouped: dict[str, list[tuple[float, float]]] = {}
    for entry in results["entries"]:
        point = entry["seconds"]["match"], entry["figures"]["auc_10px"]["value"]
        grouped.setdefault(entry["matcher"], []).append(point)
    means = {name: np.mean(points, axis=0) for name, points in grouped.items()}
    return {name: (float(mean[0]), float(mean[1])) for name, mean in means.items()}


def _errors(rows: pa.Table) -> dict[str, np.ndarray]:
    matchers = sorted(set(rows["matcher"].to_pylist()))
    return {name: rows.filter(pc.equal(rows["matcher"], name))["corner_error_px"].to_numpy() for name in matchers}
