"""`mapdata export`: give a release another format, from what its workspace holds."""

from __future__ import annotations

from collections.abc import Sequence
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
    PARQUET_SHARDS = "parquet-shards"


_SHARDS = (ExportFormat.WEBDATASET, ExportFormat.PARQUET_SHARDS)
_BESIDE = (ExportFormat.MMLANDMARKS, *_SHARDS)
"""Formats that are folders of their own beside the release."""


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
            "Beside the release: webdataset: tar shards. parquet-shards: Parquet files that hold the images. "
            "mmlandmarks (of landmarks): the layout of the published dataset. May be given several times.",
        ),
    ],
    split: Annotated[
        list[str] | None,
        typer.Option(help="Of shards: this split only. May be given several times; default: all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add formats to a workspace's release; it is built anew with those it has and these, and swapped in whole.

    Figures of `mapdata benchmark` that lie in the workspace go into the card. A damaged release is repaired, too.

    Examples: `mapdata export --workspace work/demo --to zarr --to stac`,
    `mapdata export --workspace work/demo --to webdataset --split test`
    """
    from pipeline.report import print_json
    from pipeline.workspace import Workspace

    if split and not any(name in _SHARDS for name in to):
        raise typer.BadParameter(
            "chooses records of shards: give --to webdataset or parquet-shards", param_hint="--split"
        )
    place = Workspace(workspace)
    parts = [name.value for name in to if name not in _BESIDE]
    formats: list[str] = []
    with place.lock("mapdata export"):
        if ExportFormat.MMLANDMARKS in to:
            from stages.landmarks.official import write_official, write_shards

            write_official(place.root / "release", place.root / "mmlandmarks")
            write_shards(place.root / "mmlandmarks")
        if parts:
            from stages.export import export_release

            formats = export_release(place, parts)
        shards = {name.value: _write_shards(place.root, name, split or ()) for name in _SHARDS if name in to}
    if as_json:
        print_json({"release": str(place.root / "release"), "formats": formats, "shards": shards})
        return
    if parts:
        typer.echo(f"{place.root / 'release'} now has: {', '.join(formats)}")
    if ExportFormat.MMLANDMARKS in to:
        typer.echo(f"{place.root / 'mmlandmarks'} has the layout of the published dataset")
    for name, made in shards.items():
        typer.echo(f"{place.root / name} has {len(made)} shards: {', '.join(made)}")


def _write_shards(root: Path, name: ExportFormat, splits: Sequence[str]) -> list[str]:
    from catalog.shards import ShardFormat, write_shards

    return write_shards(root / "release", root / name, ShardFormat(name), splits)
