"""`mapdata tiepoints`: manual tie points into a workspace, out of it, and a look at whether they agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

if TYPE_CHECKING:
    from raster.grid import Grid
    from raster.homography import FloatArray

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
        for point in read_tiepoints(file, _grid(workspace, site, "visible"), _grid(workspace, site, "map"))
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
    write_tiepoints(file, points, _grid(workspace, site, "visible"))
    typer.echo(f"{len(points)} points: {file}")


def check(
    file: Annotated[Path, typer.Argument(help="A .points (QGIS), .geojson or .csv file.")],
    map_raster: Annotated[
        Path | None, typer.Option("--map", help="The map: its size, and its georeference for layer coordinates.")
    ] = None,
    visible: Annotated[
        Path | None, typer.Option(help="The visible raster: its size, and its georeference for ground coordinates.")
    ] = None,
) -> None:
    """Say of every point how far it lies from what the others imply, and whether they may carry an alignment alone.

    The tests are those of `mapdata align`, with its default limits. Without a raster, the extent of the points stands
    for its size: give both for the answer that counts. Exit status 1 if a test fails.

    Example: `mapdata tiepoints check marked.points --map map.tif --visible visible.tif`
    """
    from stages.align.manual import judge_manual
    from stages.tiepoints import arrays, read_tiepoints

    map_grid, map_size = _side(map_raster)
    visible_grid, visible_size = _side(visible)
    points = read_tiepoints(file, visible_grid, map_grid)
    source, target = arrays(points)
    verdict = judge_manual(points, map_size or _extent(source), visible_size or _extent(target))
    contradicting = set(verdict.contradictions)
    for point, residual in zip(points, verdict.residuals, strict=True):
        said = "contradicts the rest" if point.name in contradicting else ""
        typer.echo(f"{point.name:20} {residual:9.2f} px  {said}".rstrip())
    if not verdict.accepted:
        typer.echo(verdict.reason)
        raise typer.Exit(1)
    typer.echo(f"accepted: {verdict.model}, corners within {verdict.corner_error_px:.1f} px")
    if map_size is None or visible_size is None:
        typer.echo("this holds for the extent of the points; give --map and --visible for whole rasters")


def _extent(points: FloatArray) -> tuple[int, int]:
    """Return the size of a raster that just holds the points."""
    inside = points[np.isfinite(points).all(axis=1)]
    width, height = np.ceil(inside.max(axis=0)).clip(0) + 1 if len(inside) else (1, 1)
    return int(width), int(height)


def _side(path: Path | None) -> tuple[Grid | None, tuple[int, int] | None]:
    """Return the grid and the size of a raster, None for what is not known."""
    from stages.rasters import open_any

    if path is None:
        return None, None
    with open_any(path) as side:
        return side.located, (side.width, side.height)


def _grid(workspace: Path, site: str, side: str) -> Grid | None:
    path = workspace / "rasters" / site / f"{side}.tif"
    return _side(path)[0] if path.is_file() else None
