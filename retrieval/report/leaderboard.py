"""A leaderboard of results that were measured on several machines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from blake3 import blake3

from raster.strict_json import JsonError, read_json
from retrieval.errors import RetrievalError
from retrieval.statistics import compare_by_landmark

_FORMAT = "mapdata retrieval results 1"
_FIGURES = (
    "median rank",
    "mAP@1k",
    "R@1",
    "R@5",
    "R@10",
    "within 25 km",
    "within 200 km",
    "within 750 km",
    "median km",
)
_ASCENDING = {"median rank", "median km"}
_SAME = 1e-6


def read_results(path: Path) -> dict[str, Any]:
    """Read a `results.json`, or that of a folder; `folder` is where the tables of its queries lie.

    Raises:
        RetrievalError: It is missing or no such file.
    """
    file = path / "results.json" if path.is_dir() else path
    try:
        value = read_json(file)
    except (OSError, JsonError) as error:
        raise RetrievalError(f"{file}: cannot be read ({error}); `mapdata evaluate` writes it") from error
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        raise RetrievalError(f"{file}: no results of retrieval of this version; measure again")
    return {**value, "folder": file.parent}


def write_leaderboard(results: Sequence[dict[str, Any]]) -> str:
    """Return a leaderboard as Markdown.

    There is a table for every dataset, task, protocol and kind of search, so that only what can be compared stands
    together. A model that was measured on several machines has one row if the figures agree, and a row each with a note
    if they do not.
    Each model is compared with the first one on the same queries (see `compare_by_landmark`), where both have tables.

    Args:
        results: What `read_results` gave, in any order.

    Raises:
        RetrievalError: There are no results.
    """
    if not results:
        raise RetrievalError("no results; name folders that `mapdata evaluate` wrote")
    identities: dict[str, set[str]] = defaultdict(set)
    for each in results:
        identities[each["model"]].add(each["identity"])
    tables: dict[tuple[str, str, str, str], list[tuple[str, str, dict[str, Any]]]] = defaultdict(list)
    for each in results:
        # Two models may have one name, such as weights of two trainings.
        several = len(identities[each["model"]]) > 1
        model = f"{each['model']} [{blake3(each['identity'].encode()).hexdigest()[:8]}]" if several else each["model"]
        for entry in each["results"]:
            protocol = f", protocol {entry['protocol']}" if "R@1" in entry["figures"] else ""
            approximate = each.get("search", "exact") != "exact"  # earlier versions had no other
            searched = f", {each['search']} search" if approximate else ""
            dataset = each["dataset"]
            key = (dataset["name"], dataset["digest"], entry["task"], protocol + searched)
            table = each["folder"] / f"{entry['task'].replace(' ', '-')}-{entry['protocol']}.parquet"
            tables[key].append((model, each["machine"]["name"], {**entry, "queries_of": table}))
    lines = ["# Leaderboard", ""]
    for (name, digest, task, under), entries in sorted(tables.items()):
        first = entries[0][2]
        lines += [
            f"## {_text(name)}: {task}{under}",
            "",
            f"{first['queries']} queries, {first['gallery']} items; {digest}.",
            "",
        ]
        lines += [*_table(entries), ""]
    return "\n".join(lines)


def _table(entries: Sequence[tuple[str, str, dict[str, Any]]]) -> list[str]:
    columns = [name for name in _FIGURES if name in entries[0][2]["figures"]]
    by = columns[0] if columns[0] in _ASCENDING else columns[-1]
    rows = sorted(_merged(entries, columns), key=lambda row: (_value(row[2], by), row[0], row[1]))
    figure = "MRR" if "MRR" in entries[0][2]["figures"] else "error_km"
    lines = [
        f"| model | {' | '.join(columns)} | {figure} less the first's | machines |",
        f"|---|{'---:|' * (len(columns) + 1)}---|",
    ]
    for model, machines, entry in rows:
        cells = [_cell(entry["figures"][name], name) for name in columns]
        cells.append("" if entry is rows[0][2] else _compared(entry["queries_of"], rows[0][2]["queries_of"], figure))
        lines.append(f"| {_text(model)} | {' | '.join(cells)} | {_text(machines)} |")
    return lines


def _text(name: str) -> str:
    """Return a name so that it neither ends a cell nor a line of a table."""
    return " ".join(name.split()).replace("|", "\\|")


def _compared(table: Path, first: Path, figure: str) -> str:
    """Return how far a model is from the first on the same queries, or nothing where a table of queries is missing."""
    try:
        own, other = (pq.read_table(file, columns=["query", "landmark", figure]) for file in (table, first))
    except (OSError, ValueError):
        return ""
    if not (own["query"].equals(other["query"]) and own["landmark"].equals(other["landmark"])):
        return ""
    test = compare_by_landmark(own[figure].to_numpy(), other[figure].to_numpy(), own["landmark"].to_numpy())
    gap = test.difference
    return f"{gap.value:+.3g} ({gap.low:+.3g} to {gap.high:+.3g}), p {test.p_value:.2g}"


def _merged(
    entries: Sequence[tuple[str, str, dict[str, Any]]], columns: Sequence[str]
) -> list[tuple[str, str, dict[str, Any]]]:
    groups: list[tuple[str, list[str], dict[str, Any]]] = []
    for model, machine, entry in entries:
        for other, machines, known in groups:
            if other == model and all(abs(_value(entry, name) - _value(known, name)) <= _SAME for name in columns):
                if machine not in machines:
                    machines.append(machine)
                break
        else:
            groups.append((model, [machine], entry))
    counts = [sum(other == model for other, *_ in groups) for model, *_ in groups]
    return [
        (model, ", ".join(sorted(machines)) + (" (figures differ between machines)" if count > 1 else ""), entry)
        for (model, machines, entry), count in zip(groups, counts, strict=True)
    ]


def _value(entry: dict[str, Any], name: str) -> float:
    return float(entry["figures"][name]["value"])


def _cell(figure: dict[str, float], name: str) -> str:
    share = name not in _ASCENDING
    value, low, high = (
        f"{100 * each:.1f}" if share else f"{each:.4g}" for each in (figure["value"], figure["low"], figure["high"])
    )
    return f"{value} ({low}-{high})"
