"""The leaderboard as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

AUC_CONVENTIONS = (
    "AUC: area under the cumulative curve of mean corner errors up to the threshold, piecewise linear from the origin "
    "through each pair's error, as in SuperGlue's evaluation, and drawn so; step AUC: that of the step curve, without "
    "interpolation, so that a pair counts 1 - error / threshold."
)

COLUMNS: dict[str, str] = {
    "auc_3px": "AUC 3 px",
    "auc_5px": "AUC 5 px",
    "auc_10px": "AUC 10 px",
    "auc_20px": "AUC 20 px",
    "auc_step_10px": "step AUC 10 px",
    "success_3px": "success 3 px",
    "success_5px": "success 5 px",
    "success_10px": "success 10 px",
    "success_10px_ransac": "success 10 px, RANSAC",
}


def write_leaderboard(results: Json) -> str:
    """Return a table over all levels, then one a level, with 95% intervals and what must be said beside them.

    Best AUC at 10 px first, its mean over the levels in the table of all.
    """
    found = results["set"]
    parts = [f"# Benchmark: {found['name']}", _preamble(results), _overview(results)]
    for level in results["levels"]:
        entries = ranked(results, level)
        parts.append(f"## {level}\n\n" + "\n".join([*_head(found["truth_px"]), *(_line(entry) for entry in entries)]))
    return "\n\n".join(parts) + "\n"


def ranked(results: Json, level: str) -> list[Json]:
    """Return the entries of a level, best first.

    Args:
        results: Content of results.json.
        level: A level of the results; another has no entries.

    Returns:
        By area under the curve of corner errors up to 10 px, ties by name.
    """
    entries = [entry for entry in results["entries"] if entry["level"] == level]
    return sorted(entries, key=lambda entry: (-entry["figures"]["auc_10px"]["value"], entry["matcher"]))


def percent(figure: Json) -> str:
    """Return a share as a percentage with its interval: "85.0 (80.1-89.7)"."""
    return f"{100 * figure['value']:.1f} ({100 * figure['low']:.1f}-{100 * figure['high']:.1f})"


def caveat(truth_px: float | None) -> str:
    """Return the note on thresholds below the uncertainty of the ground truth, "" if it is not known."""
    if truth_px is None:
        return ""
    return (
        f"The ground truth of this set is itself uncertain by about {truth_px:g} px: figures at thresholds up to that "
        "(marked ~) are not reliable; prefer those at larger ones."
    )


def is_uncertain(name: str, truth_px: float | None) -> bool:
    """Return whether a figure's threshold is at most the uncertainty of the ground truth.

    Args:
        name: Of a figure, such as "auc_3px"; one without a threshold is never uncertain.
        truth_px: Uncertainty of the set's ground truth in px; None if it is not known.
    """
    digits = "".join(character for character in name.partition("px")[0] if character.isdigit())
    return truth_px is not None and bool(digits) and int(digits) <= truth_px


def failures(entry: Json) -> int:
    """Return on how many pairs the matcher failed to run: errors, crashes and time-outs."""
    return sum(entry["failures"][name] for name in ("error", "crash", "timeout"))


def measured(results: Json) -> str:
    """Return a sentence on how many pairs, when, on what and with which code."""
    found, made = results["set"], results["environment"]
    pairs = f"{found['pairs']} pairs" + (", evenly spaced over the set" if found["limit"] == found["pairs"] else "")
    days = " to ".join(dict.fromkeys((made["days"][0], made["days"][-1]))) if made["days"] else ""
    commits = [commit for commit in made["commits"] if commit]
    code = f"mapdata {made['mapdata']}" + (f" at commit {', '.join(commits)}" if commits else "")
    return f"{pairs}, measured {days} on {'; '.join(made['hardware'])}, {code}"


def _preamble(results: Json) -> str:
    lines = [
        f"{measured(results)}.",
        f"Percent, with 95% bootstrap intervals over pairs. {AUC_CONVENTIONS} "
        "Homographies by MAGSAC++ (3 px, 10,000 iterations), by RANSAC in the column that says so; failures "
        "count as infinite errors.",
        caveat(results["set"]["truth_px"]),
    ]
    return "\n\n".join(line for line in lines if line)


def _overview(results: Json) -> str:
    levels = list(results["levels"])
    by_matcher: dict[str, dict[str, Json]] = {}
    for entry in results["entries"]:
        by_matcher.setdefault(entry["name"], {})[entry["level"]] = entry

    def worst_last(matcher: str) -> tuple[float, str]:
        found = [entry["figures"]["auc_10px"]["value"] for entry in by_matcher[matcher].values()]
        return -sum(found) / len(found), matcher

    lines = ["## All levels: success within 10 px", "", "| matcher | " + " | ".join(levels) + " | seconds a pair |"]
    lines.append("|---" + "|---:" * (len(levels) + 1) + "|")
    for matcher in sorted(by_matcher, key=worst_last):
        entries = by_matcher[matcher]
        cells = [percent(entries[level]["figures"]["success_10px"]) if level in entries else "" for level in levels]
        times = [entry["seconds"]["match"] for entry in entries.values()]
        seconds = "-".join(dict.fromkeys(f"{time:.2g}" for time in (min(times), max(times))))
        lines.append("| " + " | ".join([matcher, *cells, seconds]) + " |")
    return "\n".join(lines)


def _head(truth_px: float | None) -> Sequence[str]:
    names = [("~" if is_uncertain(name, truth_px) else "") + title for name, title in COLUMNS.items()]
    names = ["matcher", *names, "correct matches", "seconds a pair", "failed"]
    return ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]


def _line(entry: Json) -> str:
    cells = [percent(entry["figures"][name]) for name in COLUMNS]
    correct, seconds = entry["figures"]["correct_matches"]["value"], entry["seconds"]["match"]
    cells = [entry["name"], *cells, f"{correct:.0f}", f"{seconds:.3g}", str(failures(entry))]
    return "| " + " | ".join(cells) + " |"
