"""Copying a release to a bucket or a mounted server, so that `open_dataset` and other readers open it there.

The list of checksums is the mark of a whole release: it is written last. Every file is read back and compared with it.
What was copied and found right is noted in a journal on this machine, from which a broken copy goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from catalog.checksums import MAX_LIST_BYTES, digest, read_checksums
from catalog.errors import CatalogError
from catalog.model import CHECKSUMS_NAME
from catalog.remote import RemoteFolder
from catalog.untrusted import entries_below

_BLOCK = 2**24
_TRANSFERS = 8
_READ_ONLY = ("http", "https")


@dataclass(frozen=True)
class Published:
    """What a publication did: files and bytes copied now, and files that an earlier one had copied."""

    files: int
    size: int
    kept: int


def publish_release(
    release: Path, url: str, journal: Path, said: Callable[[int, int], None] = lambda done, total: None
) -> Published:
    """Copy a release to an address.

    Args:
        release: Folder of a release that verifies.
        url: Where to: a folder of its own, such as `s3://bucket/release`.
        journal: File on this machine that notes what was copied there; made if it is missing.
        said: Is told after each file how many bytes are done, and of how many.

    Returns:
        What was copied.

    Raises:
        CatalogError: The release is damaged, another one or something else lies there, or a copy is not what was sent.
    """
    there = RemoteFolder(url)
    if there.protocol in _READ_ONLY:
        raise CatalogError(f"{url}: nothing can be copied to a web address; name a bucket, such as s3://bucket/folder")
    digests = read_checksums(release / CHECKSUMS_NAME)
    strays = sorted({*entries_below(release)[0]} ^ {*digests, CHECKSUMS_NAME})
    if strays:
        raise CatalogError(f"{release}: {strays[0]} is missing or not of the release; verify it first")
    digests[CHECKSUMS_NAME] = digest(release / CHECKSUMS_NAME)
    present, copied = _present(there, digests), _read_journal(journal)
    sizes = {name: (release / name).stat().st_size for name in digests}
    kept = {name for name in digests if (name, digests[name]) in copied and present.get(name) == sizes[name]}
    todo = [name for name in digests if name not in kept]
    total, done, lock = sum(sizes.values()), sum(sizes[name] for name in kept), threading.Lock()

    def copy(name: str) -> None:
        nonlocal done
        _copy(release / name, there, name, digests[name])
        with lock:
            _note(journal, name, digests[name])
            done += sizes[name]
            said(done, total)

    with ThreadPoolExecutor(_TRANSFERS) as pool:
        for _ in pool.map(copy, [name for name in todo if name != CHECKSUMS_NAME]):
            pass
    if CHECKSUMS_NAME in todo:
        copy(CHECKSUMS_NAME)
    return Published(len(todo), sum(sizes[name] for name in todo), len(kept))


def _present(there: RemoteFolder, digests: dict[str, str]) -> dict[str, int]:
    """Return the sizes of the release's files that are there already, by name.

    Raises:
        CatalogError: Another whole release is there, or files of something else.
    """
    with there.explained(""):
        system = there.filesystem()
        system.invalidate_cache()
        root = system._strip_protocol(there.url)
        try:
            found = system.find(root, detail=True)
        except FileNotFoundError:
            return {}
    sizes = {path.removeprefix(root).lstrip("/"): int(facts["size"]) for path, facts in found.items()}
    strange = sorted(sizes.keys() - digests.keys())
    if "" in sizes:
        raise CatalogError(f"{there}: is a file; name a folder")
    if strange:
        raise CatalogError(f"{there}: holds {strange[0]}, which is not of this release; name a folder of its own")
    marked = CHECKSUMS_NAME in sizes
    if marked and blake3(there.read(CHECKSUMS_NAME, MAX_LIST_BYTES)).hexdigest() != digests[CHECKSUMS_NAME]:
        raise CatalogError(f"{there}: holds another release; publish each version to a folder of its own")
    return sizes


def _copy(file: Path, there: RemoteFolder, name: str, expected: str) -> None:
    with there.explained(name):
        system = there.filesystem()
        target = f"{there}/{name}"
        if there.protocol == "file":
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
        system.put_file(str(file), target)
        hasher = blake3()
        with system.open(target, "rb", block_size=_BLOCK, cache_type="readahead") as copy:
            while block := copy.read(_BLOCK):
                hasher.update(block)
    if hasher.hexdigest() != expected:
        where = file if digest(file) != expected else target
        raise CatalogError(f"{where}: has not the content of the release; verify the release, then publish again")


def _read_journal(journal: Path) -> set[tuple[str, str]]:
    if not journal.exists():
        return set()
    lines = (line.partition("  ") for line in journal.read_text(encoding="utf-8").splitlines())
    return {(name, hexadecimal) for hexadecimal, _, name in lines}


def _note(journal: Path, name: str, hexadecimal: str) -> None:
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        file.write(f"{hexadecimal}  {name}\n")
