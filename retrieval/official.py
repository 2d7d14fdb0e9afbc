"""Reading a release in the layout of the published MMLandmarks dataset, or one that was exported to it.

`{train,query,index}/{ground,satellite,text}/{a}/{b}/{c}/{id}.{jpg|png|json}`, where a, b, c are the first characters of
the id, and CSV tables whose `images` columns hold ids separated by spaces.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from retrieval.benchmark import DISTRACTOR, Benchmark, Items, Modality
from retrieval.errors import RetrievalError

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # one landmark can have thousands of images in one field

_SUFFIXES = (".jpg", ".png")
_ID = re.compile(r"[\w-]{3,}")


def read_official(root: Path) -> Benchmark:
    """Read the queries and galleries of the seven tasks.

    Args:
        root: Folder that holds `query/`, `index/` and `mmlandmarks.csv`.

    Returns:
        The benchmark. An image is looked for only when it is encoded, so that a release of which only the tables are
        here can be evaluated from embeddings.

    Raises:
        RetrievalError: A table or a column is missing, a value is no number, or a landmark is unknown.
    """
    places = list(_rows(root / "query" / "mml_query.csv", "landmark_id", "lat", "lon"))
    if not places:
        raise RetrievalError(f"{root / 'query' / 'mml_query.csv'}: no landmark in it")
    number = {row["landmark_id"]: index for index, row in enumerate(places)}
    if len(number) < len(places):
        raise RetrievalError(f"{root / 'query' / 'mml_query.csv'}: a landmark stands twice")
    lonlat = np.array([_place(row, root / "query" / "mml_query.csv") for row in places])
    queries: dict[Modality, Items] = {
        "ground": _images(root, "ground", root / "query" / "mml_query_ground.csv", number),
        "satellite": _images(root, "satellite", root / "query" / "mml_query_satellite.csv", number),
        "text": _texts(root, number),
    }
    ground_index = [row["images"] for row in _rows(root / "index" / "mml_index_ground.csv", "images")]
    satellite_rows = list(_rows(root / "index" / "mml_index_satellite.csv", "images", "lat", "lon"))
    satellite_index = [row["images"] for row in satellite_rows]
    index_lonlat = np.array([_place(row, root / "index" / "mml_index_satellite.csv") for row in satellite_rows])
    every_place = np.concatenate([lonlat, index_lonlat.reshape(-1, 2)])
    galleries: dict[Modality, Items] = {
        "ground": _with_index(root, "ground", queries["ground"], ground_index),
        "satellite": _with_index(root, "satellite", queries["satellite"], satellite_index),
        "coordinates": Items(
            [*number, *satellite_index],
            np.concatenate([np.arange(len(number)), np.full(len(satellite_index), DISTRACTOR)]),
            every_place,
        ),
    }
    return Benchmark("MMLandmarks", queries, galleries, lonlat, _groups(root, number), list(number))


def image_path(root: Path, split: str, modality: str, name: str) -> Path:
    """Return where an image lies: with the suffix that exists, or `.jpg` where neither does.

    Args:
        root: Folder of the published layout.
        split: Folder of the split, such as "query" or "index".
        modality: "ground" or "satellite".
        name: Id of the image, three characters or more, the first three of which name the folders.
    """
    folder = root / split / modality / name[0] / name[1] / name[2]
    for suffix in _SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.exists():
            return path
    return folder / f"{name}{_SUFFIXES[0]}"


def _images(root: Path, modality: str, table: Path, number: dict[str, int]) -> Items:
    ids, landmarks = [], []
    for row in _rows(table, "landmark_id", "images"):
        if row["landmark_id"] not in number:
            raise RetrievalError(f"{table}: landmark {row['landmark_id']} is not in mml_query.csv")
        for name in row["images"].split():
            ids.append(name)
            landmarks.append(number[row["landmark_id"]])
    _checked(ids, table)
    return Items(ids, np.array(landmarks, np.int64), None, partial(_image, root, modality, ids, len(ids)))


def _checked(ids: Sequence[str], table: Path) -> None:
    """Refuse ids that name no file below the folder of their images: the table may be a stranger's."""
    wrong = next((name for name in ids if _ID.fullmatch(name) is None), None)
    if wrong is not None:
        raise RetrievalError(f"{table}: {wrong!r} is no id of an image: three letters, digits, - or _ at least")


def _texts(root: Path, number: dict[str, int]) -> Items:
    table = root / "query" / "mml_query_text_sentences.csv"
    rows = [row for row in _rows(table, "landmark_id", "sentences") if row["landmark_id"] in number]
    landmarks = np.array([number[row["landmark_id"]] for row in rows], np.int64)
    sentences = [row["sentences"] for row in rows]
    return Items([row["landmark_id"] for row in rows], landmarks, None, sentences.__getitem__)


def _with_index(root: Path, modality: str, own: Items, index: list[str]) -> Items:
    _checked(index, root / "index" / f"mml_index_{modality}.csv")
    ids = [*own.ids, *index]
    landmarks = np.concatenate([own.landmarks, np.full(len(index), DISTRACTOR)])
    return Items(ids, landmarks, None, partial(_image, root, modality, ids, len(own)))


def _image(root: Path, modality: str, ids: Sequence[str], queries: int, position: int) -> Path:
    """Return the path of an item of a gallery, whose first `queries` items are those of the queries."""
    return image_path(root, "query" if position < queries else "index", modality, ids[position])


def _groups(root: Path, number: dict[str, int]) -> dict[str, list[str]]:
    path = root / "mmlandmarks.csv"
    if not path.is_file():
        return {}
    rows = {row["landmark_id"]: row for row in _rows(path, "landmark_id")}
    columns = [name for name in ("category", "state") if rows and name in next(iter(rows.values()))]
    return {name: [rows.get(landmark, {}).get(name, "") or "unknown" for landmark in number] for name in columns}


def _rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise RetrievalError(f"{path}: no column {missing[0]!r}; columns: {', '.join(reader.fieldnames or ())}")
            for line, row in enumerate(reader, start=2):
                if any(row[name] is None for name in columns):
                    raise RetrievalError(f"{path}, row {line}: fewer values than columns")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RetrievalError(f"{path}: cannot be read ({error}); is this a release in the official layout?") from error


def _place(row: dict[str, str], path: Path) -> tuple[float, float]:
    try:
        lon, lat = float(row["lon"]), float(row["lat"])
    except ValueError:
        raise RetrievalError(f"{path}: {row['lon']!r}, {row['lat']!r} are no longitude and latitude") from None
    if not (abs(lat) <= 90 and abs(lon) <= 360):
        raise RetrievalError(f"{path}: longitude {lon}, latitude {lat} lie outside the globe")
    return lon, lat
