"""Digests of files, and the list of them that a release carries in the format of `b3sum`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3

from catalog.errors import CatalogError

MULTIHASH_BLAKE3 = "1e20"
"""Prefix that makes 32 bytes of BLAKE3 a multihash: code 0x1e, length 0x20."""


def digest(path: Path) -> str:
    """Return the BLAKE3 digest of a file's content as 64 hexadecimal digits. Raises OSError if unreadable."""
    hasher = blake3()
    hasher.update_mmap(path)
    return hasher.hexdigest()


def multihash(hexadecimal: str) -> str:
    """Return a BLAKE3 digest as STAC's `file:checksum` wants it."""
    return MULTIHASH_BLAKE3 + hexadecimal


def write_checksums(path: Path, digests: Mapping[str, str]) -> None:
    """Write digests by relative POSIX path, sorted; `b3sum --check` reads the file."""
    path.write_text("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)), encoding="utf-8")


def read_checksums(path: Path) -> dict[str, str]:
    """Read digests by relative path. Raises CatalogError naming the line that is malformed, or an unreadable file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path}: cannot read the checksums ({error}); build the release again") from error
    digests = {}
    for number, line in enumerate(lines, start=1):
        hexadecimal, _, name = line.partition("  ")
        if len(hexadecimal) != 64 or not name:
            raise CatalogError(f"{path}, line {number}: not `<64 hexadecimal digits>  <path>`; build the release again")
        digests[name] = hexadecimal
    return digests


def files_below(folder: Path) -> list[str]:
    """Return every file below `folder` as a relative POSIX path, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
