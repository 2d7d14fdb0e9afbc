"""The columns of an image of a landmark, as the catalog takes it."""

from __future__ import annotations

import pyarrow as pa

from catalog.schema import column

_TEXT, _INT, _LONG, _REAL = pa.string(), pa.int32(), pa.int64(), pa.float64()
_TEXTS = pa.list_(_TEXT)

IMAGES = pa.schema(
    [
        column("image_id", _TEXT, "unique: 16 hexadecimal digits"),
        column("landmark_id", _TEXT, "the landmark that it shows; of a distractor its own image_id"),
        column("modality", _TEXT, "ground or satellite"),
        column("distractor", pa.bool_(), "whether it belongs to no landmark"),
        column("split", _TEXT, "train, query or index; null if the image was rejected", nullable=True),
        column("verdict", _TEXT, "accepted or rejected; only accepted images are published"),
        column("reasons", _TEXTS, "why it was rejected, one sentence a failed rule; empty if accepted"),
        column("format", _TEXT, "jpeg"),
        column("width", _INT, "pixels"),
        column("height", _INT, "pixels"),
        column("image_digest", _TEXT, "BLAKE3 of the file"),
        column("image_bytes", _LONG, "size of the file"),
        column("image_source", _TEXT, "address of the original, or a URN of what it is"),
        column("image_licence", _TEXT, "licence of the image"),
        column("image_attribution", _TEXT, "what to print beside the image"),
        column("image_date", _TEXT, "when it was taken; empty if unknown"),
        column("author", _TEXT, "who made it; empty if the source does not say"),
        column("licence_url", _TEXT, "address of the licence's text; empty if the source gives none"),
        column("page_url", _TEXT, "address of its description"),
        column("title", _TEXT, "as the source names it"),
        column("year", _INT, "of an aerial image; null on the ground", nullable=True),
        column("items", _TEXTS, "what the source calls that which it was made of"),
        column("flags", _TEXTS, "what it seems to be instead of a view of the landmark, by its title and categories"),
        column("outdoor", _REAL, "score of being taken outdoors, 0 to 1; null if not judged", nullable=True),
        column(
            "geometry",
            pa.binary(),
            "WKB polygon, WGS84: ground of an aerial image, else box of the landmark; of a "
            "photograph of no landmark the extent of all, as its place is not known",
        ),
    ]
)
"""One row an image, as the catalog takes it."""
