"""Files brought into a release: by hard link where the file system allows, else by copy."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import CatalogError
from catalog.manifest import published, published_batches
from catalog.schema import Schema

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES}


def place(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy of it on another or a simpler file system.

    Args:
        source: A finished file; it must not be changed in place afterwards, because a hard link would change too.
        target: Where to; its folder is made, and no file may be there.

    Raises:
        CatalogError: The source is missing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError as error:
        raise CatalogError(f"{source}: is missing though a finished unit made it; run the pipeline again") from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)


def write_folders(
    schema: Schema[Any], manifest: pa.Table, sources: pa.Table, root: Path, release: Path
) -> dict[str, str]:
    """Lay out the images of all accepted records as the schema's roles say.

    Args:
        schema: Of the release.
        manifest: Of the release.
        sources: Where each image is now, relative to `root`; columns `schema.sources`.
        root: Folder that the sources are relative to.
        release: Folder that the images are placed in.

    Returns:
        Digests by path in the release.

    Raises:
        CatalogError: Records have no image files of their own, or a file is missing.
    """
    if "npy" in pc.unique(published(manifest, ["format"])["format"]).to_pylist():
        raise CatalogError(
            "the folder layout needs image files, but these images were made with format none; "
            "publish them as zarr, or make them again as png, jpeg or webp"
        )
    digests = {}
    for rows in published_batches(manifest):
        files = sources.take(pc.index_in(rows[schema.key], sources[schema.key]))
        for role in schema.images:
            columns = (files[f"{role}_file"], rows[f"{role}_path"], rows[f"{role}_digest"])
            for file, path, digest in zip(*(column.to_pylist() for column in columns), strict=True):
                place(root / file, release / path)
                digests[path] = digest
    return digests
