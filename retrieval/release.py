"""Reading a release of landmarks of this project: queries and galleries, and what there is to train on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from raster.errors import UntrustedError
from raster.strict_json import JsonError, parse_json
from raster.untrusted import inside, read_table
from retrieval.benchmark import DISTRACTOR, Benchmark, Items, Modality
from retrieval.errors import RetrievalError

_IMAGES = ["image_id", "landmark_id", "modality", "distractor", "split", "year", "image_path", "geometry"]
_KINDS: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("lon", "lat"), pa.float64()),
    **dict.fromkeys(("main", "distractor"), pa.bool_()),
    "year": pa.int64(),
    "geometry": pa.binary(),
}
"""Types of the columns that hold no text."""
_WORD = re.compile(r"\w+")

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Landmarks with all their items.

    Attributes:
        ids: Names of the landmarks by their numbers.
        titles: What they are called.
        lonlat: (L, 2) degrees.
        items: Images and texts by modality, each with the number of its landmark.
        groups: For breakdowns, a label of each landmark by its number.
    """

    ids: Sequence[str]
    titles: Sequence[str]
    lonlat: npt.NDArray[np.float64]
    items: Mapping[Modality, Items]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def every_item(self) -> dict[Modality, Items]:
        """Return the items of all modalities that have one, the places of the landmarks among them."""
        places = Items(self.ids, np.arange(len(self.ids)), self.lonlat)
        return {name: items for name, items in {**self.items, "coordinates": places}.items() if len(items)}


def read_release(root: Path) -> Benchmark:
    """Read the queries and galleries of the seven tasks.

    Of the aerial images of a query landmark the latest asks and is in the gallery, as in the published dataset.

    Args:
        root: Folder of the release.

    Raises:
        RetrievalError: A table is missing or damaged, or there is no query landmark.
    """
    rows = _landmark_rows(root, "query")
    number = {row["landmark_id"]: index for index, row in enumerate(rows)}
    lonlat = np.array([[row["lon"], row["lat"]] for row in rows], np.float64)
    images = _image_rows(root)
    own = [row for row in images if row["split"] == "query"]
    latest = {row["landmark_id"]: row for row in own if row["modality"] == "satellite"}
    asking: dict[Modality, list[Row]] = {
        "ground": [row for row in own if row["modality"] == "ground"],
        "satellite": list(latest.values()),
    }
    distractors = [row for row in images if row["split"] == "index"]
    queries: dict[Modality, Items] = {"text": _sentences(root, "query", number)}
    galleries: dict[Modality, Items] = {}
    for name, rows_of in asking.items():
        others = [row for row in distractors if row["modality"] == name]
        queries[name] = _images(root, rows_of, number)
        galleries[name] = _images(root, [*rows_of, *others], number)
    aerials = [row for row in distractors if row["modality"] == "satellite"]
    centres = _centres(root, aerials)
    galleries["coordinates"] = Items(
        [*number, *(row["image_id"] for row in aerials)],
        np.concatenate([np.arange(len(number)), np.full(len(aerials), DISTRACTOR)]),
        np.concatenate([lonlat, centres]),
    )
    return Benchmark(_title(root), queries, galleries, lonlat, _groups(rows), list(number))


def read_landmarks(root: Path, split: str | None = None) -> Landmarks:
    """Read the landmarks of a split with all their images and texts.

    Args:
        root: Folder of the release.
        split: "train", "query", or None for all.

    Raises:
        RetrievalError: A table is missing or damaged, or the split is empty.
    """
    rows = _landmark_rows(root, split)
    number = {row["landmark_id"]: index for index, row in enumerate(rows)}
    images = [row for row in _image_rows(root) if row["landmark_id"] in number and not row["distractor"]]
    items: dict[Modality, Items] = {
        "ground": _images(root, [row for row in images if row["modality"] == "ground"], number),
        "satellite": _images(root, [row for row in images if row["modality"] == "satellite"], number),
        "text": _texts(root, rows, number),
    }
    return Landmarks(
        list(number),
        [row["name"] or row["landmark_id"] for row in rows],
        np.array([[row["lon"], row["lat"]] for row in rows], np.float64),
        items,
        _groups(rows),
    )


def without_words(text: str, *names: str) -> str:
    """Return a text without the words of some names, whatever their case."""
    left_out = {word.lower() for name in names for word in _WORD.findall(name)}
    return " ".join(word for word in text.split() if not left_out & {part.lower() for part in _WORD.findall(word)})


def _texts(root: Path, rows: Sequence[Row], number: Mapping[str, int]) -> Items:
    """Return two texts a landmark: its sentence, and the rest of its article; names of the place are taken out of both,
    and the words of its own name that do not say what it is."""
    found = {row["landmark_id"]: row for row in _main_texts(root, "sentence", "sections")}
    ids, landmarks, texts = [], [], []
    for row in rows:
        entry = found.get(row["landmark_id"])
        if entry is None:
            continue
        own = [word for word in _WORD.findall(row["name"]) if word.lower() not in row["category"].lower()]
        rest = " ".join(_sections(root, entry)).partition(". ")[2]
        for suffix, text in (("", entry["sentence"]), ("/article", rest)):
            cleaned = without_words(text, *own, row["state"])
            if cleaned:
                ids.append(row["landmark_id"] + suffix)
                landmarks.append(number[row["landmark_id"]])
                texts.append(cleaned)
    return Items(ids, np.array(landmarks, np.int64), None, texts.__getitem__)


def _sections(root: Path, entry: Row) -> list[str]:
    """Return the texts of an article's sections."""
    try:
        value = parse_json(entry["sections"])
    except JsonError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise RetrievalError(
            f"{root}: the sections of {entry['landmark_id']} are no texts by title; verify the release"
        )
    return list(value.values())


def _main_texts(root: Path, *columns: str) -> list[Row]:
    """Return the text that stands for each landmark, where there are several languages."""
    return [row for row in _table(root / "texts.parquet", ["landmark_id", "main", *columns]) if row["main"]]


def _sentences(root: Path, split: str, number: Mapping[str, int]) -> Items:
    rows = [row for row in _main_texts(root, "split", "sentence") if row["split"] == split]
    rows = [row for row in rows if row["landmark_id"] in number and row["sentence"]]
    texts = [row["sentence"] for row in rows]
    landmarks = np.array([number[row["landmark_id"]] for row in rows], np.int64)
    return Items([row["landmark_id"] for row in rows], landmarks, None, texts.__getitem__)


def _images(root: Path, rows: Sequence[Row], number: Mapping[str, int]) -> Items:
    lost = [row for row in rows if not row["distractor"] and row["landmark_id"] not in number]
    if lost:
        raise RetrievalError(
            f"{root}: the image {lost[0]['image_id']} and {len(lost) - 1} more show landmarks that landmarks.parquet "
            "has not in their split; verify the release"
        )
    landmarks = [DISTRACTOR if row["distractor"] else number[row["landmark_id"]] for row in rows]
    paths = [row["image_path"] for row in rows]
    return Items([row["image_id"] for row in rows], np.array(landmarks, np.int64), None, partial(_inside, root, paths))


def _inside(root: Path, paths: Sequence[str], position: int) -> Path:
    """Return the path of an image. A release of somebody else may name files outside of itself; none is read."""
    try:
        return inside(root, paths[position])
    except UntrustedError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return root / paths[position]  # whoever reads it says so, and goes on with the others
        raise RetrievalError(str(error)) from error


def _centres(root: Path, rows: Sequence[Row]) -> npt.NDArray[np.float64]:
    """Return longitude and latitude (N, 2) of the middles of images."""
    try:
        shapes = shapely.from_wkb([row["geometry"] for row in rows])
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise RetrievalError(f"{root}: the geometry of an image is no WKB ({error}); verify the release") from error
    centres = shapely.get_coordinates(shapely.centroid(shapes))
    if len(centres) != len(rows):
        raise RetrievalError(f"{root}: an aerial image of the split index has no geometry; verify the release")
    return centres.reshape(-1, 2)


def _landmark_rows(root: Path, split: str | None) -> list[Row]:
    path = root / "landmarks.parquet"
    texts = ("name", "category", "state")
    rows = _table(path, ["landmark_id", "split", "lon", "lat", *texts], optional=texts)
    rows = [{**row, **{name: row[name] or "" for name in texts}} for row in rows if split in (None, row["split"])]
    if not rows:
        raise RetrievalError(f"{path}: no landmark of the split {split!r}")
    astray = [row for row in rows if not (abs(row["lat"]) <= 90 and abs(row["lon"]) <= 360)]
    if astray:
        raise RetrievalError(f"{path}: {astray[0]['landmark_id']} lies outside the globe; verify the release")
    number = Counter(row["landmark_id"] for row in rows)
    twice = next((name for name, count in number.items() if count > 1), None)
    if twice is not None:
        raise RetrievalError(f"{path}: the landmark {twice} stands twice; verify the release")
    return sorted(rows, key=lambda row: str(row["landmark_id"]))


def _image_rows(root: Path) -> list[Row]:
    """Return the published images, those of a landmark in the order of their years."""
    path = root / "manifest.parquet"
    rows = [row for row in _table(path, [*_IMAGES, "verdict"], optional=_IMAGES) if row["verdict"] == "accepted"]
    _refuse_nulls(path, rows, [name for name in _IMAGES if name not in ("year", "geometry")])
    return sorted(rows, key=lambda row: (row["landmark_id"], row["year"] or 0, row["image_id"]))


def _table(path: Path, columns: list[str], optional: Sequence[str] = ()) -> list[Row]:
    """Return the rows of a table, whose columns hold a value in each of them unless they are optional."""
    kinds = {name: _KINDS.get(name, pa.string()) for name in columns}
    try:
        rows: list[Row] = read_table(path.parent, path.name, kinds).to_pylist()
    except UntrustedError as error:
        first = str(error).partition("\n")[0]
        raise RetrievalError(f"{path}: cannot be read ({first}); is this a release of landmarks?") from error
    _refuse_nulls(path, rows, [name for name in columns if name not in optional])
    return rows


def _refuse_nulls(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    for name in columns:
        if any(row[name] is None for row in rows):
            raise RetrievalError(f"{path}: a row has no value in the column {name!r}; verify the release")


def _groups(rows: Sequence[Row]) -> dict[str, list[str]]:
    return {name: [row[name] or "unknown" for row in rows] for name in ("category", "state")}


def _title(root: Path) -> str:
    return root.resolve().parent.name if root.name == "release" else root.name
