"""Digests of input files that are read again only when a file may have changed."""

from __future__ import annotations

import stat
import time
from collections.abc import Mapping
from pathlib import Path

from pipeline.files import digest_file

_SETTLED_NS = 2_000_000_000
"""A file that was written to more recently may be written to again within the resolution of its time of change."""


class DigestCache:
    """Digests by what a file is: device, inode, size, and when its content and anything else of it changed.

    The second time is that of the kernel: whoever restores a file with its old date, or in place, cannot set it.

    Attributes:
        fresh: What was added since the cache was made, to be kept for the next run.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = dict(known or {})
        self.fresh: dict[str, str] = {}

    def digest(self, path: Path) -> str:
        """Return the BLAKE3 digest of a file's content, "absent" where it cannot be read."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return "absent"  # a pipe would be waited for
            identity = ":".join(
                str(part)
                for part in (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            )
            if identity not in self._known:
                self._known[identity] = digest_file(path)
                if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
                    self.fresh[identity] = self._known[identity]
        except OSError:
            return "absent"
        return self._known[identity]
