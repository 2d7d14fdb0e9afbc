"""Writing the layout of the published MMLandmarks release, which its own dataset classes read.

`{train,query,index}/{ground,satellite,text}/{a}/{b}/{c}/{id}.{jpg|json}`, where a, b, c are the first characters of the
id; tables as CSV, whose `images` columns hold ids separated by spaces, those of aerial images in the order of time; tar
shards with their MD5 beside them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from catalog.model import MANIFEST_NAME
from catalog.swap import filling
from pipeline.errors import PermanentError
from pipeline.files import atomic_path, write_bytes

Row = Mapping[str, Any]

LANDMARK_COLUMNS = (
    "landmark_id", "CommonsCategory", "WikipediaPage", "lat", "lon", "min_lat", "min_lon", "max_lat", "max_lon", "QID",
    "osm_type", "osm_id", "category", "state", "hierarchical_category",
)  # fmt: skip
SHARD_BYTES = 1 << 30
"""A tar shard is closed once it holds so many bytes."""


def write_official(release: Path, target: Path, most_bytes: int = SHARD_BYTES) -> None:
    """Write the folders, tables and shards from a release of landmarks, wholly or not at all.

    Args:
        release: Folder of the release.
        target: Folder of the export, new or empty.
        most_bytes: A shard is closed once it holds so much.

    Raises:
        PermanentError: The release cannot be read, or `target` holds something.
        OSError: The disk is full.
    """
    if target.exists() and any(target.iterdir()):
        raise PermanentError(f"{target}: is not empty; move it away first")
    with filling(target) as new:
        _write_folders(release, new)
        _write_shards(new, most_bytes)


def _write_folders(release: Path, target: Path) -> None:
    columns = [
        "image_id", "landmark_id", "modality", "distractor", "split", "year", "items", "flags", "outdoor", "geometry",
        "image_path", "image_licence",
    ]  # fmt: skip
    try:
        manifest = pq.read_table(release / MANIFEST_NAME, columns=columns, filters=[("verdict", "=", "accepted")])
        landmarks = pq.read_table(release / "landmarks.parquet").to_pylist()
        # The layout has room for one text a landmark.
        texts = pq.read_table(release / "texts.parquet", filters=[("main", "=", True)]).to_pylist()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise PermanentError(f"{release}: is no release of landmarks that can be read ({error})") from error
    images = manifest.to_pylist()
    boxes = {
        row["landmark_id"]: tuple(shapely.bounds(shapely.from_wkb(row["geometry"])).tolist())
        for row in images
        if row["modality"] == "ground"
    }
    for row in images:
        place = _place(target, row["split"], row["modality"], row["image_id"], Path(row["image_path"]).suffix)
        _link(release / row["image_path"], place)
    for row in texts:
        path = _place(target, row["split"], "text", row["landmark_id"], ".json")
        write_bytes(path, json.dumps(json.loads(row["sections"]), ensure_ascii=False, indent=1).encode())
    _write_csv(target / "mmlandmarks.csv", LANDMARK_COLUMNS, (_landmark(row, boxes) for row in landmarks))
    for split in ("train", "query"):
        own = [row for row in landmarks if row["split"] == split]
        _write_split(target / split, split, own, [row for row in images if row["split"] == split], texts)
    index = [row for row in images if row["split"] == "index"]
    ground = [(row["image_id"], row["items"][0]) for row in index if row["modality"] == "ground"]
    _write_csv(target / "index" / "mml_index_ground.csv", ("images", "gldv2_id"), ground)
    aerial = [(row["image_id"], *_latlon(row), row["year"]) for row in index if row["modality"] == "satellite"]
    _write_csv(target / "index" / "mml_index_satellite.csv", ("images", "lat", "lon", "year"), aerial)


def _write_shards(target: Path, most_bytes: int) -> None:
    """Pack the files of each split and modality into `images_NNN.tar`, each with `md5.images_NNN.txt` beside it."""
    for split in ("train", "query", "index"):
        for modality in ("ground", "satellite", "text"):
            folder = target / split / modality
            files = sorted(
                path for path in folder.rglob("*") if path.is_file() and path.suffix in (".jpg", ".png", ".json")
            )
            for number, members in enumerate(_groups(files, most_bytes)):
                _write_tar(folder / f"images_{number:03d}.tar", members, folder)


def _write_split(
    folder: Path, split: str, landmarks: Sequence[Row], images: Sequence[Row], texts: Sequence[Row]
) -> None:
    places = [(row["landmark_id"], row["commons_category"], row["lat"], row["lon"]) for row in landmarks]
    _write_csv(folder / f"mml_{split}.csv", ("landmark_id", "CommonsCategory", "lat", "lon"), places)
    own = {row["landmark_id"] for row in landmarks}
    of: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sorted(images, key=lambda row: (row["year"] or 0, row["image_id"])):
        of[row["modality"], row["landmark_id"]].append(row)
    columns = ("landmark_id", "images")
    ids = {key: [row["image_id"] for row in rows] for key, rows in of.items()}
    _write_csv(folder / f"mml_{split}_ground.csv", columns, _listed(own, ids, "ground"))
    outdoor = {key: [row["image_id"] for row in rows if _outdoor(row)] for key, rows in of.items()}
    aerial = list(_listed(own, ids, "satellite"))
    if split == "train":
        _write_csv(folder / "mml_train_ground_subset.csv", columns, _listed(own, outdoor, "ground"))
        _write_csv(folder / "mml_train_satellite.csv", columns, aerial)
    else:
        latest = [(landmark, images.rpartition(" ")[2]) for landmark, images in aerial]
        _write_csv(folder / "mml_query_satellite.csv", columns, latest)
        _write_csv(folder / "mml_query_all_satellite.csv", columns, aerial)
        sentences = [(row["landmark_id"], row["sentence"]) for row in texts if row["landmark_id"] in own]
        _write_csv(folder / "mml_query_text_sentences.csv", ("landmark_id", "sentences"), sorted(sentences))
    written = sorted(row["landmark_id"] for row in texts if row["landmark_id"] in own)
    _write_csv(folder / f"mml_{split}_text.csv", ("landmark_id", "json"), ((each, each) for each in written))
    licences = [
        (row["landmark_id"], row["image_id"], row["image_licence"]) for row in images if row["modality"] == "ground"
    ]
    _write_csv(folder / f"mml_{split}_licenses.csv", ("landmark_id", "images", "license"), sorted(licences))


def _listed(
    own: Iterable[str], ids: Mapping[tuple[str, str], Sequence[str]], modality: str
) -> Iterable[tuple[str, str]]:
    for landmark in sorted(own):
        if names := ids.get((modality, landmark)):
            yield landmark, " ".join(names)


def _outdoor(row: Row) -> bool:
    return "interior" not in row["flags"] and (row.get("outdoor") is None or row["outdoor"] >= 0.5)


def _landmark(row: Row, boxes: Mapping[str, tuple[float, float, float, float]]) -> tuple[Any, ...]:
    page = row["wikipedia"].partition(":")[2] or row["wikipedia"]
    west, south, east, north = boxes[row["landmark_id"]]
    return (
        row["landmark_id"], row["commons_category"], page, row["lat"], row["lon"], south, west, north, east, row["qid"],
        row["osm_type"], row["osm_id"], row["category"], row["state"], row["hierarchical_category"],
    )  # fmt: skip


def _latlon(row: Row) -> tuple[float, float]:
    west, south, east, north = shapely.bounds(shapely.from_wkb(row["geometry"])).tolist()
    return (south + north) / 2, (west + east) / 2


def _place(target: Path, split: str, modality: str, name: str, suffix: str) -> Path:
    return target / split / modality / name[0] / name[1] / name[2] / f"{name}{suffix}"


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where the export lies on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copyfile(source, target)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def _groups(files: Sequence[Path], most: int) -> Iterable[list[Path]]:
    group: list[Path] = []
    size = 0
    for path in files:
        group.append(path)
        size += path.stat().st_size
        if size >= most:
            yield group
            group, size = [], 0
    if group:
        yield group


def _write_tar(path: Path, members: Sequence[Path], folder: Path) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with atomic_path(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            for member in members:
                entry = tarfile.TarInfo(member.relative_to(folder).as_posix())
                entry.size = member.stat().st_size
                with member.open("rb") as file:
                    archive.addfile(entry, file)
        with temporary.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    write_bytes(path.with_name(f"md5.{path.stem}.txt"), f"{digest.hexdigest()}  {path.name}\n".encode())
