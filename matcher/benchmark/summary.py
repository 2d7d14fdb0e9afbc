"""From rows to results: figures with intervals by matcher and level, comparisons, failures. JSON-able."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from matcher.benchmark.metrics import auc, auc_step, share_within
from matcher.benchmark.readers import PairSpec
from matcher.benchmark.rows import FAILURES, ROWS
from matcher.benchmark.statistics import ConfidenceInterval, Values, bootstrap, compare
from raster.levels import CornerPerturbation, Level

SCHEMA_FILE = Path(__file__).with_name("results.schema.json")
AUC_PX = (3, 5, 10, 20)
SUCCESS_PX = (3, 5, 10)
COMPARED_PX = 10

Json = dict[str, Any]


def _mean(values: Values) -> float:
    return float(values.mean())


_STATISTICS: dict[str, tuple[str, Callable[[Values], float]]] = {
    **{f"auc_{px}px": ("corner_error_px", partial(auc, threshold_px=px)) for px in AUC_PX},
    **{f"success_{px}px": ("corner_error_px", partial(share_within, threshold_px=px)) for px in SUCCESS_PX},
    **{f"auc_step_{px}px": ("corner_error_px", partial(auc_step, threshold_px=px)) for px in AUC_PX},
    "auc_10px_ransac": ("corner_error_ransac_px", partial(auc, threshold_px=10)),
    "success_10px_ransac": ("corner_error_ransac_px", partial(share_within, threshold_px=10)),
    "correct_matches": ("correct", _mean),
    "matching_accuracy_1px": ("accuracy_1px", _mean),
    "matching_accuracy_3px": ("accuracy_3px", _mean),
    "matching_accuracy_5px": ("accuracy_5px", _mean),
    "rmse_px": ("rmse_px", _mean),
    "inlier_ratio": ("inlier_ratio", _mean),
}
"""Name of a figure -> the column it is made of, and how. Shares are 0 to 1."""


def summarise(rows: pa.Table, pairs: PairSpec, levels: Mapping[str, Level], environment: Mapping[str, Any]) -> Json:
    """Compute the results of a benchmark, as `results.schema.json` describes them.

    Args:
        rows: Table of `ROWS`, in any order.
        pairs: The set of pairs.
        levels: At least the levels that occur.
        environment: What the rows were measured with: lists of `hardware`, `commits` (of this project) and `days` (ISO
            8601); and `mapdata`, its version.
    """
    rows = rows.cast(ROWS).sort_by([(name, "ascending") for name in ("matcher", "level", "pair")])
    order = [name for name in levels if name in set(rows["level"].to_pylist())]
    matchers = sorted(set(rows["matcher"].to_pylist()))
    columns = {
        name: rows[name].to_numpy(zero_copy_only=False)
        for name in rows.column_names
        if name not in ("estimate", "truth")
    }
    groups = {
        (matcher, level): {
            name: values[(columns["matcher"] == matcher) & (columns["level"] == level)]
            for name, values in columns.items()
        }
        for matcher in matchers
        for level in order
    }
    groups = {key: group for key, group in groups.items() if len(group["pair"])}
    names = _own_names(rows)
    return {
        "set": {
            "name": pairs.name,
            "layout": pairs.layout,
            "pairs": len(set(rows["pair"].to_pylist())),
            "limit": pairs.limit,
            "truth_px": pairs.truth_px,
            "split": pairs.split if pairs.layout == "release" else None,
            "manifest": pairs.manifest_digest(),
        },
        "levels": {name: _describe(levels[name]) for name in order},
        "environment": {**environment, "system": platform.system(), "python": platform.python_version()},
        "entries": [_entry(matcher, names[matcher], level, group) for (matcher, level), group in groups.items()],
        "comparisons": _comparisons(groups, order),
        "headline": _headline(groups, matchers),
    }


def write_results(path: Path, results: Json) -> None:
    """Write results as JSON.

    Args:
        path: The file.
        results: What `summarise` returned.

    Raises:
        ValueError: They violate the schema, which is a fault of this module.
    """
    import jsonschema_rs

    jsonschema_rs.validate(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")), results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _own_names(rows: pa.Table) -> dict[str, str]:
    """Return how tables call each matcher: as it calls itself, with the name that loads it where that is another."""
    own: dict[str, str] = {}
    for matcher, name in zip(rows["matcher"].to_pylist(), rows["name"].to_pylist(), strict=True):
        own[matcher] = own.get(matcher) or name
    return {matcher: f"{name} ({matcher})" if name and name != matcher else matcher for matcher, name in own.items()}


def _entry(matcher: str, name: str, level: str, group: Mapping[str, np.ndarray]) -> Json:
    errors = group["corner_error_px"]
    median = float(np.median(errors))
    return {
        "matcher": matcher,
        "name": name,
        "level": level,
        "pairs": len(errors),
        "failures": {name: int((group["outcome"] == name).sum()) for name in (*FAILURES, "no model")},
        "median_corner_error_px": median if np.isfinite(median) else None,
        "figures": {
            name: _interval(bootstrap(group[column].astype(np.float64), statistic))
            for name, (column, statistic) in _STATISTICS.items()
        },
        "seconds": {
            name: float(np.median(group[f"{name}_s"]))
            for name in ("load", "warp", "match", "fit", "fit_ransac", "wall")
        },
        "reasons": dict(Counter(str(reason) for reason in group["reason"] if reason).most_common(5)),
    }


def _comparisons(groups: Mapping[tuple[str, str], Mapping[str, np.ndarray]], levels: Sequence[str]) -> list[Json]:
    """Compare each two matchers that saw the same pairs of a level, by the AUC at 10 px and by success."""
    found = []
    statistic = partial(auc, threshold_px=COMPARED_PX)
    for level in levels:
        present = sorted(matcher for matcher, other in groups if other == level)
        for index, first in enumerate(present):
            for second in present[index + 1 :]:
                a, b = groups[first, level], groups[second, level]
                if list(a["pair"]) != list(b["pair"]):
                    continue
                result = compare(a["corner_error_px"], b["corner_error_px"], statistic, COMPARED_PX)
                found.append(
                    {
                        "level": level,
                        "first": first,
                        "second": second,
                        "auc_10px_difference": _interval(result.difference),
                        "only_first_succeeds": result.only_first,
                        "only_second_succeeds": result.only_second,
                        "p_success": result.p_success,
                    }
                )
    return found


def _headline(groups: Mapping[tuple[str, str], Mapping[str, np.ndarray]], matchers: Sequence[str]) -> Json:
    """Return the few figures of each matcher that a dataset card prints: AUC at 10 px by level."""
    headline: dict[str, dict[str, float]] = {matcher: {} for matcher in matchers}
    for (matcher, level), group in groups.items():
        headline[matcher][f"AUC 10 px, {level}"] = auc(group["corner_error_px"], 10)
    return headline


def _interval(figure: ConfidenceInterval) -> Json:
    return {"value": figure.value, "low": figure.low, "high": figure.high}


def _describe(level: Level) -> Json | None:
    if level is None:
        return None
    kind = "corner perturbation" if isinstance(level, CornerPerturbation) else "homography"
    return {"kind": kind, **{name: float(value) for name, value in vars(level).items()}}
