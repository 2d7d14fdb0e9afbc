"""`mapdata accuracy`: alignments of simulated pairs against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mapdata.options import AsJson


def register(app: typer.Typer) -> None:
    """Add `accuracy`."""
    app.command()(accuracy)


def accuracy(
    workspace: Annotated[Path, typer.Option(help="Folder of a run whose map side is `simulated-map`.")],
    as_json: AsJson = False,
) -> None:
    """Compare alignments with the transforms that simulated maps were drawn with; writes alignment/true-errors.json.

    Example: `mapdata accuracy --workspace work/demo`
    """
    from rich.console import Console
    from rich.table import Table

    from pipeline.report import print_json
    from stages.accuracy import summary, true_errors, write_report

    errors = true_errors(workspace)
    path = write_report(workspace, errors)
    figures = summary(errors)
    if as_json:
        print_json(figures)
        return
    table = Table("site", "method", "verdict", title="true alignment error, px of the visible image")
    for heading in ("before (rms)", "after (rms)", "after (largest)"):
        table.add_column(heading, justify="right")
    for error in errors:
        numbers = (f"{value:.2f}" for value in (error.before_px, error.rms_px, error.largest_px))
        table.add_row(error.site, error.method, error.verdict, *numbers)
    console = Console()
    console.print(table)
    console.print(f"median before: {figures['median_before_px']:.2f} px; {_after(figures)}; written to {path}")


def _after(figures: dict[str, Any]) -> str:
    if not figures["accepted"]:
        return "none accepted"
    if not figures["accepted_pairs"]:
        return f"{figures['accepted']} sites accepted, no pair"
    corners = f"{figures['corners_median_px']:.2f} px, 95% under {figures['corners_p95_px']:.2f} px"
    corners += (
        f", largest {figures['corners_worst_px']:.2f} px, {figures['accepted_pairs']} of {figures['pairs']} pairs"
    )
    return f"after, {figures['accepted']} sites accepted: {figures['median_rms_px']:.2f} px; corners of pairs {corners}"
