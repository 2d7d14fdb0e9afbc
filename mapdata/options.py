"""Options that several commands have in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
RetrievalDevice = Annotated[str, typer.Option(help="cpu, or a torch device.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a Dask scheduler to run on.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes; 0: in this one. Default: one a core.")]
