"""Files brought into a release: by hard link where the file system allows, else by copy."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pyarrow as pa

from catalog.errors import CatalogError
from catalog.manifest import published
from catalog.model import SIDES

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES}


def place(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy of it on another or a simpler file system.

    Raises CatalogError if the source is missing.
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


def write_folders(manifest: pa.Table, sources: pa.Table, root: Path, release: Path) -> dict[str, str]:
    """Lay out the images of all accepted pairs as MapData/<point>/<site>/{L,R}; return digests by path in the release.

    `sources` (schema SOURCES) tells where each image is now, relative to `root`. Raises CatalogError for pairs that
    have no image files of their own.
    """
    rows = published(manifest)
    if "npy" in rows["format"].to_pylist():
        raise CatalogError(
            "the folder layout needs image files, but these tiles were made with format none; "
            "publish them as zarr, or tile again as png, jpeg or webp"
        )
    digests = {}
    for side in SIDES:
        files = dict(zip(sources["pair_id"].to_pylist(), sources[f"{side}_file"].to_pylist(), strict=True))
        columns = (rows[name].to_pylist() for name in ("pair_id", f"{side}_path", f"{side}_digest"))
        for pair_id, path, digest in zip(*columns, strict=True):
            place(root / files[pair_id], release / path)
            digests[path] = digest
    return digests
