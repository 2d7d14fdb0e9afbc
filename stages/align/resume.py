"""An alignment that is stopped goes on where it was: what each pass measured is kept on disk until the site is done."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import numpy as np

from pipeline.errors import PermanentError
from pipeline.files import digest_bytes, write_bytes
from raster.homography import FloatArray

_KEPT: ContextVar[Path | None] = ContextVar("kept", default=None)
_DIGEST = 64


@contextmanager
def resumable(folder: Path, key: str) -> Iterator[None]:
    """Keep what is measured inside this context, and take from the folder what an earlier try has left there.

    Args:
        folder: Of these files alone; it is removed when the context ends, unless the work may be tried again.
        key: All that the measurements depend on besides what `measured_once` is told. Files of other keys are removed.

    Raises:
        DiskFullError: There is no room for a file.
    """
    if folder.is_dir() and {path.name for path in folder.iterdir()} != {key}:
        shutil.rmtree(folder, ignore_errors=True)
    token = _KEPT.set(folder / key)
    try:
        yield
    except PermanentError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        _KEPT.reset(token)
    shutil.rmtree(folder, ignore_errors=True)


def measured_once(what: bytes, measure: Callable[[], FloatArray]) -> FloatArray:
    """Return a table of numbers that was measured before, or measure it and keep it.

    Args:
        what: All that it depends on, besides the key of the context.
        measure: Makes the table; called where none is kept or it is damaged, and always outside of `resumable`.
    """
    folder = _KEPT.get()
    if folder is None:
        return measure()
    path = folder / f"{digest_bytes(what)}.npy"
    with suppress(FileNotFoundError):
        content = path.read_bytes()
        if digest_bytes(content[_DIGEST:]).encode() == content[:_DIGEST]:
            return np.asarray(np.load(io.BytesIO(content[_DIGEST:]), allow_pickle=False))
    table = measure()
    file = io.BytesIO()
    np.save(file, table, allow_pickle=False)
    with suppress(FileNotFoundError):  # another try of this unit has ended meanwhile, and removed the folder
        write_bytes(path, digest_bytes(file.getvalue()).encode() + file.getvalue())
    return table
