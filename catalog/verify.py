"""Verifying a release: everything that is wrong with it, at once, without a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.build import LAYOUT_VERSION, count
from catalog.checksums import digest, files_below, read_checksums
from catalog.errors import CatalogError
from catalog.manifest import make_manifest, published, read_manifest
from catalog.model import (
    CHECKSUMS_NAME,
    CROISSANT_NAME,
    MANIFEST_NAME,
    RELEASE_NAME,
    STORE_NAME,
    Format,
    Problem,
)
from catalog.schema import Schema, find_schema
from catalog.stac_check import check_stac
from catalog.store import open_store, read_text

_REBUILD = "build the release again: mapdata export --workspace DIR --to one of its formats"
_RESTORE = f"restore it from a copy, or {_REBUILD}"


def verify_release(path: Path) -> list[Problem]:
    """Return everything wrong with the release at `path`, an empty list if nothing is.

    Checks that every file is there with the digest it had, that nothing was added, that all images of every accepted
    record are published, that the manifest keeps its schema and its own rules, that the counts agree, that the Zarr
    store holds the same records, and that the STAC catalog is valid. Paths in problems are relative to the release.
    """
    try:
        summary = json.loads((path / RELEASE_NAME).read_bytes())
        formats = {Format(name) for name in summary["formats"]}
        version = summary["layout_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Problem(RELEASE_NAME, f"there is no readable release at {path} ({error})", _REBUILD)]
    if version != LAYOUT_VERSION:
        return [Problem(RELEASE_NAME, f"layout {version}, this software reads {LAYOUT_VERSION}", "use its software")]
    try:
        schema = find_schema(summary.get("schema"))
    except CatalogError as error:
        return [Problem(RELEASE_NAME, str(error), "then verify again")]
    return list(_problems(schema, path, summary, formats))


def _problems(schema: Schema[Any], path: Path, summary: dict[str, Any], formats: set[Format]) -> Iterator[Problem]:
    manifest = None
    try:
        manifest = read_manifest(schema, path / MANIFEST_NAME)
    except CatalogError as error:
        yield Problem(MANIFEST_NAME, str(error), _RESTORE)
    digests: dict[str, str] = {}
    try:
        digests = read_checksums(path / CHECKSUMS_NAME)
    except CatalogError as error:
        yield Problem(CHECKSUMS_NAME, str(error), _RESTORE)
    yield from check_files(path, digests)
    if manifest is not None:
        yield from check_manifest(schema, manifest)
        if summary.get(schema.name) != count(manifest):
            yield Problem(RELEASE_NAME, "its counts are not those of the manifest", _RESTORE)
        if Format.FOLDERS in formats:
            yield from check_images(schema, path, manifest, digests)
        if Format.ZARR in formats:
            yield from check_store(schema, path / STORE_NAME, manifest)
    if Format.STAC in formats:
        yield from check_stac(schema, path, digests, manifest)
    yield from _check_croissant(path)


def check_files(path: Path, digests: Mapping[str, str]) -> Iterator[Problem]:
    """Yield files that are missing, changed or not of the release, by the list of checksums."""
    present = set(files_below(path)) - {CHECKSUMS_NAME}
    for name in sorted(digests.keys() - present):
        yield Problem(name, "is missing", _RESTORE)
    for name in sorted(present - digests.keys()):
        yield Problem(name, "is not in the list of checksums: it was added later", "remove it")
    for name in sorted(present & digests.keys()):
        try:
            changed = digest(path / name) != digests[name]
        except OSError as error:
            yield Problem(name, f"cannot be read ({error})", _RESTORE)
            continue
        if changed:
            yield Problem(name, "its content has changed since the release was built", _RESTORE)


def check_manifest(schema: Schema[Any], manifest: pa.Table) -> Iterator[Problem]:
    """Yield breaches of the manifest's own rules: order, unique keys, derived columns, one split a group."""
    try:
        again = make_manifest(schema, manifest.select(schema.columns.names))
    except CatalogError as error:
        yield Problem(MANIFEST_NAME, str(error), _RESTORE)
        return
    for name in schema.manifest.names:
        if not manifest[name].combine_chunks().equals(again[name].combine_chunks()):
            yield Problem(MANIFEST_NAME, f"column {name!r} or the order of rows is not what the others imply", _RESTORE)
    rows = published(manifest)
    splits = rows.group_by(schema.group).aggregate([("split", "count_distinct")])
    mixed = splits.filter(pc.greater(splits["split_count_distinct"], 1))[schema.group].to_pylist()
    if mixed:
        what = f"{schema.group}s {mixed} lie in several splits"
        yield Problem(MANIFEST_NAME, what, f"split again, so that each {schema.group} is in one")


def check_images(schema: Schema[Any], path: Path, manifest: pa.Table, digests: Mapping[str, str]) -> Iterator[Problem]:
    """Yield accepted records without all image files, image files of no record, and digests that contradict."""
    folders = sorted({role.path.partition("/")[0] for role in schema.roles})
    present = {f"{folder}/{name}" for folder in folders for name in files_below(path / folder)}
    rows = published(manifest)
    keys = rows[schema.key].to_pylist()
    expected = set()
    for role in schema.images:
        columns = (rows[f"{role}_{name}"].to_pylist() for name in ("path", "digest"))
        for key, name, content in zip(keys, *columns, strict=True):
            if name is None:
                yield Problem(MANIFEST_NAME, f"{schema.noun} {key} names no file for its {role} image", _RESTORE)
                continue
            expected.add(name)
            if name not in present:
                what = f"the {role} image of {schema.noun} {key} is missing: the {schema.noun} is not whole"
                yield Problem(name, what, _RESTORE)
            if digests.get(name, content) != content:
                what = f"manifest and checksums give {schema.noun} {key} different {role} digests"
                yield Problem(name, what, _RESTORE)
    for name in sorted(present - expected):
        yield Problem(name, f"belongs to no accepted {schema.noun} of the manifest", "remove it")


def check_store(schema: Schema[Any], path: Path, manifest: pa.Table) -> Iterator[Problem]:
    """Yield what makes the Zarr store another one than the manifest describes."""
    name = path.name
    rows = published(manifest)
    try:
        group = open_store(schema, path)
        columns = {column: read_text(group, column) for column in (schema.key, "split")}
        shapes = {role: group[role].shape for role in schema.images}  # type: ignore[union-attr]
    except (CatalogError, OSError, ValueError, RuntimeError) as error:
        yield Problem(name, f"cannot be read ({error})", _RESTORE)
        return
    for column, values in columns.items():
        if values != rows[column].to_pylist():
            what = f"does not hold the manifest's accepted {schema.name} in their order"
            yield Problem(f"{name}/{column}", what, _RESTORE)
    sizes = pc.unique(rows["size"]).to_pylist()
    for role, shape in shapes.items():
        if shape[0] != rows.num_rows or (sizes and shape[1:] != (sizes[0], sizes[0], 3)):
            yield Problem(f"{name}/{role}", f"has shape {shape}, not that of the manifest's {schema.name}", _RESTORE)


def _check_croissant(path: Path) -> Iterator[Problem]:
    try:
        document = json.loads((path / CROISSANT_NAME).read_bytes())
        stated = {entry["@id"]: entry.get("sha256") for entry in document["distribution"]}
        actual = hashlib.sha256((path / MANIFEST_NAME).read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Problem(CROISSANT_NAME, f"cannot be read ({error!r})", _RESTORE)
        return
    if stated.get(MANIFEST_NAME) != actual:
        yield Problem(CROISSANT_NAME, "states another SHA-256 than the manifest has", _RESTORE)
