"""What a run would cost, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.digests import DigestCache
from pipeline.errors import PermanentError
from pipeline.ledger import Ledger
from pipeline.planning import plan_stage, results_before
from pipeline.stage import Estimate, Result, RunView, Stage
from pipeline.workspace import Workspace


def forecast(stages: Sequence[Stage[Any]], seed: int, workspace: Path | None) -> list[dict[str, Any]]:
    """Work out what a run would cost, without writing anything.

    Args:
        stages: The stages in order.
        seed: The run's seed.
        workspace: Where an earlier run may have done part of the work; None or missing counts as nothing done.

    Returns:
        A row a stage: units, how many are done, requests, bytes downloaded and written, seconds of one worker, cost,
        and what is needed before the stage can run. Counts
        are exact (`planned` true) for the stages whose predecessors have all ended in the workspace; for later ones
        they are the stages' own estimates, None where a stage offers none.
    """
    if workspace is None or not workspace.exists():
        return _rows(stages, RunView(workspace or Path(), seed, {}), None)
    place = Workspace(workspace)
    with Ledger(place.ledger, read_only=True) as ledger:
        return _rows(stages, RunView(place.root, seed, {}), ledger)


def _rows(stages: Sequence[Stage[Any]], run: RunView, ledger: Ledger | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    estimates: dict[str, Estimate] = {}
    results: dict[str, dict[str, Result]] = {}
    complete = ledger is not None
    digests = DigestCache(ledger.known_digests() if ledger is not None else {})
    for stage in stages:
        view = RunView(run.workspace, run.seed, results, digests=digests).of(stage)
        estimate = stage.estimate(view, estimates)
        row: dict[str, Any] = {"stage": stage.name, "planned": complete, "units": None, "finished": 0, "failed": 0}
        row |= {"requests": None, "downloaded": None, "written": None, "seconds": None, "hosts": {}, "propagated": {}}
        row |= {"needs": list(stage.needs()), "cost": {}}
        if estimate is not None:
            estimates[stage.name] = estimate
            row |= {
                field: getattr(estimate, field) for field in ("units", "requests", "downloaded", "written", "seconds")
            }
            row["propagated"] = dict(estimate.propagated)
            row["cost"] = dict(estimate.cost)
            row["hosts"] = {
                host: _host_load(count, rate, *estimate.traffic.get(host, (None, None)))
                for host, (count, rate) in estimate.hosts.items()
            }
        if row["needs"]:
            complete = row["planned"] = False  # the stage refuses to be planned as long as it lacks them
        if complete and ledger is not None:
            plan = plan_stage(stage, view, ledger)
            row |= {"units": len(plan.units), "finished": plan.finished, "failed": plan.failed}
            results[stage.name] = dict(results_before([stage], ledger)[stage.name])
            complete = not plan.due
        rows.append(row)
    return rows


def _host_load(requests: int, rate: float | None, size: int | None, byte_rate: float | None) -> dict[str, Any]:
    """Return what a host gives, and the days that its limits make of it: the longer of those of requests and bytes."""
    waits = [amount / limit for amount, limit in ((requests, rate), (size, byte_rate)) if amount is not None and limit]
    return {
        "requests": requests,
        "requests_per_second": rate,
        "bytes": size,
        "bytes_per_second": byte_rate,
        "days": max(waits) / 86400 if waits else None,
    }


def totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a whole run takes: the sums of what `forecast` returned; stages without an estimate count as nothing.

    `cost` is None where no cost is configured.
    """
    sums = {name: sum(row[name] or 0 for row in rows) for name in ("requests", "downloaded", "written", "seconds")}
    costs = [value for row in rows for value in row["cost"].values()]
    return {**sums, "cost": sum(costs) if costs else None} | {
        "unknown": [row["stage"] for row in rows if row["units"] is None],
        "needs": [need for row in rows for need in row["needs"]],
    }


def problems(stages: Sequence[Stage[Any]], seed: int) -> list[str]:
    """Return what is wrong with the params of stages that only a look around can tell, each with its field.

    Args:
        stages: The stages in order.
        seed: The run's seed.
    """
    found: list[str] = []
    estimates: dict[str, Estimate] = {}
    for stage in stages:
        wrong = [f"stages.{stage.name}.{each}" for each in stage.problems(estimates)]
        found += wrong
        if not wrong:
            try:
                estimate = stage.estimate(RunView(Path(), seed, {}), estimates)
            except PermanentError as error:
                found.append(f"stages.{stage.name}: {error}")
                continue
            estimates |= {stage.name: estimate} if estimate is not None else {}
    return found
