"""Building a release: in a temporary folder beside its place, swapped in when it is whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.card import write_card
from catalog.checksums import digest, files_below, write_checksums
from catalog.croissant import write_croissant
from catalog.errors import CatalogError
from catalog.folders import place, write_folders
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
    RasterPair,
)
from catalog.schema import SOURCES, conform
from catalog.stac import Placed, write_stac
from catalog.stac_pairs import write_pairs
from catalog.store import write_store
from catalog.swap import recover, swap_in

LAYOUT_VERSION = 1
"""Of the release's folder; raised when a reader of the old one would fail."""


def build_release(contents: Contents, root: Path, target: Path, formats: Iterable[Format]) -> None:
    """Build a release at `target`, replacing the one that is there. The same contents give the same bytes.

    `root` is the folder that the files of `contents.sources` are relative to. Whenever the process is killed, `target`
    is the old release or the new one, whole. Raises CatalogError if the contents contradict themselves, an image cannot
    be read or `formats` hold no pixels; the old release then stays.
    """
    chosen = frozenset(formats)
    if not chosen & {Format.FOLDERS, Format.ZARR}:
        raise CatalogError("a release without pixels: choose at least one of the formats folders and zarr")
    manifest = make_manifest(contents.pairs)
    sources = conform(contents.sources, SOURCES, "the table of sources")
    _check(manifest, sources, contents.rasters)
    recover(target)
    new = target.with_name(f".tmp-{target.name}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        _fill(new, contents, manifest, sources, root, chosen)
        swap_in(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _fill(
    new: Path, contents: Contents, manifest: pa.Table, sources: pa.Table, root: Path, formats: frozenset[Format]
) -> None:
    digests: dict[str, str] = {}
    write_manifest(manifest, new / MANIFEST_NAME)
    if Format.FOLDERS in formats:
        digests |= write_folders(manifest, sources, root, new)
    if Format.ZARR in formats:
        write_store(manifest, sources, root, new / STORE_NAME)
    placed = {pair.id: list(_place(pair, new, formats)) for pair in contents.rasters}
    digests |= {file.path: file.digest for files in placed.values() for file in files}
    if Format.STAC in formats:
        write_pairs(manifest, new, folders=Format.FOLDERS in formats, store=Format.ZARR in formats)
        write_stac(new, contents.about, manifest, contents.rasters, placed)
    summary = _summary(contents, manifest, formats)
    (new / RELEASE_NAME).write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_card(new / CARD_NAME, contents, manifest, formats)
    write_croissant(new / CROISSANT_NAME, contents, manifest, formats)
    rest = [name for name in files_below(new) if name not in digests]
    write_checksums(new / CHECKSUMS_NAME, digests | {name: digest(new / name) for name in rest})


def _place(pair: RasterPair, new: Path, formats: frozenset[Format]) -> Iterable[Placed]:
    folder = f"{pair.point_id}/{pair.site_id}"
    if Format.RASTERS in formats:
        for side, raster in (("map", pair.map), ("visible", pair.visible)):
            file = Placed(f"rasters/{folder}/{side}.tif", raster.size, raster.digest)
            place(raster.file, new / file.path)
            yield file
    if Format.STAC in formats:
        for source in pair.evidence:
            path = f"alignment/{folder}/{source.name}"
            place(source, new / path)
            yield Placed(path, source.stat().st_size, digest(source))


def _check(manifest: pa.Table, sources: pa.Table, rasters: Iterable[RasterPair]) -> None:
    rows = published(manifest)
    lost = pc.sum(pc.is_null(pc.index_in(rows["pair_id"], sources["pair_id"]))).as_py()
    if lost:
        raise CatalogError(f"{lost} accepted pairs have no source of pixels; the table of sources must have every pair")
    known = {pair.id for pair in rasters}
    needed = set(pc.unique(pc.binary_join_element_wise(manifest["point_id"], manifest["site_id"], "_")).to_pylist())
    if needed - known:
        raise CatalogError(
            f"no raster pair is given for {', '.join(sorted(needed - known))}, though pairs come from it"
        )


def _summary(contents: Contents, manifest: pa.Table, formats: frozenset[Format]) -> dict[str, Any]:
    about = contents.about
    return {
        "layout_version": LAYOUT_VERSION,
        "title": about.title,
        "version": about.version,
        "licence": about.licence,
        "formats": sorted(formats),
        "seed": about.seed,
        "software": dict(about.software),
        "raster_pairs": len(contents.rasters),
        "pairs": count_pairs(manifest),
        "benchmark": about.benchmark.to_json(),
    }


def count_pairs(manifest: pa.Table) -> dict[str, int]:
    """Return the number of pairs by split, of rejected ones and of all."""
    rows = published(manifest)
    splits = {name: pc.sum(pc.equal(rows["split"], name)).as_py() or 0 for name in ("train", "val", "test")}
    return {**splits, "rejected": manifest.num_rows - rows.num_rows, "all": manifest.num_rows}
