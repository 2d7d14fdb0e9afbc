"""`mapdata plan` and `mapdata run`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mapdata.options import AsJson, Scheduler, Workers

if TYPE_CHECKING:
    from pipeline.run import Stopped

_Config = Annotated[Path, typer.Argument(help="The YAML file of the run (see configs/).")]


def register(app: typer.Typer) -> None:
    """Add `plan` and `run`."""
    app.command()(plan)
    app.command()(run)


def report_stop(stop: Stopped) -> typer.Exit:
    """Print that a signal stopped the run; return how the command ends."""
    typer.echo("stopped; what has ended is kept, the same command goes on where it was", err=True)
    return typer.Exit(stop.exit_status)


def plan(
    config: _Config,
    workspace: Annotated[Path | None, typer.Option(help="Count what is already done in this workspace.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show units, requests, bytes, time and cost before anything runs; writes nothing and needs no key.

    What a run will need besides, such as keys and permissions, is listed all at once.

    Example: `mapdata plan configs/demo.yaml --workspace work/demo`
    """
    from mapdata.recipes import load_recipe
    from pipeline.forecast import forecast, totals
    from pipeline.report import print_forecast, print_json

    loaded = load_recipe(config)
    rows = forecast(loaded.stages, loaded.seed, workspace)
    if as_json:
        print_json({"name": loaded.name, "stages": rows, "total": totals(rows)})
    else:
        print_forecast(loaded.name, rows)


def run(
    config: _Config,
    workspace: Annotated[Path, typer.Option(help="Folder of the run's files; made if missing.")],
    workers: Workers = None,
    scheduler: Scheduler = None,
    only: Annotated[list[str] | None, typer.Option(help="Run only this stage; may be given several times.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Build a dataset, or go on where an earlier run of the same workspace was stopped.

    Exit status: 0 done, 1 done with failures (listed) or stopped by an error, 2 wrong use,
    129 (hang-up), 130 (interrupt), 131 (quit) or 143 (terminate) stopped by a signal.

    The configuration names its recipe, which has the stages: by default sample, acquire, align, tile, clean, split,
    release, and benchmark where the configuration has it.

    Examples: `mapdata run configs/demo.yaml --workspace work/demo`,
    `mapdata run configs/demo.yaml --workspace work/demo --only sample --only acquire`,
    `mapdata run configs/demo.yaml --workspace /mnt/shared/demo --scheduler tcp://head:8786`
    """
    from mapdata.outcomes import PROGRAM
    from mapdata.recipes import LOCK_FILE, load_recipe
    from pipeline.report import print_json, print_summary, summary_json
    from pipeline.run import Request, Stopped
    from pipeline.run import run as run_recipe
    from pipeline.workspace import Workspace

    loaded = load_recipe(config)
    known = [stage.name for stage in loaded.stages]
    unknown = [name for name in only or () if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"no stage {unknown[0]!r} in this run; stages: {', '.join(known)}", param_hint="--only"
        )
    request = Request(
        config=loaded.resolved,
        seed=loaded.seed,
        only=only or (),
        workers=len(os.sched_getaffinity(0)) if workers is None else workers,
        scheduler=scheduler,
        lock_file=LOCK_FILE,
    )
    try:
        summary = run_recipe(loaded.stages, Workspace(workspace, create=True), request)
    except Stopped as stop:
        raise report_stop(stop) from None
    if as_json:
        print_json(summary_json(summary, workspace, PROGRAM))
    else:
        print_summary(summary, workspace, PROGRAM)
    raise typer.Exit(1 if summary.failures else 0)
