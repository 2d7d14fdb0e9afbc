"""Verifying a release: everything that is wrong with it, at once, without a network."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.build import LAYOUT_VERSION, count
from catalog.checksums import digest, files_below, read_checksums
from catalog.errors import CatalogError
from catalog.manifest import make_manifest, published, published_batches, read_manifest
from catalog.model import (
    CHECKSUMS_NAME,
    CROISSANT_NAME,
    MANIFEST_NAME,
    RELEASE_NAME,
    STAC_NAME,
    STORE_NAME,
    Format,
    Problem,
)
from catalog.schema import Schema, find_schema
from catalog.stac_check import check_stac
from catalog.store import open_store, read_text
from catalog.untrusted import entries_below, inside, read_json

_REBUILD = "build the release again: mapdata export --workspace DIR --to one of its formats"
_RESTORE = f"restore it from a copy, or {_REBUILD}"
_MAX_FILE_BYTES = 2**36
"""A file of holes takes no room on a disk, and may take a lifetime to read."""

_MOST = 10_000
"""Problems that are told; a release with more is a wreck."""


def verify_apart(path: Path, memory: int = 2**33) -> list[Problem]:
    """Verify a release that may come from a stranger: `verify_release` in a process of its own with bounded memory.

    Files can be made to need any amount of memory when they are decompressed. What exceeds the bound is a problem.

    Args:
        path: Folder of the release.
        memory: Bytes that the process may allocate, where the operating system can bound that.
    """
    command = [sys.executable, "-m", "catalog.verify", str(path), str(memory)]
    problems, other = [], ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{") and line.endswith("}\n"):
                problems.append(Problem(**json.loads(line)))
            else:
                other = line.strip() or other
    if process.returncode:
        what = f"verification broke off with status {process.returncode} ({other}): a file needs too much memory"
        problems.append(Problem(RELEASE_NAME, what, "do not use this release"))
    return problems


def verify_release(path: Path) -> list[Problem]:
    """Return everything wrong with the release at `path`, an empty list if nothing is.

    Checks that every file is there with the digest it had, that nothing was added, that all images of every accepted
    record are published, that the manifest keeps its schema and its own rules, that the counts agree, that the Zarr
    store holds the same records, and that the STAC catalog is valid. Paths in problems are relative to the release.
    Nothing outside it is read. See `verify_apart` for releases of strangers.
    """
    return list(islice(_problems(path), _MOST))


def _problems(path: Path) -> Iterator[Problem]:
    try:
        summary = read_json(path, RELEASE_NAME)
        formats = {Format(name) for name in summary["formats"]}
        version = summary["layout_version"]
    except (CatalogError, ValueError, KeyError, TypeError) as error:
        yield Problem(RELEASE_NAME, f"there is no readable release at {path} ({error})", _REBUILD)
        return
    if version != LAYOUT_VERSION:
        yield Problem(RELEASE_NAME, f"layout {version}, this software reads {LAYOUT_VERSION}", "use its software")
        return
    try:
        schema = find_schema(summary.get("schema"))
    except CatalogError as error:
        yield Problem(RELEASE_NAME, str(error), "then verify again")
        return
    manifest, digests = None, dict[str, str]()
    try:
        manifest = read_manifest(schema, path)
    except CatalogError as error:
        yield Problem(MANIFEST_NAME, str(error), _RESTORE)
    try:
        digests = read_checksums(path / CHECKSUMS_NAME)
    except CatalogError as error:
        yield Problem(CHECKSUMS_NAME, str(error), _RESTORE)
    yield from _guarded(RELEASE_NAME, check_files(path, digests))
    if manifest is not None:
        yield from _guarded(MANIFEST_NAME, check_manifest(schema, manifest))
        if summary.get(schema.name) != count(schema, manifest):
            yield Problem(RELEASE_NAME, "its counts are not those of the manifest", _RESTORE)
        if Format.FOLDERS in formats:
            yield from _guarded(MANIFEST_NAME, check_images(schema, path, manifest, digests))
        if Format.ZARR in formats:
            yield from _guarded(STORE_NAME, check_store(schema, path / STORE_NAME, manifest))
    if Format.STAC in formats:
        yield from _guarded(STAC_NAME, check_stac(schema, path, digests, manifest))
    yield from _guarded(CROISSANT_NAME, _check_croissant(path))


def _guarded(name: str, check: Iterator[Problem]) -> Iterator[Problem]:
    """Yield what a check finds. Whatever a stranger's file makes a library raise is a problem as well."""
    try:
        yield from check
    except Exception as error:
        yield Problem(name, f"cannot be checked ({type(error).__name__}: {error})", _RESTORE)


def check_files(path: Path, digests: Mapping[str, str]) -> Iterator[Problem]:
    """Yield files that are missing, changed or not of the release, by the list of checksums.

    Args:
        path: Folder of the release; every file in it is read.
        digests: Of the list of checksums, by path relative to the release.
    """
    files, others = entries_below(path)
    for name in others:
        yield Problem(name, "is no plain file but a link, a pipe or a device, as no release has", "remove it")
    present = set(files) - {CHECKSUMS_NAME}
    for name in sorted(digests.keys() - present - set(others)):
        yield Problem(name, "is missing", _RESTORE)
    for name in sorted(present - digests.keys()):
        yield Problem(name, "is not in the list of checksums: it was added later", "remove it")
    for name in sorted(present & digests.keys()):
        try:
            size = (path / name).stat().st_size
            if size > _MAX_FILE_BYTES:
                what = f"says that it has {size} bytes, more than any file of a release, and is not read"
                yield Problem(name, what, _RESTORE)
                continue
            changed = digest(path / name) != digests[name]
        except OSError as error:
            yield Problem(name, f"cannot be read ({error})", _RESTORE)
            continue
        if changed:
            yield Problem(name, "its content has changed since the release was built", _RESTORE)


def check_manifest(schema: Schema[Any], manifest: pa.Table) -> Iterator[Problem]:
    """Yield breaches of the manifest's own rules: order, unique keys, derived columns, one split a group.

    Args:
        schema: The kind of the records.
        manifest: As read; it is made again from its given columns and compared.
    """
    try:
        again = make_manifest(schema, manifest.select(schema.columns.names))
    except CatalogError as error:
        yield Problem(MANIFEST_NAME, str(error), _RESTORE)
        return
    for name in schema.manifest.names:
        if not manifest[name].combine_chunks().equals(again[name].combine_chunks()):
            yield Problem(MANIFEST_NAME, f"column {name!r} or the order of rows is not what the others imply", _RESTORE)
    for what in schema.faults(manifest):
        yield Problem(MANIFEST_NAME, what, "reject it and build the release again")
    rows = published(manifest, [schema.group, "split"])
    splits = rows.group_by(schema.group).aggregate([("split", "count_distinct")])
    mixed = splits.filter(pc.greater(splits["split_count_distinct"], 1))[schema.group].to_pylist()
    if mixed:
        what = f"{schema.group}s {mixed} lie in several splits"
        yield Problem(MANIFEST_NAME, what, f"split again, so that each {schema.group} is in one")


def check_images(schema: Schema[Any], path: Path, manifest: pa.Table, digests: Mapping[str, str]) -> Iterator[Problem]:
    """Yield accepted records without all image files, image files of no record, and digests that contradict.

    Args:
        schema: The kind of the records.
        path: Folder of a release that has `FOLDERS`; images are not opened.
        manifest: As read; rejected records have no images.
        digests: Of the list of checksums; a digest of an image must equal the manifest's.
    """
    folders = sorted({role.path.partition("/")[0] for role in schema.roles})
    present = {f"{folder}/{name}" for folder in folders for name in files_below(path / folder)}
    expected = set()
    for rows in published_batches(manifest):
        for role in schema.images:
            columns = (rows[name].to_pylist() for name in (schema.key, f"{role}_path", f"{role}_digest"))
            for key, name, content in zip(*columns, strict=True):
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
    """Yield what makes the Zarr store another one than the manifest describes.

    Args:
        schema: The kind of the records.
        path: Folder of the store. Keys, splits and shapes are compared; pixels are covered by the checksums.
        manifest: As read; the store holds its accepted records in its order.
    """
    name = path.name
    rows = published(manifest)
    try:
        group = open_store(schema, path)
        shapes = {role: group[role].shape for role in schema.images}  # type: ignore[union-attr]
    except (CatalogError, OSError, ValueError, RuntimeError) as error:
        yield Problem(name, f"cannot be read ({error})", _RESTORE)
        return
    for column in (schema.key, "split"):
        if read_text(group, column, rows.num_rows) != rows[column].to_pylist():
            what = f"does not hold the manifest's accepted {schema.name} in their order"
            yield Problem(f"{name}/{column}", what, _RESTORE)
    sizes = pc.unique(rows["size"]).to_pylist()
    for role, shape in shapes.items():
        if shape[0] != rows.num_rows or (sizes and shape[1:] != (sizes[0], sizes[0], 3)):
            yield Problem(f"{name}/{role}", f"has shape {shape}, not that of the manifest's {schema.name}", _RESTORE)


def _check_croissant(path: Path) -> Iterator[Problem]:
    try:
        document = read_json(path, CROISSANT_NAME)
        stated = {entry["@id"]: entry.get("sha256") for entry in document["distribution"]}
        with inside(path, MANIFEST_NAME).open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except (CatalogError, OSError, AttributeError, ValueError, KeyError, TypeError) as error:
        yield Problem(CROISSANT_NAME, f"cannot be read ({error!r})", _RESTORE)
        return
    if stated.get(MANIFEST_NAME) != actual:
        yield Problem(CROISSANT_NAME, "states another SHA-256 than the manifest has", _RESTORE)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]),) * 2)
    for found in islice(_problems(Path(sys.argv[1])), _MOST):
        print(json.dumps(asdict(found)), flush=True)
