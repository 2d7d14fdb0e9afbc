"""What file system a path lies on: some cannot hold a SQLite database in WAL mode."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")

LOCAL = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}
)
"""File systems of one machine. WAL needs memory that all processes share, which network file systems do not offer."""


def filesystem_type(path: Path) -> str:
    """Return the type of the file system that `path` lies on, such as "ext4" or "nfs4"; "" if it cannot be told."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    resolved, found = path.resolve(), (-1, "")
    for line in lines:
        _, mounted, kind = line.split()[:3]
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), mounted))
        # A later mount at the same place hides the earlier one.
        if resolved.is_relative_to(point) and len(point.parts) >= found[0]:
            found = (len(point.parts), kind)
    return found[1]


def is_local(path: Path) -> bool:
    """Tell whether `path` lies on a file system of this machine alone; what is unknown counts as shared."""
    return filesystem_type(path) in LOCAL
