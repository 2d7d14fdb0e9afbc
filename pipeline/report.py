"""What the commands print: tables for people, one JSON object for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from pipeline.ledger import Ledger, Record, State
from pipeline.leftovers import find_leftovers
from pipeline.run import Summary
from pipeline.workspace import Workspace, format_bytes

_SHOWN_FAILURES = 20


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(value, indent=1))


def remedy(failure: Record, command: str) -> str:
    """Return what to do about a failed unit, as a line for people.

    Args:
        failure: Row of the ledger in a failed state.
        command: The program that has `run`, `status` and `retry`, as its user types it.
    """
    if failure.state is State.FAILED_TRANSIENT:
        return "run again: it is tried again"
    if failure.traceback:
        return f"unexpected: its traceback is in `{command} status --json`; once fixed, `{command} retry` and run again"
    return f"fix what the reason names, then `{command} retry` and run again"


def failure_json(failure: Record, command: str) -> dict[str, Any]:
    """Return a failed unit as a JSON-able object, with its remedy.

    Args:
        failure: Row of the ledger in a failed state.
        command: The program that has `run`, `status` and `retry`, named in the remedy.

    Returns:
        Stage, name, state, attempts over all runs, reason, worker, times (ISO 8601 UTC), traceback and remedy.
    """
    fields = ("stage", "name", "state", "attempts", "reason", "worker", "started", "ended", "traceback")
    return {field: getattr(failure, field) for field in fields} | {"remedy": remedy(failure, command)}


def summary_json(summary: Summary, command: str) -> dict[str, Any]:
    """Return a run's summary as a JSON-able object.

    Args:
        summary: Of the run that ended.
        command: The program that has `run`, `status` and `retry`, named in the remedies.

    Returns:
        `run_id`, `seconds` of wall time to the millisecond, counts of states by stage, and the failures of the run.
    """
    return {
        "run_id": summary.run_id,
        "seconds": round(summary.seconds, 3),
        "stages": _counts_json(summary.counts),
        "failures": [failure_json(failure, command) for failure in summary.failures],
    }


def status_json(workspace: Workspace, ledger: Ledger, command: str) -> dict[str, Any]:
    """Return where a workspace stands as a JSON-able object.

    Args:
        workspace: May be in use by a run.
        ledger: Its ledger, open to read.
        command: The program that has `run`, `status` and `retry`, named in the remedies.

    Returns:
        The folder, `in_use_by` (who holds it, or None), counts of states by stage, all failures, and leftover files
        with sizes in bytes.
    """
    return {
        "workspace": str(workspace.root),
        "in_use_by": workspace.holder(),
        "stages": _counts_json(ledger.counts()),
        "failures": [failure_json(failure, command) for failure in ledger.failures()],
        "notes": [{"stage": stage, "name": name, "note": note} for stage, name, note in ledger.notes()],
        "leftovers": [asdict(leftover) for leftover in find_leftovers(workspace, ledger)],
    }


def print_summary(summary: Summary, workspace: Path, command: str) -> None:
    """Print how a run ended: states by stage, then the failures with what to do.

    Args:
        summary: Of the run that ended.
        workspace: Its folder, shown as given.
        command: The program that has `run`, `status` and `retry`, named in the remedies.
    """
    console = Console()
    console.print(_counts_table(_counts_json(summary.counts)))
    _print_failures(console, [failure_json(failure, command) for failure in summary.failures], command)
    ending = f"{len(summary.failures)} units failed" if summary.failures else "done"
    console.print(f"{ending} in {summary.seconds:.1f} s; workspace {workspace}", highlight=False, markup=False)


def print_status(status: Mapping[str, Any], command: str) -> None:
    """Print what `status_json` returned.

    Args:
        status: What `status_json` returned.
        command: The program that has `run`, `retry` and `prune`, named in what to do next.
    """
    console = Console()
    console.print(_counts_table(status["stages"]))
    _print_failures(console, status["failures"], command)
    for entry in status["notes"][:_SHOWN_FAILURES]:
        console.print(Text(f"{entry['stage']} {entry['name']}: {entry['note']}"), soft_wrap=True)
    if len(status["notes"]) > _SHOWN_FAILURES:
        console.print(
            f"... and {len(status['notes']) - _SHOWN_FAILURES:,} more: `{command} status --json` has them all"
        )
    if leftovers := status["leftovers"]:
        size = format_bytes(sum(leftover["size"] for leftover in leftovers))
        console.print(
            f"{len(leftovers):,} files ({size}) belong to no unit that is planned, such as {leftovers[0]['path']}; "
            f"`{command} prune` removes them",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    held = status["in_use_by"]
    running = sum(counts.get(State.RUNNING, 0) for counts in status["stages"].values())
    if held:
        line = f"in use by {held['purpose']} (process {held['pid']} on {held['host']}, since {held['since']})"
    elif running:
        line = f"no run is going on; {running} units were interrupted and are done again by the next `{command} run`"
    else:
        line = "no run is going on"
    console.print(line, highlight=False, markup=False)


def print_forecast(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what `forecast` returned.

    Args:
        name: Of the run, from its configuration.
        rows: One a stage, in order, one or more; amounts that are propagated are shown from the first.
    """
    table = Table("stage", *(_right(title) for title in ("units", "done", "requests", "download", "write", "time")))
    for row in rows:
        units = "?" if row["units"] is None else f"{'' if row['planned'] else '~'}{row['units']:,}"
        table.add_row(
            row["stage"],
            units,
            f"{row['finished']:,}",
            "?" if row["requests"] is None else f"{row['requests']:,}",
            "?" if row["downloaded"] is None else format_bytes(row["downloaded"]),
            "?" if row["written"] is None else format_bytes(row["written"]),
            "?" if row["seconds"] is None else _duration(row["seconds"]),
        )
    console = Console()
    console.print(f"{name}: the whole run, time on one worker", highlight=False, markup=False)
    console.print(table)
    if amounts := rows[0]["propagated"]:
        words = ", ".join(f"{value:,.10g} {name.replace('_', ' ')}" for name, value in amounts.items())
        console.print(words, highlight=False, markup=False)
    for row in rows:
        for host, load in row["hosts"].items():
            console.print(f"{row['stage']}, {host}: {_load(load)}", highlight=False, markup=False, soft_wrap=True)
    console.print("~ estimated from the configuration; ? known once the stages before it have ended", highlight=False)


def _counts_json(counts: Mapping[str, Mapping[State, int]]) -> dict[str, dict[str, int]]:
    return {
        stage: {state.value: by_state[state] for state in State if state in by_state}
        for stage, by_state in counts.items()
    }


def _counts_table(counts: Mapping[str, Mapping[str, int]]) -> Table:
    states = [state for state in State if any(state in by_state for by_state in counts.values())]
    table = Table("stage", _right("units"), *(_right(state.value) for state in states))
    for stage, by_state in counts.items():
        total = f"{sum(by_state.values()):,}"
        table.add_row(stage, total, *(f"{by_state[state]:,}" if by_state.get(state) else "" for state in states))
    return table


def _print_failures(console: Console, failures: Sequence[Mapping[str, Any]], command: str) -> None:
    if not failures:
        return
    for failure in failures[:_SHOWN_FAILURES]:
        tries = f"{failure['attempts']} {'try' if failure['attempts'] == 1 else 'tries'}"
        console.print(Text(f"{failure['stage']} {failure['name']}: {failure['state']} after {tries}", style="bold"))
        # Neither cut nor broken anywhere: paths and commands in them are copied.
        for line in (failure["reason"], f"-> {failure['remedy']}"):
            console.print(Text(f"  {line}"), soft_wrap=True)
    if len(failures) > _SHOWN_FAILURES:
        console.print(f"... and {len(failures) - _SHOWN_FAILURES:,} more: `{command} status --json` has them all")


def _right(title: str) -> Column:
    return Column(title, justify="right")


def _load(load: Mapping[str, Any]) -> str:
    """Return what a host gives as text: requests, bytes, and how long they take at the rates that it is asked at."""
    parts = [f"{load['requests']:,} requests"]
    if load["bytes"] is not None:
        parts.append(format_bytes(load["bytes"]))
    rates = []
    if load["requests_per_second"]:
        each = load["requests_per_second"]
        rates.append(f"{each:g} a second" if each >= 1 else f"{each * 3600:g} an hour")
    if load["bytes_per_second"]:
        rates.append(f"{load['bytes_per_second'] * 8e-6:g} Mbit/s")
    if not rates:
        return ", ".join([*parts, "no limit"])
    days = load["days"]
    time = f"{days:.1f} days" if days >= 2 else f"{days * 24:.1f} hours"
    return ", ".join([*parts, f"{time} at {' and '.join(rates)}"])


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
