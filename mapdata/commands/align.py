"""`mapdata align`: the homography of one pair of raster files, with its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `align`."""
    app.command()(align)


def align(
    map_raster: Annotated[Path, typer.Argument(metavar="MAP", help="The map: GeoTIFF, PNG, JPEG and what GDAL reads.")],
    visible: Annotated[Path, typer.Argument(metavar="VISIBLE", help="The visible image of the same ground.")],
    out: Annotated[
        Path, typer.Option(help="Folder for alignment.json, alignment.parquet, regions.parquet and alignment.jpg.")
    ],
    points: Annotated[Path | None, typer.Option(help="Manual tie points: .points (QGIS), .geojson or .csv.")] = None,
    matcher: Annotated[str, typer.Option(help="Matcher of the coarse step.")] = "cfog",
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of alignment.json.")] = False,
) -> None:
    """Align a map with a visible image, pixels of the map -> pixels of the image, and say how far to trust it.

    Georeferences, where both files have one, are where the search starts; without, any rotation and scales from 1/2 to
    2 are searched. Exit status 1 when the pair needs manual tie points.

    Example: `mapdata align map.tif visible.tif --out alignment --points marked.points`
    """
    import json

    from stages.align.evidence import summary, write_evidence
    from stages.align.pair import align_pair
    from stages.rasters import open_pair
    from stages.tiepoints import read_tiepoints

    with open_pair(map_raster, visible, siblings=True) as pair:
        marked = read_tiepoints(points, pair.visible.located, pair.map.located) if points else []
        evidence = align_pair(pair, marked, matcher)
        written = write_evidence(out, evidence, pair)
    content = summary(evidence)
    if as_json:
        typer.echo(json.dumps(content, indent=1))
    else:
        residual = "unknown" if content["residual_px"] is None else f"{content['residual_px']:.2f} px"
        typer.echo(f"{content['verdict']}: {content['method']}, residual {residual}, {content['inliers']} inliers")
        if content["reason"]:
            typer.echo(content["reason"])
        typer.echo("\n".join(str(path) for path in written))
    if content["verdict"] != "accepted":
        raise typer.Exit(1)
