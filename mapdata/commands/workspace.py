"""`mapdata status`, `retry`, `verify` and `prune`: what became of a workspace's units and files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mapdata.options import AsJson

_Workspace = Annotated[Path, typer.Option(help="Folder of an earlier `mapdata run`.")]


class Resettable(StrEnum):
    """States that `retry` can set back."""

    FAILED = "failed"
    FAILED_TRANSIENT = "failed-transient"
    FAILED_PERMANENT = "failed-permanent"
    NO_DATA = "no-data"
    REJECTED = "rejected"
    DONE = "done"


def register(app: typer.Typer) -> None:
    """Add `status`, `retry`, `verify` and `prune`."""
    app.command()(status)
    app.command()(retry)
    app.command()(verify)
    app.command()(prune)


def status(workspace: _Workspace, as_json: AsJson = False) -> None:
    """Show how many units are in which state, and every failure with what to do; also beside a run that is going on.

    Lists the files that are left of sites and settings which are no longer in the configuration.

    Example: `mapdata status --workspace work/demo`
    """
    from mapdata.outcomes import PROGRAM
    from pipeline.ledger import Ledger
    from pipeline.report import print_json, print_status, status_json
    from pipeline.workspace import Workspace

    place = Workspace(workspace)
    with Ledger(place.ledger, read_only=True) as ledger:
        found = status_json(place, ledger, PROGRAM)
    if as_json:
        print_json(found)
    else:
        print_status(found, PROGRAM)


def retry(
    workspace: _Workspace,
    state: Annotated[list[Resettable] | None, typer.Option(help="Which states to set back; default: failed.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only units of this stage.")] = None,
    unit: Annotated[str, typer.Option(help="Only units whose name matches this shell pattern.")] = "*",
    as_json: AsJson = False,
) -> None:
    """Set units back, so that the next `mapdata run` does them again; by default all that failed.

    Examples: `mapdata retry --workspace work/demo`,
    `mapdata retry --workspace work/demo --stage acquire --unit '001/*' --state no-data`
    """
    from pipeline.ledger import FAILED, Ledger, State
    from pipeline.report import print_json
    from pipeline.workspace import Workspace

    chosen = state or [Resettable.FAILED]
    states = {each for one in chosen for each in (FAILED if one is Resettable.FAILED else {State(one.value)})}
    place = Workspace(workspace)
    with place.lock("mapdata retry"), Ledger(place.ledger) as ledger:
        if stage is not None and stage not in ledger.stages():
            raise typer.BadParameter(f"no stage {stage!r}; stages: {', '.join(ledger.stages())}", param_hint="--stage")
        units = ledger.reset(states, stage, unit)
    if as_json:
        print_json({"workspace": str(workspace), "reset": [{"stage": name, "unit": each} for name, each in units]})
        return
    for name, each in units:
        typer.echo(f"{name} {each}")
    typer.echo(f"{len(units)} units set back" + ("; now `mapdata run` again" if units else ""))


def verify(workspace: _Workspace, as_json: AsJson = False) -> None:
    """Check every file that the ledger knows by size and digest, then the release, where there is one.

    Needs no network. Exit status 1 if anything is wrong. Beside a run, faults may be files that it is just replacing.

    Example: `mapdata verify --workspace work/demo`
    """
    from catalog.verify import verify_apart
    from pipeline.ledger import Ledger
    from pipeline.report import print_json
    from pipeline.verification import verify_outputs
    from pipeline.workspace import Workspace
    from stages.release import FOLDER

    place = Workspace(workspace)
    holder = place.holder()
    with Ledger(place.ledger, read_only=True) as ledger:
        checked, faults = verify_outputs(place.root, ledger)
    again = f"mapdata retry --workspace {workspace} --state done"
    found = [
        {
            "path": fault.path,
            "what": fault.what,
            "remedy": f"{again} --stage {fault.stage} --unit '{fault.unit}', then mapdata run",
        }
        for fault in faults
    ]
    release = place.root / FOLDER
    problems = verify_apart(release) if release.is_dir() else None
    for problem in problems or ():
        remedy = problem.remedy.replace("--workspace DIR", f"--workspace {workspace}")
        found.append({"path": f"{FOLDER}/{problem.path}", "what": problem.what, "remedy": remedy})
    holder = holder or place.holder()
    if found and holder:
        typer.echo(
            f"{holder['purpose']} is going on (process {holder['pid']} on {holder['host']}): faults may be files that "
            "it is just replacing. Verify again once it has ended.",
            err=True,
        )
    if as_json:
        verified = {"workspace": str(workspace), "files": checked, "release": problems is not None, "faults": found}
        print_json(verified)
    else:
        for entry in found:
            typer.echo(f"{entry['path']}: {entry['what']}; {entry['remedy']}")
        typer.echo(f"{checked} files of the workspace checked" + ("" if problems is None else " and the release"))
        typer.echo(f"{len(found)} faults")
    raise typer.Exit(1 if found else 0)


def prune(
    workspace: _Workspace,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove the files of sites and settings that left the configuration; what a person put there stays.

    The plan of the last `mapdata run` says what belongs to the dataset: run first after a change of the configuration.

    Example: `mapdata prune --workspace work/demo --dry-run`
    """
    from dataclasses import asdict

    from pipeline.ledger import Ledger
    from pipeline.leftovers import find_leftovers, remove_leftovers
    from pipeline.report import print_json
    from pipeline.workspace import Workspace
    from raster.disk import format_bytes

    place = Workspace(workspace)
    if dry_run:
        with Ledger(place.ledger, read_only=True) as ledger:
            found = find_leftovers(place, ledger)
    else:
        with place.lock("mapdata prune"), Ledger(place.ledger) as ledger:
            found = remove_leftovers(place, ledger)
    if as_json:
        print_json({"workspace": str(workspace), "removed": not dry_run, "files": [asdict(each) for each in found]})
        return
    for leftover in found:
        typer.echo(leftover.path)
    size = format_bytes(sum(leftover.size for leftover in found))
    typer.echo(f"{len(found)} files, {size}, {'would be' if dry_run else 'were'} removed")
