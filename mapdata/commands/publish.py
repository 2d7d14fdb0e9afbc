"""`mapdata publish`: copy a release to a bucket, from which `open_dataset` reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `publish`."""
    app.command()(publish)


def publish(
    workspace: Annotated[Path, typer.Option(help="Folder of an earlier `mapdata run` that ended with a release.")],
    to: Annotated[
        str,
        typer.Option(
            help="Address of a folder of its own for this release, such as `s3://bucket/release` (needs the extra "
            "`remote`) or `file:///mnt/share/release`. Credentials come from the environment."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify a workspace's release and copy it to an address; every file is read back and compared by checksum.

    Started again after a break it goes on where it was. Nothing that lies there is overwritten or removed.

    Example: `mapdata publish --workspace work/demo --to s3://bucket/mapdata-1.0.0`
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from catalog.publish import publish_release
    from catalog.verify import verify_apart
    from pipeline.report import print_json
    from pipeline.workspace import Workspace
    from raster.disk import format_bytes

    place = Workspace(workspace)
    release = place.root / "release"
    journal = place.root / "publish" / f"{hashlib.sha256(to.encode()).hexdigest()[:16]}.b3"
    console = Console(stderr=True)
    with place.lock("mapdata publish"):
        problems = verify_apart(release)
        for problem in problems:
            typer.echo(str(problem), err=True)
        if problems:
            raise typer.Exit(1)
        columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("")
            done = publish_release(
                release, to, journal, lambda copied, total: progress.update(task, completed=copied, total=total)
            )
    if as_json:
        print_json({"to": to, "copied": done.files, "bytes": done.size, "kept": done.kept})
        return
    before = f", {done.kept:,} were there" if done.kept else ""
    typer.echo(f"{to}: {done.files:,} files, {format_bytes(done.size)} copied and read back{before}")
