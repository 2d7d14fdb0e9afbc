"""What the commands print: tables for people, one JSON object for scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from pipeline.forecast import totals
from pipeline.ledger import REFUSED, Ledger, Record, State
from pipeline.leftovers import find_leftovers
from pipeline.run import Summary
from pipeline.unit_progress import read_standings
from pipeline.workspace import Workspace
from raster.disk import format_bytes

_SHOWN_UNITS = 20
_PICTURES = (".jpg", ".png", ".webp")


@dataclass(frozen=True)
class Program:
    """The program that prints: what it is called, and what it knows of the stages that the engine does not.

    Attributes:
        name: Of the command that has `run`, `status` and `retry`.
        next_step: Says what to do about a unit that ended without data or was rejected, in a workspace; None where that
            only follows from another unit, which is listed itself.
    """

    name: str
    next_step: Callable[[Record, Path], str | None] = lambda record, root: ""


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


def refused_json(units: Sequence[Record], root: Path, program: Program) -> list[dict[str, Any]]:
    """Return the units that ended without data or were rejected: why, their pictures, what to do; without mere effects.

    Args:
        units: Their rows.
        root: The workspace.
        program: The program that prints.
    """
    found = []
    for unit in units:
        step = program.next_step(unit, root)
        if step is not None:
            outputs = unit.result.outputs if unit.result is not None else ()
            pictures = [str(root / entry.path) for entry in outputs if entry.path.endswith(_PICTURES)]
            fields = {field: getattr(unit, field) for field in ("stage", "name", "state", "reason")}
            found.append(fields | {"pictures": pictures, "next": step})
    return found


def summary_json(summary: Summary, workspace: Path, program: Program) -> dict[str, Any]:
    """Return a run's summary as a JSON-able object.

    Args:
        summary: Of the run that ended.
        workspace: Its folder.
        program: The program that prints: its name and its next steps.

    Returns:
        `run_id`, `seconds` of wall time to the millisecond, counts of states by stage, and the failures of the run.
    """
    refused = refused_json(summary.refused, workspace, program)
    return {
        "run_id": summary.run_id,
        "seconds": round(summary.seconds, 3),
        "outcome": _outcome(summary.said, refused, len(summary.failures)),
        "stages": _counts_json(summary.counts),
        "failures": [failure_json(failure, program.name) for failure in summary.failures],
        "refused": refused,
    }


def status_json(workspace: Workspace, ledger: Ledger, program: Program) -> dict[str, Any]:
    """Return where a workspace stands as a JSON-able object.

    Args:
        workspace: May be in use by a run.
        ledger: Its ledger, open to read.
        program: The program that prints: its name and its next steps.

    Returns:
        The folder, `in_use_by` (who holds it, or None), counts of states by stage, all failures, and leftover files
        with sizes in bytes.
    """
    failures = ledger.failures()
    refused = refused_json(ledger.in_states(REFUSED), workspace.root, program)
    running = {(unit.stage, unit.name) for unit in ledger.in_states({State.RUNNING})}
    standings = [each for each in read_standings(workspace.root) if (each.stage, each.unit) in running]
    holder = workspace.holder()
    return {
        "workspace": str(workspace.root),
        "in_use_by": holder,
        "outcome": _outcome(ledger.said(), refused, len(failures)),
        "stages": _counts_json(ledger.counts()),
        "running": [asdict(each) | {"said": str(each)} for each in standings] if holder else [],
        "failures": [failure_json(failure, program.name) for failure in failures],
        "refused": refused,
        "notes": [{"stage": stage, "name": name, "note": note} for stage, name, note in ledger.notes()],
        "leftovers": [asdict(leftover) for leftover in find_leftovers(workspace, ledger)],
    }


def print_summary(summary: Summary, workspace: Path, program: Program) -> None:
    """Print how a run ended: states by stage, the units that failed or were refused with what to do, and one line.

    Args:
        summary: Of the run that ended.
        workspace: Its folder, shown as given.
        program: The program that prints: its name and its next steps.
    """
    console = Console()
    found = summary_json(summary, workspace, program)
    console.print(_counts_table(found["stages"]))
    _print_refused(console, found["refused"], program.name)
    _print_failures(console, found["failures"], program.name)
    ending = "failed" if summary.failures else "done"
    line = f"{ending} in {summary.seconds:.1f} s: {found['outcome']}; workspace {workspace}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_status(status: Mapping[str, Any], program: Program) -> None:
    """Print what `status_json` returned.

    Args:
        status: What `status_json` returned.
        program: The program that prints: its name and its next steps.
    """
    console = Console()
    command = program.name
    console.print(_counts_table(status["stages"]))
    for unit in status["running"]:
        console.print(Text(f"{unit['stage']} {unit['unit']}: {unit['said']}"), soft_wrap=True)
    _print_refused(console, status["refused"], command)
    _print_failures(console, status["failures"], command)
    for entry in status["notes"][:_SHOWN_UNITS]:
        console.print(Text(f"{entry['stage']} {entry['name']}: {entry['note']}"), soft_wrap=True)
    if len(status["notes"]) > _SHOWN_UNITS:
        console.print(f"... and {len(status['notes']) - _SHOWN_UNITS:,} more: `{command} status --json` has them all")
    console.print(status["outcome"], highlight=False, markup=False, soft_wrap=True)
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
    """Print what `forecast` returned, its totals, and all that is needed before a run.

    Args:
        name: Of the run, from its configuration.
        rows: One a stage, in order, one or more; amounts that are propagated are shown from the first.
    """
    table = Table("stage", *(_right(title) for title in ("units", "done", "requests", "download", "write", "time")))
    for row in rows:
        units = "?" if row["units"] is None else f"{'' if row['planned'] else '~'}{row['units']:,}"
        table.add_row(row["stage"], units, f"{row['finished']:,}", *_amounts(row))
    whole = totals(rows)
    table.add_section()
    table.add_row("total", "", "", *_amounts(whole))
    console = Console()
    console.print(f"{name}: the whole run, time on one worker", highlight=False, markup=False)
    console.print(table)
    lines = []
    if amounts := rows[0]["propagated"]:
        lines.append(", ".join(f"{value:,.10g} {name.replace('_', ' ')}" for name, value in amounts.items()))
    for host, load in _by_host(rows):
        lines.append(f"{host}: {_load(load)}")
    for what, cost in (item for row in rows for item in row["cost"].items()):
        lines.append(f"{what}: costs {cost:,.2f}")
    if whole["cost"] is None and whole["requests"]:
        lines.append("cost: unknown, no cost per request is configured")
    lines.append("~ estimated from the configuration; ? known once the stages before it have ended")
    if whole["needs"]:
        lines += ["needed before a run:", *(f"- {need}" for need in whole["needs"])]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _amounts(row: Mapping[str, Any]) -> list[str]:
    """Return the cells of a row of the forecast: requests, bytes and time; "?" for what is not known."""
    formats: dict[str, Callable[[Any], str]] = {
        "requests": "{:,}".format, "downloaded": format_bytes, "written": format_bytes, "seconds": _duration,
    }  # fmt: skip
    return ["?" if row[name] is None else form(row[name]) for name, form in formats.items()]


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
    for failure in failures[:_SHOWN_UNITS]:
        tries = f"{failure['attempts']} {'try' if failure['attempts'] == 1 else 'tries'}"
        console.print(Text(f"{failure['stage']} {failure['name']}: {failure['state']} after {tries}", style="bold"))
        # Neither cut nor broken anywhere: paths and commands in them are copied.
        for line in (failure["reason"], f"-> {failure['remedy']}"):
            console.print(Text(f"  {line}"), soft_wrap=True)
    if len(failures) > _SHOWN_UNITS:
        console.print(f"... and {len(failures) - _SHOWN_UNITS:,} more: `{command} status --json` has them all")


def _print_refused(console: Console, refused: Sequence[Mapping[str, Any]], command: str) -> None:
    for unit in refused[:_SHOWN_UNITS]:
        console.print(Text(f"{unit['stage']} {unit['name']}: {unit['state']}", style="bold"))
        steps = [f"-> {unit['next']}"] if unit["next"] else []
        for line in (unit["reason"], *(f"see {path}" for path in unit["pictures"]), *steps):
            console.print(Text(f"  {line}"), soft_wrap=True)
    if len(refused) > _SHOWN_UNITS:
        console.print(f"... and {len(refused) - _SHOWN_UNITS:,} more: `{command} status --json` has them all")


def _outcome(said: Sequence[str], refused: Sequence[Mapping[str, Any]], failures: int) -> str:
    """Return what came of a run, in one line: what its stages say, units that were refused by stage, and failures."""
    counts = Counter((unit["stage"], unit["state"]) for unit in refused)
    parts = [*said, *(f"{stage}: {count:,} {state}" for (stage, state), count in counts.items())]
    if failures:
        parts.append(f"{failures:,} units failed")
    return "; ".join(parts) or "nothing was refused"


def _right(title: str) -> Column:
    return Column(title, justify="right")


_ADDED = ("requests", "bytes", "days")


def _by_host(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each host gives to all stages together; one that is asked at two rates comes twice."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for host, load in (item for row in rows for item in row["hosts"].items()):
        key = (host, load["requests_per_second"], load["bytes_per_second"])
        known = found.get(key, {})
        found[key] = {
            **load,
            **{name: (known[name] or 0) + load[name] for name in _ADDED if known and load[name] is not None},
        }
    return ((key[0], load) for key, load in found.items())


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
