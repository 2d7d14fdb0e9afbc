"""The tables that the stages of landmarks write. Every table is Parquet; the same rows give the same bytes.

Ids of landmarks and images are 16 hexadecimal digits, the beginning of a BLAKE3 digest of what they stand for. Paths
are POSIX and relative to the workspace. Longitudes and latitudes are degrees (WGS84).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.files import digest_json
from pipeline.stage import Result
from stages.tables import read_tables

LANDMARKS = pa.schema(
    [
        ("landmark_id", pa.string()),
        ("name", pa.string()),
        ("qid", pa.string()),  # Wikidata; "" if it is known by the title of its page only
        ("osm_type", pa.string()),  # way | relation | synthetic
        ("osm_id", pa.int64()),
        ("wikipedia", pa.string()),  # "en:Title"
        ("commons_category", pa.string()),  # without "Category:"
        ("category", pa.string()),
        ("state", pa.string()),
        ("hierarchical_category", pa.string()),
        ("lon", pa.float64()),  # centre of the object's box
        ("lat", pa.float64()),
        ("min_lon", pa.float64()),
        ("min_lat", pa.float64()),
        ("max_lon", pa.float64()),
        ("max_lat", pa.float64()),
        ("edge_m", pa.float64()),  # longest edge of the box on the ground
        ("licence", pa.string()),  # of this row
        ("attribution", pa.string()),
        ("places", pa.list_(pa.string())),  # names of what it lies in, such as its town; null before they are known
    ]
)
"""One row a landmark, ordered by landmark_id."""

REJECTED = pa.schema(
    [
        ("name", pa.string()),
        ("osm_type", pa.string()),
        ("osm_id", pa.int64()),
        ("qid", pa.string()),
        ("reason", pa.string()),
    ]
)
"""What was no landmark, and why; ordered by (osm_type, osm_id)."""

IMAGES = pa.schema(
    [
        ("image_id", pa.string()),
        ("landmark_id", pa.string()),  # null: a distractor
        ("modality", pa.string()),  # ground | aerial
        ("path", pa.string()),
        ("digest", pa.string()),
        ("bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("lon", pa.float64()),  # of the centre of an aerial image; null on the ground
        ("lat", pa.float64()),
        ("ground_m", pa.float64()),  # width of an aerial image on the ground, metres; null on the ground
        ("year", pa.int32()),  # of an aerial image; null on the ground
        ("date", pa.string()),  # ISO 8601, as precise as known; "" if unknown
        ("items", pa.list_(pa.string())),  # ids of the source's items that it was made of
        ("title", pa.string()),
        ("author", pa.string()),  # "" if the source names none, which is then said in the attribution
        ("licence", pa.string()),
        ("licence_url", pa.string()),
        ("attribution", pa.string()),
        ("source_url", pa.string()),  # of the file
        ("page_url", pa.string()),  # of its description
        ("sha1", pa.string()),  # of the original, if the source gives it
        ("hash", pa.uint64()),  # perceptual; see `stages.tile.statistics.perceptual_hashes`
        (
            "flags",
            pa.list_(pa.string()),
        ),  # what it seems to be: portrait, map, coat of arms, interior, near duplicate...
    ]
)
"""One row an image, ordered by image_id."""

TEXTS = pa.schema(
    [
        ("landmark_id", pa.string()),
        ("language", pa.string()),
        ("title", pa.string()),
        ("sections", pa.string()),  # JSON object: title of the section -> text; "" is the lead
        ("sentence", pa.string()),  # the first sentence, names of places removed
        ("revision", pa.string()),
        ("licence", pa.string()),
        ("attribution", pa.string()),
        ("source_url", pa.string()),
    ]
)
"""One row a text, ordered by (landmark_id, language)."""


def short_id(*what: Any) -> str:
    """Return the id of a thing: 16 hexadecimal digits that depend on `what` alone (JSON-able)."""
    return digest_json(list(what))[:16]


def outputs_named(results: dict[str, Result] | Any, name: str) -> list[Any]:
    """Return the outputs of a stage's units whose file has a name, in the order of the units.

    Args:
        results: Unit name -> its result, as `RunView.read` gives them for a stage.
        name: File name without folder, such as "images.parquet".

    Returns:
        Entries with path (relative to the workspace) and digest.
    """
    made = (entry for result in results.values() for entry in result.outputs)
    return [entry for entry in made if entry.path.rpartition("/")[2] == name]


def rows_of(workspace: Path, paths: Sequence[str], schema: pa.Schema) -> list[dict[str, Any]]:
    """Read tables of one schema, one after the other, as rows.

    Args:
        workspace: What paths are relative to.
        paths: Of Parquet files.
        schema: Which all of them must have.

    Raises:
        PermanentError: A file is absent or damaged; it is named.
    """
    rows: list[dict[str, Any]] = read_tables([workspace / path for path in paths], schema).to_pylist()
    return rows
