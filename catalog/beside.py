"""A folder beside a release that is made of it: shards or GeoTIFFs, with card and checksums of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from catalog.card import card_of_export
from catalog.checksums import digest, files_below, write_checksums
from catalog.errors import CatalogError
from catalog.manifest import published, read_manifest
from catalog.model import CARD_NAME, CHECKSUMS_NAME, Json
from catalog.pixels import Pixels, read_summary
from catalog.swap import filling
from catalog.untrusted import inside


@dataclass(frozen=True)
class Export:
    """The images of a release, its rows by split, and the folder that is filled from them."""

    release: Path
    folder: Path
    pixels: Pixels
    splits: Mapping[str, pa.Table]

    def write_card(self, configs: list[Json], example: str) -> None:
        """Write the release's card, as it holds for this folder.

        Args:
            configs: Of the front matter, where dataset hubs find the splits; empty if they cannot.
            example: Python by which the folder is read; PATH stands for it.
        """
        card = inside(self.release, CARD_NAME).read_text(encoding="utf-8")
        (self.folder / CARD_NAME).write_text(card_of_export(card, configs, example), encoding="utf-8")


@contextmanager
def exporting(release: Path, target: Path, splits: Sequence[str]) -> Iterator[Export]:
    """Open a release for an export, which is swapped in with its checksums on a clean exit; else nothing changes.

    Args:
        release: Folder of the release, of any schema.
        target: Folder of the export; an earlier one in it is replaced.
        splits: Those that are wanted; all if empty.

    Yields:
        What is to be exported, and where to.

    Raises:
        CatalogError: The release cannot be read, has no such split, or `target` holds something else.
    """
    schema, layouts = read_summary(release)
    strange = sorted(set(splits) - set(schema.splits))
    if strange:
        raise CatalogError(f"{release}: has no split {strange[0]!r}; its splits are {', '.join(schema.splits)}")
    if target.exists() and not (target / CHECKSUMS_NAME).is_file():
        raise CatalogError(f"{target}: is there and is no earlier export; move it away first")
    rows = published(read_manifest(schema, release))
    chosen = {split: rows.filter(pc.equal(rows["split"], split)) for split in splits or schema.splits}
    with filling(target) as new:
        yield Export(release, new, Pixels(schema, release, layouts[0], rows.num_rows), chosen)
        write_checksums(new / CHECKSUMS_NAME, {name: digest(new / name) for name in files_below(new)})
