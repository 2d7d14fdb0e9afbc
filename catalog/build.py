"""Building a release: in a temporary folder beside its place, swapped in when it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog.card import write_card
from catalog.checksums import digest, files_below, write_checksums
from catalog.croissant import write_croissant
from catalog.errors import CatalogError
from catalog.folders import place, write_folders
from catalog.footprints import FOOTPRINTS_NAME, write_footprints
from catalog.geotiff import COG, write_cog
from catalog.hub import write_hub_tables
from catalog.manifest import make_manifest, published, write_manifest
from catalog.model import (
    CARD_NAME,
    CHECKSUMS_NAME,
    CROISSANT_NAME,
    MANIFEST_NAME,
    RELEASE_NAME,
    STORE_NAME,
    Contents,
    Format,
    Json,
    OriginalT,
    Placed,
)
from catalog.schema import Schema, conform
from catalog.stac import THUMBNAILS, write_stac
from catalog.stac_table import write_table
from catalog.store import write_store
from catalog.swap import filling

LAYOUT_VERSION = 1
"""Of the release's folder; raised when a reader of the old one would fail."""


def build_release(
    schema: Schema[OriginalT], contents: Contents[OriginalT], root: Path, target: Path, formats: Iterable[Format]
) -> None:
    """Build a release at `target`, replacing the one that is there. The same contents give the same bytes.

    Whenever the process is killed, `target` is the old release or the new one, whole.

    Args:
        schema: What kind of dataset it is.
        contents: What it is built from.
        root: Folder that the files of `contents.sources` are relative to.
        target: Folder of the release.
        formats: The parts it has; at least one of them holds the pixels.

    Raises:
        CatalogError: The contents contradict themselves, an image cannot be read or `formats` hold no pixels; the old
            release then stays.
    """
    chosen = frozenset(formats)
    if not chosen & {Format.FOLDERS, Format.ZARR}:
        raise CatalogError("a release without pixels: choose at least one of the formats folders and zarr")
    manifest = make_manifest(schema, contents.records)
    sources = conform(contents.sources, schema.sources, "the table of sources")
    lost = pc.sum(pc.is_null(pc.index_in(published(manifest, [schema.key])[schema.key], sources[schema.key]))).as_py()
    if lost:
        raise CatalogError(
            f"{lost} accepted {schema.name} have no source of pixels; "
            f"the table of sources must have every {schema.noun}"
        )
    schema.check(contents, manifest)
    with filling(target) as new:
        _fill(schema, new, contents, manifest, sources, root, chosen)


def _fill(
    schema: Schema[OriginalT],
    new: Path,
    contents: Contents[OriginalT],
    manifest: pa.Table,
    sources: pa.Table,
    root: Path,
    formats: frozenset[Format],
) -> None:
    digests: dict[str, str] = {}
    folders, store = Format.FOLDERS in formats, Format.ZARR in formats
    write_manifest(manifest, new / MANIFEST_NAME)
    for name, table in schema.tables(contents).items():
        pq.write_table(table, new / name, compression="zstd", store_schema=True)
    if folders:
        digests = write_folders(schema, manifest, sources, root, new)
        write_hub_tables(schema, manifest, new)
    if Format.FOOTPRINTS in formats:
        write_footprints(schema, manifest, new / FOOTPRINTS_NAME)
    if store:
        write_store(schema, manifest, sources, root, new / STORE_NAME)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # overviews take minutes, in which GDAL lets other threads run

        def placing(original: OriginalT) -> list[Placed]:
            return [_place(*file, new, formats) for file in schema.files(original, formats)]

        names = map(schema.original_id, contents.originals)
        placed = dict(zip(names, pool.map(placing, contents.originals), strict=True))
    digests |= {file.path: file.digest for files in placed.values() for file in files}
    if Format.STAC in formats:
        # A thumbnail of 20,000 x 15,000 pixels unpacks all of them: seconds, in which GDAL lets other threads run.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, picture in zip(placed, pool.map(schema.thumbnail, contents.originals), strict=True):
                placed[name] += _write_thumbnail(picture, f"{THUMBNAILS}/{name}.jpg", new)
        write_table(schema, manifest, new, folders=folders, store=store)
        write_stac(schema, new, contents, manifest, placed)
    summary = _summary(schema, contents, manifest, formats)
    (new / RELEASE_NAME).write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_card(schema, new / CARD_NAME, contents, manifest, formats)
    write_croissant(schema, new / CROISSANT_NAME, contents, manifest, formats)
    rest = [name for name in files_below(new) if name not in digests]
    digests.update((name, digest(new / name)) for name in rest)
    write_checksums(new / CHECKSUMS_NAME, digests)


def _place(source: Path, path: str, known: str | None, new: Path, formats: frozenset[Format]) -> Placed:
    if Format.COGS in formats and source.suffix == ".tif":
        write_cog(source, new / path)
        return Placed(path, (new / path).stat().st_size, digest(new / path), COG)
    place(source, new / path)
    return Placed(path, source.stat().st_size, known or digest(source))


def _write_thumbnail(picture: bytes | None, path: str, new: Path) -> list[Placed]:
    if picture is None:
        return []
    (new / path).parent.mkdir(parents=True, exist_ok=True)
    (new / path).write_bytes(picture)
    return [Placed(path, len(picture), digest(new / path))]


def _summary(
    schema: Schema[OriginalT], contents: Contents[OriginalT], manifest: pa.Table, formats: frozenset[Format]
) -> Json:
    about = contents.about
    return {
        "layout_version": LAYOUT_VERSION,
        "schema": schema.name,
        "title": about.title,
        "version": about.version,
        "licence": about.licence,
        "formats": sorted(formats),
        "seed": about.seed,
        "software": dict(about.software),
        schema.name: count(schema, manifest),
        "benchmark": about.benchmark.to_json(),
        **schema.facts(contents),
    }


def count(schema: Schema[Any], manifest: pa.Table) -> dict[str, int]:
    """Return the number of records by split, of rejected ones and of all.

    Args:
        schema: Names the splits, each of which is counted, also where it is empty.
        manifest: With rejected records.

    Returns:
        The splits, then "rejected" and "all", the rejected ones included.
    """
    rows = published(manifest, ["split"])
    splits = {name: pc.sum(pc.equal(rows["split"], name)).as_py() or 0 for name in schema.splits}
    return {**splits, "rejected": manifest.num_rows - rows.num_rows, "all": manifest.num_rows}
