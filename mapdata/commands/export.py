"""`mapdata export`: give a release another format, from what its workspace holds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mapdata.options import AsJson


class ExportFormat(StrEnum):
    """Parts that a release may have (the manifest, GeoParquet, is always part of it)."""

    FOLDERS = "folders"
    ZARR = "zarr"
    RASTERS = "rasters"
    STAC = "stac"
    FOOTPRINTS = "footprints"
    MMLANDMARKS = "mmlandmarks"
    WEBDATASET = "webdataset"


_BESIDE = (ExportFormat.MMLANDMARKS, ExportFormat.WEBDATASET)
"""Formats of landmarks that are folders of their own beside the release."""


def register(app: typer.Typer) -> None:
    """Add `export`."""
    app.command()(export)


def export(
    workspace: Annotated[Path, typer.Option(help="Folder of an earlier `mapdata run` that ended with a release.")],
    to: Annotated[
        list[ExportFormat],
        typer.Option(
            "--to",
            help="folders: MapData/<point>/<site>/{L,R} image files. zarr: one Zarr v3 store. "
            "rasters: the raster pairs. stac: a static STAC catalog. footprints: outlines as FlatGeobuf. "
            "mmlandmarks (of landmarks): the layout of the published dataset, beside the release. "
            "webdataset (of landmarks): tar shards, beside the release. May be given several times.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Add formats to a workspace's release; it is built anew with those it has and these, and swapped in whole.

    Figures of `mapdata benchmark` that lie in the workspace go into the card. A damaged release is repaired, too.

    Example: `mapdata export --workspace work/demo --to zarr --to stac`
    """
    from pipeline.report import print_json
    from pipeline.workspace import Workspace

    place = Workspace(workspace)
    parts = [name.value for name in to if name not in _BESIDE]
    formats: list[str] = []
    with place.lock("mapdata export"):
        if ExportFormat.MMLANDMARKS in to:
            from stages.landmarks.official import write_official, write_shards

            write_official(place.root / "release", place.root / "mmlandmarks")
            write_shards(place.root / "mmlandmarks")
        if ExportFormat.WEBDATASET in to:
            from stages.landmarks.webdataset import write_webdataset

            write_webdataset(place.root / "release", place.root / "webdataset")
        if parts:
            from stages.export import export_release

            formats = export_release(place, parts)
    if as_json:
        print_json({"release": str(place.root / "release"), "formats": formats})
        return
    if parts:
        typer.echo(f"{place.root / 'release'} now has: {', '.join(formats)}")
    if ExportFormat.MMLANDMARKS in to:
        typer.echo(f"{place.root / 'mmlandmarks'} has the layout of the published dataset")
    if ExportFormat.WEBDATASET in to:
        typer.echo(f"{place.root / 'webdataset'} has the shards")
