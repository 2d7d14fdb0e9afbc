"""`mapdata review`: the page in which a person settles alignments, places tie points and curates pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `review`."""
    app.command()(review)


def review(
    workspace: Annotated[Path, typer.Option(help="Folder of an earlier `mapdata run`.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")] = 8765,
    operator: Annotated[str, typer.Option(help="Whose verdicts and points these are. Default: the user's name.")] = "",
    read_only: Annotated[bool, typer.Option("--read-only", help="Look, write nothing into the workspace.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name by which browsers elsewhere may call the page; several times.")
    ] = None,
) -> None:
    """Serve the page for reviewing a workspace; the address that is printed lets one browser in, once.

    Points and verdicts are files of the workspace: `mapdata run` takes them up. A run may go on meanwhile.

    Example: `mapdata review --workspace work/demo --operator Ada`
    """
    from review.serve import Settings, default_operator, serve

    settings = Settings(
        workspace, operator.strip() or default_operator(), host, port, tuple(allow_host or ()), read_only
    )
    serve(settings, lambda address: typer.echo(f"open {address}\nCtrl-C stops the server; everything is saved"))
