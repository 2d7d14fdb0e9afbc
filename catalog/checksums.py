"""Digests of files, and the list of them that a release carries in the format of `b3sum`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3

from catalog.errors import CatalogError
from catalog.untrusted import entries_below, inside

MAX_LIST_BYTES = 2**28
"""Bytes of the longest list of checksums that is read."""

MULTIHASH_BLAKE3 = "1e20"
"""Prefix that makes 32 bytes of BLAKE3 a multihash: code 0x1e, length 0x20."""


def digest(path: Path) -> str:
    """Return the BLAKE3 digest of a file's content as 64 hexadecimal digits.

    Args:
        path: A file of any size; it is mapped, not read into memory.

    Raises:
        OSError: It cannot be read.
    """
    hasher = blake3()
    hasher.update_mmap(path)
    return hasher.hexdigest()


def multihash(hexadecimal: str) -> str:
    """Return a BLAKE3 digest as STAC's `file:checksum` wants it."""
    return MULTIHASH_BLAKE3 + hexadecimal


def write_checksums(path: Path, digests: Mapping[str, str]) -> None:
    """Write digests by relative POSIX path, sorted; `b3sum --check` reads the file.

    Args:
        path: Where to; an existing file is replaced.
        digests: BLAKE3 in hexadecimal by path relative to the release, without the file of checksums itself.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{digests[name]}  {name}\n" for name in sorted(digests))


def read_checksums(path: Path) -> dict[str, str]:
    """Read digests by relative path.

    Raises:
        CatalogError: The file cannot be read, is too large, or has a malformed line, which is named.
    """
    digests = {}
    try:
        if inside(path.parent, path.name).stat().st_size > MAX_LIST_BYTES:
            raise CatalogError(f"{path}: has more than {MAX_LIST_BYTES} bytes; build the release again")
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                hexadecimal, _, name = line.removesuffix("\n").partition("  ")
                if len(hexadecimal) != 64 or not name:
                    raise CatalogError(
                        f"{path}, line {number}: not `<64 hexadecimal digits>  <path>`; build the release again"
                    )
                digests[name] = hexadecimal
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path}: cannot read the checksums ({error}); build the release again") from error
    return digests


def files_below(folder: Path) -> list[str]:
    """Return every plain file below `folder` as a relative POSIX path, sorted; links are not followed."""
    return entries_below(folder)[0] if folder.is_dir() else []
