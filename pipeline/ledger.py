"""The ledger: what became of every unit. One SQLite file, written only by the driver.

A row belongs to a unit's stage and name. It holds the key under which the unit was last planned, so a changed key shows
that the result is out of date. Rows of units that are no longer planned stay, marked, and count nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from pipeline.ledger_file import LedgerFile
from pipeline.stage import Outcome, Output, Result, Unit
from pipeline.workspace import now
from raster.strict_json import parse_json


class State(StrEnum):
    """Where a unit stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    NO_DATA = "no-data"
    REJECTED = "rejected"
    FAILED_TRANSIENT = "failed-transient"
    FAILED_PERMANENT = "failed-permanent"


FINISHED = frozenset({State.DONE, State.NO_DATA, State.REJECTED})
FAILED = frozenset({State.FAILED_TRANSIENT, State.FAILED_PERMANENT})
REFUSED = frozenset({State.NO_DATA, State.REJECTED})


@dataclass(frozen=True, slots=True)
class Record:
    """One unit's row. Times are ISO 8601 UTC; `attempts` counts over all runs under the same key."""

    stage: str
    name: str
    key: str
    state: State
    planned: bool
    attempts: int
    reason: str
    traceback: str
    worker: str
    started: str | None
    ended: str | None
    result: Result | None


_REMEMBER = """
INSERT OR REPLACE INTO replaced SELECT json_extract(entry.value, '$.path'), units.stage, units.name
FROM units, json_each(units.result, '$.outputs') AS entry
"""
_COLUMNS = "stage, name, key, state, planned, attempts, reason, traceback, worker, started, ended, result"


class Ledger(LedgerFile):
    """The open ledger. Use as a context manager; `read_only` for `status` beside a run that is going on."""

    def known_digests(self) -> dict[str, str]:
        """Return the digests of input files that `remember_digests` kept."""
        return dict(self._rows_if_there("digests", "SELECT file, digest FROM digests"))

    def remember_digests(self, digests: Mapping[str, str]) -> None:
        """Keep digests of input files."""
        with self._named(), self._db as db:
            db.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?)", digests.items())

    def set_stages(self, names: Sequence[str]) -> None:
        """Record the recipe: which stages, in which order. Units of other stages are no longer planned."""
        with self._named(), self._db as db:
            db.execute("DELETE FROM stages")
            db.executemany("INSERT INTO stages VALUES (?, ?)", [(name, ordinal) for ordinal, name in enumerate(names)])
            db.execute("UPDATE units SET planned = 0 WHERE stage NOT IN (SELECT name FROM stages)")

    def stages(self) -> list[str]:
        """Return the recipe's stages in order."""
        return [name for (name,) in self._rows("SELECT name FROM stages ORDER BY ordinal")]

    def replan(self, stage: str, units: Sequence[Unit], stale: Sequence[Unit]) -> None:
        """Make `units` the plan of a stage; those of them in `stale` start anew as PENDING.

        Args:
            stage: Name of the stage; other stages' units stay as they are.
            units: All of its units, in the order of the plan. Units of an earlier plan that are not among them keep
                their row but are planned no more: their files become leftovers. Facts are replaced by those of these
                units.
            stale: Those of which the ledger says nothing that still holds, new ones among them; their attempts count
                from 0 again.
        """
        with self._named(), self._db as db:
            # The files of a result that is thrown away may not be written again under another key.
            db.executemany(
                f"{_REMEMBER} WHERE units.stage = ? AND units.name = ?", [(unit.stage, unit.name) for unit in stale]
            )
            db.execute("UPDATE units SET planned = 0 WHERE stage = ?", (stage,))
            db.executemany(
                "INSERT OR REPLACE INTO units (stage, name, key, state, planned, ordinal) "
                "VALUES (?, ?, ?, 'pending', 1, 0)",
                [(unit.stage, unit.name, unit.key) for unit in stale],
            )
            db.executemany(
                "UPDATE units SET planned = 1, ordinal = ? WHERE stage = ? AND name = ?",
                [(ordinal, unit.stage, unit.name) for ordinal, unit in enumerate(units)],
            )
            db.execute("DELETE FROM facts WHERE stage = ?", (stage,))
            db.executemany(
                "INSERT INTO facts VALUES (?, ?, ?)",
                [(stage, unit.name, json.dumps(dict(unit.facts))) for unit in units if unit.facts],
            )

    def refresh(self, stage: str, results: Mapping[str, Result]) -> None:
        """Replace the results of units, by name, without touching anything else about them.

        Args:
            stage: Name of the stage that the units belong to.
            results: By unit name; those whose files were rewritten with the same content, and so have another time of
                change.
        """
        with self._named(), self._db as db:
            db.executemany(
                "UPDATE units SET result = ? WHERE stage = ? AND name = ?",
                [(_to_json(result), stage, name) for name, result in results.items()],
            )

    def leftovers(self) -> list[tuple[str, str, str]]:
        """Return (stage, unit, path) of files that units made once and that belong to no unit that is planned now."""
        made = "SELECT stage, name, result FROM units WHERE planned = ? AND result IS NOT NULL"
        replaced = self._rows_if_there("replaced", "SELECT path, stage, unit FROM replaced")
        found = {path: (stage, unit) for path, stage, unit in replaced}
        gone = self._rows(made, (0,))
        with self._named():
            found |= {entry.path: (stage, name) for stage, name, text in gone for entry in _from_json(text).outputs}
        if not found:
            return []  # to read all results of a full-size run takes seconds
        planned = self._rows(made, (1,))
        with self._named():
            kept = {entry.path for _, _, text in planned for entry in _from_json(text).outputs}
        return sorted((stage, unit, path) for path, (stage, unit) in found.items() if path not in kept)

    def forget_leftovers(self) -> None:
        """Remove the rows of units that are no longer planned, and what is known of files that were replaced."""
        with self._named(), self._db as db:
            db.execute("DELETE FROM replaced")
            db.execute("DELETE FROM units WHERE planned = 0")

    def start(self, units: Iterable[Unit]) -> None:
        """Mark units as RUNNING, one attempt more."""
        with self._named(), self._db as db:
            db.executemany(
                "UPDATE units SET state = 'running', attempts = attempts + 1, started = ?, ended = NULL "
                "WHERE stage = ? AND name = ?",
                [(now(), unit.stage, unit.name) for unit in units],
            )

    def finish(self, unit: Unit, result: Result, worker: str) -> None:
        """Record the result of a unit that ended DONE, NO_DATA or REJECTED.

        Args:
            unit: A unit of the plan that is RUNNING.
            result: Its outcome becomes the unit's state.
            worker: Where it was done, as host:process.
        """
        with self._named(), self._db as db:
            db.execute(
                "UPDATE units SET state = ?, reason = ?, traceback = '', worker = ?, ended = ?, result = ? "
                "WHERE stage = ? AND name = ?",
                (result.outcome.value, result.reason, worker, now(), _to_json(result), unit.stage, unit.name),
            )

    def fail(self, unit: Unit, state: State, reason: str, traceback: str, worker: str) -> None:
        """Record a failure; whatever result the unit had is dropped.

        Args:
            unit: A unit of the plan that is RUNNING.
            state: FAILED_TRANSIENT, also between two tries, or FAILED_PERMANENT.
            reason: One line for people, without secrets.
            traceback: Of an unexpected error; empty for others.
            worker: Where it failed, as host:process.
        """
        with self._named(), self._db as db:
            db.execute(
                "UPDATE units SET state = ?, reason = ?, traceback = ?, worker = ?, ended = ?, result = NULL "
                "WHERE stage = ? AND name = ?",
                (state.value, reason, traceback, worker, now(), unit.stage, unit.name),
            )

    def release(self) -> int:
        """Return interrupted (RUNNING) units to PENDING; return how many."""
        with self._named(), self._db as db:
            return db.execute("UPDATE units SET state = 'pending' WHERE state = 'running'").rowcount

    def reset(self, states: Iterable[State], stage: str | None, pattern: str) -> list[tuple[str, str]]:
        """Set planned units back to PENDING by state, stage and name; their results are dropped, their files become
        leftovers until written again.

        Args:
            states: States to set back, such as the failed ones.
            stage: Name of a stage; None takes all.
            pattern: Shell pattern of unit names (`*`, `?`, `[...]`), case-sensitive; "*" takes all.

        Returns:
            Stage and name of each, in the order of the plan.
        """
        wanted = [state.value for state in states]
        where = (
            f"planned = 1 AND state IN ({', '.join('?' * len(wanted))}) AND name GLOB ? AND (? IS NULL OR stage = ?)"
        )
        values = [*wanted, pattern, stage, stage]
        with self._named(), self._db as db:
            chosen = db.execute(
                f"SELECT stage, name FROM units WHERE {where} ORDER BY stage, ordinal", values
            ).fetchall()
            db.execute(f"{_REMEMBER} WHERE {where}", values)
            db.execute(f"UPDATE units SET state = 'pending', result = NULL, reason = '' WHERE {where}", values)
        return chosen

    def records(self, stage: str) -> dict[str, Record]:
        """Return every row of a stage by unit name, planned or not."""
        rows = self._rows(f"SELECT {_COLUMNS} FROM units WHERE stage = ?", (stage,))
        with self._named():
            return {row[1]: _record(row) for row in rows}

    def failures(self) -> list[Record]:
        """Return the planned units that failed, in the order of the recipe."""
        return self.in_states(FAILED)

    def in_states(self, states: Iterable[State]) -> list[Record]:
        """Return the planned units in any of `states`, in the order of the recipe."""
        wanted = [state.value for state in states]
        columns = ", ".join(f"units.{column}" for column in _COLUMNS.split(", "))
        query = (
            f"SELECT {columns} FROM units JOIN stages ON stages.name = units.stage "
            f"WHERE planned = 1 AND state IN ({', '.join('?' * len(wanted))}) ORDER BY stages.ordinal, units.ordinal"
        )
        rows = self._rows(query, wanted)
        with self._named():
            return [_record(row) for row in rows]

    def results(self, stage: str) -> dict[str, Result]:
        """Return the results of a stage's planned units that ended without failure, in the order of the plan.

        Their data hold the facts of the latest plan.
        """
        facts = dict(self._rows_if_there("facts", "SELECT name, facts FROM facts WHERE stage = ?", (stage,)))
        query = (
            "SELECT name, result FROM units WHERE stage = ? AND planned = 1 "
            "AND state IN ('done', 'no-data', 'rejected') ORDER BY ordinal"
        )
        rows = self._rows(query, (stage,))
        with self._named():
            return {name: _with_facts(_from_json(text), facts.get(name, "{}")) for name, text in rows}

    def notes(self) -> list[tuple[str, str, str]]:
        """Return stage, unit and text of all `notes` in the data of results, in the order of the recipe."""
        rows = self._rows(
            "SELECT units.stage, units.name, result FROM units JOIN stages ON stages.name = units.stage "
            "WHERE planned = 1 AND instr(result, '\"notes\":[') > 0 ORDER BY stages.ordinal, units.ordinal"
        )
        with self._named():
            return [(stage, name, note) for stage, name, text in rows for note in _from_json(text).data["notes"]]

    def said(self) -> list[str]:
        """Return what the results that stand say of themselves (`said` in their data), in the order of the recipe."""
        query = (
            "SELECT json_extract(result, '$.data.said') FROM units JOIN stages ON stages.name = units.stage WHERE "
            "planned = 1 AND state = 'done' AND instr(result, '\"said\":') > 0 "
            "AND json_extract(result, '$.data.said') IS NOT NULL "
            "ORDER BY stages.ordinal, units.ordinal"
        )
        return [str(text) for (text,) in self._rows(query)]

    def counts(self) -> dict[str, dict[State, int]]:
        """Return how many planned units are in which state, by stage in the order of the recipe."""
        counts: dict[str, dict[State, int]] = {stage: {} for stage in self.stages()}
        for stage, state, count in self._rows(
            "SELECT stage, state, count(*) FROM units WHERE planned = 1 GROUP BY stage, state"
        ):
            with self._named():
                counts[stage][State(state)] = count
        return counts


def _record(row: tuple[Any, ...]) -> Record:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    state, planned, result = State(fields["state"]), bool(fields["planned"]), fields["result"]
    return Record(**fields | {"state": state, "planned": planned, "result": _from_json(result) if result else None})


def _with_facts(result: Result, facts: str) -> Result:
    return replace(result, data={**result.data, **parse_json(facts)})


def _to_json(result: Result) -> str:
    return json.dumps(asdict(result), separators=(",", ":"), allow_nan=False)


def _from_json(text: str) -> Result:
    fields = parse_json(text)
    outputs = tuple(Output(**entry) for entry in fields["outputs"])
    return Result(outputs, fields["data"], Outcome(fields["outcome"]), fields["reason"])
