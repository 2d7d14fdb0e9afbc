"""Landmarks as samples of WebDataset shards.

A landmark is a sample: `<id>.json` with its facts and texts, `<id>.ground.<n>.jpg` and `<id>.satellite.<n>.jpg` in the
order of time, what each is stands in the JSON. A distractor is a sample of one image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import shapely

from catalog.errors import CatalogError
from catalog.model import EXTENSIONS, Json
from catalog.untrusted import read_table
from raster.strict_json import parse_json

_FACTS = (
    "image_id", "year", "title", "author", "image_licence", "image_attribution", "image_source", "flags", "outdoor",
)  # fmt: skip

_Row = Mapping[str, Any]


def landmark_bundles(release: Path, rows: pa.Table) -> Iterator[tuple[str, Json, list[tuple[str, str, _Row]]]]:
    """Yield the samples of a split, in the order of their ids.

    Args:
        release: Folder of the release, whose tables of landmarks and texts are read.
        rows: Published rows of its manifest, of one split.

    Yields:
        See `catalog.schema.Schema.bundles`.

    Raises:
        CatalogError: A table cannot be read.
    """
    landmarks = {row["landmark_id"]: row for row in read_table(release, "landmarks.parquet").to_pylist()}
    texts: dict[str, list[_Row]] = defaultdict(list)
    for row in read_table(release, "texts.parquet").to_pylist():
        texts[row["landmark_id"]].append({**row, "sections": _sections(release, row)})
    for sample, images in _grouped(rows.sort_by("landmark_id")):
        yield _bundle(sample, images, landmarks.get(sample), texts.get(sample, ()))


def _sections(release: Path, row: _Row) -> Json:
    try:
        return dict(parse_json(row["sections"]))
    except (ValueError, TypeError) as error:
        raise CatalogError(
            f"{release}: the sections of {row['landmark_id']} are no texts by title ({error}); verify the release"
        ) from error


def _grouped(rows: pa.Table) -> Iterator[tuple[str, list[_Row]]]:
    """Yield the images of each landmark; a few thousand rows are objects at once."""
    images: list[_Row] = []
    for batch in rows.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            if images and images[0]["landmark_id"] != row["landmark_id"]:
                yield images[0]["landmark_id"], images
                images = []
            images.append(row)
    if images:
        yield images[0]["landmark_id"], images


def _bundle(
    sample: str, images: Sequence[_Row], landmark: _Row | None, texts: Sequence[_Row]
) -> tuple[str, Json, list[tuple[str, str, _Row]]]:
    described: Json = {"id": sample, "split": images[0]["split"], "landmark": landmark, "images": {}}
    for text in texts:
        described["text" if text["main"] else f"text.{text['language']}"] = text
    files: list[tuple[str, str, _Row]] = []
    for modality in ("ground", "satellite"):
        own = sorted(
            (row for row in images if row["modality"] == modality), key=lambda row: (row["year"] or 0, row["image_id"])
        )
        for n, row in enumerate(own):
            facts = {fact: row[fact] for fact in _FACTS}
            if landmark is None and modality == "satellite":
                west, south, east, north = shapely.bounds(shapely.from_wkb(row["geometry"])).tolist()
                facts |= {"lon": (west + east) / 2, "lat": (south + north) / 2}
            described["images"][f"{modality}.{n}.{EXTENSIONS[row['format']]}"] = facts
            files.append((f"{modality}.{n}", "image", row))
    return sample, described, files
