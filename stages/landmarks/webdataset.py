"""Writing a release of landmarks as WebDataset shards: tar files whose members share a name up to the first dot.

A landmark is a sample: `<id>.json` with its facts and texts, `<id>.ground.<n>.jpg` and `<id>.satellite.<n>.jpg` in the
order of time, what each is stands in the JSON. A distractor is a sample of one image. The same release gives the same
bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from catalog.model import MANIFEST_NAME
from pipeline.errors import PermanentError
from pipeline.files import atomic_path

SHARD_BYTES = 1 << 30
"""A shard is closed once it holds so many bytes."""

_FACTS = (
    "image_id", "year", "title", "author", "image_licence", "image_attribution", "image_source", "flags", "outdoor",
)  # fmt: skip


def write_webdataset(release: Path, target: Path, most_bytes: int = SHARD_BYTES) -> list[Path]:
    """Write the shards `<split>-<number>.tar`.

    Args:
        release: Folder of the release.
        target: Folder of the shards, new or empty.
        most_bytes: A shard is closed once it holds so much.

    Returns:
        The shards, in order.

    Raises:
        PermanentError: The release cannot be read, or `target` holds something.
    """
    if target.exists() and any(target.iterdir()):
        raise PermanentError(f"{target}: is not empty; name a new folder")
    try:
        manifest = pq.read_table(release / MANIFEST_NAME, filters=[("verdict", "=", "accepted")])
        landmarks = {row["landmark_id"]: row for row in pq.read_table(release / "landmarks.parquet").to_pylist()}
        texts = {row["landmark_id"]: row for row in pq.read_table(release / "texts.parquet").to_pylist()}
    except (OSError, pa.ArrowException) as error:
        raise PermanentError(f"{release}: is no release of landmarks that can be read ({error})") from error
    target.mkdir(parents=True, exist_ok=True)
    made = []
    for split in ("train", "query", "index"):
        rows = manifest.filter(pc.equal(manifest["split"], split)).sort_by("landmark_id")
        writer = _Shards(target, split, most_bytes)
        for sample, images in _grouped(rows):
            writer.add(list(_members(release, sample, images, landmarks.get(sample), texts.get(sample))))
        made += writer.close()
    return made


def _grouped(rows: pa.Table) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the images of each landmark; a few thousand rows are objects at once."""
    images: list[dict[str, Any]] = []
    for batch in rows.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            if images and images[0]["landmark_id"] != row["landmark_id"]:
                yield images[0]["landmark_id"], images
                images = []
            images.append(row)
    if images:
        yield images[0]["landmark_id"], images


def _members(
    release: Path,
    sample: str,
    images: Sequence[Mapping[str, Any]],
    landmark: Mapping[str, Any] | None,
    text: Mapping[str, Any] | None,
) -> Iterator[tuple[str, bytes]]:
    described: dict[str, Any] = {"id": sample, "split": images[0]["split"], "landmark": landmark, "images": {}}
    if text is not None:
        described["text"] = {**text, "sections": json.loads(text["sections"])}
    files = []
    for modality in ("ground", "satellite"):
        own = sorted(
            (row for row in images if row["modality"] == modality), key=lambda row: (row["year"] or 0, row["image_id"])
        )
        for n, row in enumerate(own):
            name = f"{modality}.{n}.jpg"
            described["images"][name] = {fact: row[fact] for fact in _FACTS}
            if landmark is None:
                west, south, east, north = shapely.bounds(shapely.from_wkb(row["geometry"])).tolist()
                place = {"lon": (west + east) / 2, "lat": (south + north) / 2} if modality == "satellite" else {}
                described["images"][name] |= place
            files.append((f"{sample}.{name}", (release / row["image_path"]).read_bytes()))
    yield f"{sample}.json", json.dumps(described, ensure_ascii=False, sort_keys=True).encode()
    yield from files


class _Shards:
    """Packs samples, each whole, into shards of about one size."""

    def __init__(self, folder: Path, split: str, most: int) -> None:
        self._folder, self._split, self._most = folder, split, most
        self._stack = ExitStack()
        self._archive: tarfile.TarFile | None = None
        self._made: list[Path] = []

    def add(self, members: Sequence[tuple[str, bytes]]) -> None:
        """Add a sample."""
        if self._archive is None:
            path = self._folder / f"{self._split}-{len(self._made):06d}.tar"
            self._made.append(path)
            self._size = 0
            temporary = self._stack.enter_context(atomic_path(path))
            self._archive = self._stack.enter_context(tarfile.TarFile(temporary, "w", format=tarfile.USTAR_FORMAT))
        for name, body in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            self._archive.addfile(entry, io.BytesIO(body))
            self._size += len(body)
        if self._size >= self._most:
            self._end()

    def close(self) -> list[Path]:
        """End the last shard and return all."""
        self._end()
        return self._made

    def _end(self) -> None:
        self._stack.close()
        self._archive = None
