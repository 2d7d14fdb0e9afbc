"""`mapdata tiepoints`: manual tie points into a workspace, out of it, and a look at whether they agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raster.grid import Grid

Workspace = Annotated[Path, typer.Option(help="Folder of the run.")]
Site = Annotated[str, typer.Argument(help="Point and site, such as 001/1.")]


def register(app: typer.Typer) -> None:
    """Add the group `tiepoints`."""
    group = typer.Typer(help="Manual tie points: import, export, check.", no_args_is_help=True)
    group.command("import")(import_points)
    group.command("export")(export_points)
    group.command("check")(check)
    app.add_typer(group, name="tiepoints")


def import_points(
    site: Site,
    file: Annotated[Path, typer.Argument(help="A .points (QGIS), .geojson or .csv file.")],
    workspace: Workspace,
    operator: Annotated[str, typer.Option(help="Who marked the points, where the file does not say.")] = "",
    date: Annotated[str, typer.Option(help="When, as 2026-11-21, where the file does not say.")] = "",
) -> None:
    """Store a site's tie points in the workspace; `mapdata run --only align` then uses them.

    Example: `mapdata tiepoints import 001/1 marked.points --workspace run --operator Ada --date 2026-11-21`
    """
    from dataclasses import replace

    from stages.tiepoints import read_tiepoints, write_tiepoints

    points = [
        replace(point, operator=point.operator or operator, date=point.date or date)
        for point in read_tiepoints(file, _visible_grid(workspace, site))
    ]
    path = workspace / "tiepoints" / f"{site}.csv"
    write_tiepoints(path, points)
    typer.echo(f"{len(points)} points: {path}")


def export_points(
    site: Site,
    file: Annotated[Path, typer.Argument(help="Where to: .points (QGIS), .geojson or .csv.")],
    workspace: Workspace,
) -> None:
    """Write a site's tie points to a file.

    Example: `mapdata tiepoints export 001/1 marked.points --workspace run`
    """
    from stages.tiepoints import read_tiepoints, write_tiepoints

    points = read_tiepoints(workspace / "tiepoints" / f"{site}.csv")
    write_tiepoints(file, points, _visible_grid(workspace, site))
    typer.echo(f"{len(points)} points: {file}")


def check(
    file: Annotated[Path, typer.Argument(help="A .points (QGIS), .geojson or .csv file.")],
    visible: Annotated[Path | None, typer.Option(help="The visible raster, for ground coordinates.")] = None,
) -> None:
    """Say of every point how far it lies from what the others imply. Exit status 1 if one contradicts the rest.

    Example: `mapdata tiepoints check marked.points --visible visible.tif`
    """
    from stages.align.manual import fit_manual
    from stages.rasters import open_any
    from stages.tiepoints import read_tiepoints

    if visible is not None:
        with open_any(visible) as side:
            points = read_tiepoints(file, side.located)
    else:
        points = read_tiepoints(file)
    matrix, agreeing, residuals = fit_manual(points)
    if matrix is None:
        typer.echo(f"{len(points)} points: no transformation agrees with most of them")
        raise typer.Exit(1)
    for point, agrees, residual in zip(points, agreeing, residuals, strict=True):
        typer.echo(f"{point.name:20} {residual:9.2f} px  {'' if agrees else 'contradicts the rest'}".rstrip())
    if not agreeing.all():
        raise typer.Exit(1)


def _visible_grid(workspace: Path, site: str) -> Grid | None:
    from stages.rasters import open_any

    path = workspace / "rasters" / site / "visible.tif"
    if not path.is_file():
        return None
    with open_any(path) as side:
        return side.located
