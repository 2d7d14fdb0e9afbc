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
    COGS = "cogs"
    STAC = "stac"
    FOOTPRINTS = "footprints"
    MMLANDMARKS = "mmlandmarks"
    WEBDATASET = "webdataset"
    PARQUET_SHARDS = "parquet-shards"
    GEOTIFF = "geotiff"


_SHARDS = (ExportFormat.WEBDATASET, ExportFormat.PARQUET_SHARDS)
_BY_SPLIT = (*_SHARDS, ExportFormat.GEOTIFF)
_BESIDE = (ExportFormat.MMLANDMARKS, *_BY_SPLIT)
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
            "rasters: the raster pairs. cogs: the same with overviews (Cloud-Optimized GeoTIFF). "
            "stac: a static STAC catalog. footprints: outlines as FlatGeobuf. "
            "Beside the release: webdataset: tar shards. parquet-shards: Parquet files that hold the images. "
            "geotiff: each image as a GeoTIFF with its place. "
            "mmlandmarks (of landmarks): the layout of the published dataset. May be given several times.",
        ),
    ],
    split: Annotated[
        list[str] | None,
        typer.Option(help="Of shards and geotiff: this split only. May be given several times; default: all."),
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

    if split and not any(name in _BY_SPLIT for name in to):
        raise typer.BadParameter(f"chooses records of these only: --to {', '.join(_BY_SPLIT)}", param_hint="--split")
    place = Workspace(workspace)
    parts = [name.value for name in to if name not in _BESIDE]
    formats: list[str] = []
    with place.lock("mapdata export"):
        if ExportFormat.MMLANDMARKS in to:
            from stages.landmarks.official import write_official

            write_official(place.root / "release", place.root / "mmlandmarks")
        if parts:
            from stages.export import export_release

            formats = export_release(place, parts)
        shards = {name.value: _write_shards(place.root, name, split or ()) for name in _SHARDS if name in to}
        placed = _write_geotiffs(place.root, split or ()) if ExportFormat.GEOTIFF in to else {}
    if as_json:
        made = {"formats": formats, "shards": shards, "geotiff": placed}
        print_json({"release": str(place.root / "release"), **made})
        return
    if parts:
        typer.echo(f"{place.root / 'release'} now has: {', '.join(formats)}")
    if ExportFormat.MMLANDMARKS in to:
        typer.echo(f"{place.root / 'mmlandmarks'} has the layout of the published dataset")
    for name, files in shards.items():
        typer.echo(f"{place.root / name} has {len(files)} shards: {', '.join(files)}")
    if placed:
        counts = ", ".join(f"{name} {count:,}" for name, count in placed.items())
        typer.echo(f"{place.root / 'geotiff'} has the images as GeoTIFFs: {counts}")


def _write_shards(root: Path, name: ExportFormat, splits: Sequence[str]) -> list[str]:
    from catalog.shards import ShardFormat, write_shards

    return write_shards(root / "release", root / name, ShardFormat(name), splits)


def _write_geotiffs(root: Path, splits: Sequence[str]) -> dict[str, int]:
    from catalog.geotiff import write_geotiffs

    return write_geotiffs(root / "release", root / "geotiff", splits)
