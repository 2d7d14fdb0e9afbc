"""The benchmark's report: results.json, leaderboard.md, and one self-contained report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from matcher.benchmark.drawings import draw_pair
from matcher.benchmark.leaderboard import (
    AUC_CONVENTIONS,
    COLUMNS,
    caveat,
    failures,
    is_uncertain,
    measured,
    percent,
    ranked,
    write_leaderboard,
)
from matcher.benchmark.levels import at_level
from matcher.benchmark.pairs import PairSource
from matcher.benchmark.plots import cumulative_errors, runtime_and_accuracy, success_by_level
from matcher.benchmark.summary import Json, write_results
from raster.levels import Level

DRAWN = 3
"""Pairs drawn of the best and of the worst, for the best matcher of each level."""

LIMIT_PX = 20.0


def write_report(
    folder: Path, results: Json, rows: pa.Table, pairs: Sequence[PairSource], levels: Mapping[str, Level]
) -> None:
    """Write `results.json`, `leaderboard.md` and `report.html`.

    Args:
        folder: Where to.
        results: What `summarise` returned.
        rows: The rows that it was computed from.
        pairs: The pairs, which are read again for the pictures; none draws none.
        levels: The levels.

    Raises:
        InputError: A pair of a picture cannot be read.
    """
    write_results(folder / "results.json", results)
    (folder / "leaderboard.md").write_text(write_leaderboard(results), encoding="utf-8")
    (folder / "report.html").write_text(_html(results, rows, pairs, levels), encoding="utf-8")


def _html(results: Json, rows: pa.Table, pairs: Sequence[PairSource], levels: Mapping[str, Level]) -> str:
    found = results["set"]
    by_name = {pair.name: pair for pair in pairs}
    parts = []
    for level, parameters in results["levels"].items():
        chosen = rows.filter(pc.equal(rows["level"], level))
        best = ranked(results, level)[0]
        parts.append(
            {
                "name": level,
                "parameters": _parameters(parameters),
                "figures": _figures(results, level),
                "curves": Markup(cumulative_errors(_errors(results, level, chosen), LIMIT_PX)),
                "comparisons": _comparisons(results, level),
                "best": best["name"],
                "drawings": _drawings(best["matcher"], chosen, by_name, level, levels) if pairs else [],
            }
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html.j2").render(
        title=f"Benchmark: {found['name']}",
        measured=measured(results),
        python=results["environment"]["python"],
        note=caveat(found["truth_px"]),
        conventions=AUC_CONVENTIONS,
        success=Markup(success_by_level(_success(results), list(results["levels"]))),
        speed=Markup(runtime_and_accuracy(_speed(results))),
        levels=parts,
        times=_times(results),
        failures=_failures(results),
    )


Table = tuple[Sequence[str], list[list[str]]]
"""Titles of the columns, and rows."""


def _figures(results: Json, level: str) -> Table:
    truth = results["set"]["truth_px"]
    head = ["matcher", *(("~" if is_uncertain(name, truth) else "") + title for name, title in COLUMNS.items())]
    head += ["median error, px", "correct matches", "RMSE, px"]
    head += [f"matching accuracy {px} px" for px in (1, 3, 5)] + ["inlier ratio", "seconds a pair", "failed"]
    rows = []
    for entry in ranked(results, level):
        figures, median = entry["figures"], entry["median_corner_error_px"]
        row = [entry["name"], *(percent(figures[name]) for name in COLUMNS)]
        row += ["failed" if median is None else f"{median:.2f}", f"{figures['correct_matches']['value']:.0f}"]
        row += [f"{figures['rmse_px']['value']:.2f}"]
        row += [percent(figures[f"matching_accuracy_{px}px"]) for px in (1, 3, 5)]
        rows.append([*row, percent(figures["inlier_ratio"]), f"{entry['seconds']['match']:.3g}", str(failures(entry))])
    return head, rows


def _comparisons(results: Json, level: str) -> Table:
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
    return head, rows


def _drawings(
    matcher: str, rows: pa.Table, pairs: Mapping[str, PairSource], level: str, levels: Mapping[str, Level]
) -> list[dict[str, str]]:
    own = rows.filter(pc.equal(rows["matcher"], matcher))
    own = own.sort_by([("corner_error_px", "ascending"), ("pair", "ascending")])
    records = own.select(["pair", "corner_error_px", "estimate", "reason"]).to_pylist()
    best, worst = records[:DRAWN], records[DRAWN:][-DRAWN:]
    drawn = []
    for record in [*best, *worst]:
        seen = at_level(pairs[record["pair"]].load(), level, levels)
        estimate = None if record["estimate"] is None else np.reshape(record["estimate"], (3, 3))
        error = record["corner_error_px"]
        outcome = f"{error:.2f} px" if np.isfinite(error) else f"failed: {record['reason']}"
        drawn.append({"caption": f"{record['pair']}: {outcome}", "image": draw_pair(seen, estimate)})
    return drawn


def _times(results: Json) -> Table:
    steps = {
        "load": "reading",
        "warp": "warping",
        "match": "matching",
        "fit": "MAGSAC++",
        "fit_ransac": "RANSAC",
        "wall": "all",
    }
    rows = [
        [entry["name"], entry["level"], *(f"{1000 * entry['seconds'][step]:.1f}" for step in steps)]
        for entry in results["entries"]
    ]
    return ["matcher", "level", *steps.values()], rows


def _failures(results: Json) -> Table:
    kinds = ("error", "crash", "timeout", "no model")
    rows = [
        [
            entry["name"],
            entry["level"],
            *(str(entry["failures"][kind]) for kind in kinds),
            "; ".join(f"{count} x {reason}" for reason, count in entry["reasons"].items()),
        ]
        for entry in results["entries"]
        if entry["reasons"]
    ]
    return ["matcher", "level", *kinds, "commonest"], rows


def _parameters(level: dict[str, Any] | None) -> str:
    if level is None:
        return "The pairs as they are."
    return ", ".join(f"{name} {value:g}" for name, value in level.items() if name != "kind")


def _success(results: Json) -> dict[str, dict[str, float]]:
    success: dict[str, dict[str, float]] = {}
    for entry in results["entries"]:
        success.setdefault(entry["name"], {})[entry["level"]] = entry["figures"]["success_10px"]["value"]
    return success


def _speed(results: Json) -> dict[str, tuple[float, float]]:
    """Return (seconds, AUC at 10 px) of each matcher, both averaged over levels."""
    grouped: dict[str, list[tuple[float, float]]] = {}
    for entry in results["entries"]:
        point = entry["seconds"]["match"], entry["figures"]["auc_10px"]["value"]
        grouped.setdefault(entry["name"], []).append(point)
    means = {name: np.mean(points, axis=0) for name, points in grouped.items()}
    return {name: (float(mean[0]), float(mean[1])) for name, mean in means.items()}


def _errors(results: Json, level: str, rows: pa.Table) -> dict[str, np.ndarray]:
    named = {entry["matcher"]: entry["name"] for entry in results["entries"] if entry["level"] == level}
    return {
        name: rows.filter(pc.equal(rows["matcher"], matcher))["corner_error_px"].to_numpy()
        for matcher, name in sorted(named.items())
    }
