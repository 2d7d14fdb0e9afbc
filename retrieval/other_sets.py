"""Readers of other cross-view sets, so that the same models can be measured there.

University-1652 (Zheng, Wei and Yang, ACM MM 2020): `test/query_drone/{building}/*`, `test/query_satellite/...`,
`test/query_street/...` ask; `test/gallery_drone/...`, `gallery_satellite`, `gallery_street` are searched. Buildings
that are in a gallery only are distractors. Views of a drone are images of the ground modality here, as are those of the
street.

CVUSA (Workman, Souvenir and Jacobs, ICCV 2015; the split of Zhai et al., CVPR 2017): `splits/val-19zl.csv` has a row a
pair: aerial image, panorama of the street, and more; every panorama has one aerial image.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from retrieval.benchmark import DISTRACTOR, Benchmark, Items, Modality
from retrieval.errors import RetrievalError

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def read_university(root: Path, ground: str = "drone") -> Benchmark:
    """Read the test split of University-1652.

    Args:
        root: Folder that holds `test/`.
        ground: "drone" or "street": which views take the part of photographs.

    Raises:
        RetrievalError: A folder is missing or empty.
    """
    test = root / "test"
    sides: Mapping[Modality, str] = {"ground": ground, "satellite": "satellite"}
    asked = {name: _by_building(test / f"query_{side}") for name, side in sides.items()}
    searched = {name: _by_building(test / f"gallery_{side}") for name, side in sides.items()}
    buildings = sorted({building for files in asked.values() for building, _ in files})
    number = {building: index for index, building in enumerate(buildings)}
    return Benchmark(
        f"University-1652 ({ground})",
        {name: _items(root, files, number) for name, files in asked.items()},
        {name: _items(root, files, number) for name, files in searched.items()},
        np.full((len(buildings), 2), np.nan),
    )


def read_cvusa(root: Path, split: str = "val-19zl") -> Benchmark:
    """Read a split of CVUSA; the panorama of the street is the photograph.

    Args:
        root: Folder that holds `splits/`, `bingmap/` and `streetview/`.
        split: Name of the CSV file in `splits/`.

    Raises:
        RetrievalError: The file is missing, or a row has fewer than two paths.
    """
    table = root / "splits" / f"{split}.csv"
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RetrievalError(f"{table}: cannot be read ({error}); is this CVUSA?") from error
    short = next((line for line, row in enumerate(rows, start=1) if len(row) < 2), None)
    if short is not None or not rows:
        raise RetrievalError(f"{table}, row {short or 1}: needs an aerial image and a panorama")
    numbers = np.arange(len(rows), dtype=np.int64)
    sides: dict[Modality, Items] = {}
    names: tuple[tuple[Modality, int], ...] = (("satellite", 0), ("ground", 1))
    for name, column in names:
        paths = [row[column].strip() for row in rows]
        _inside(root, paths, table)
        sides[name] = Items(paths, numbers, None, partial(_path, root, paths))
    return Benchmark("CVUSA", sides, sides, np.full((len(rows), 2), np.nan))


def _by_building(folder: Path) -> list[tuple[str, Path]]:
    files = [
        (building.name, path)
        for building in _listed(folder)
        if building.is_dir()
        for path in _listed(building)
        if path.suffix.lower() in _SUFFIXES
    ]
    if not files:
        raise RetrievalError(f"{folder}: no images in folders of buildings; is this University-1652?")
    return files


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise RetrievalError(f"{folder}: cannot be read ({error}); is this University-1652?") from error


def _items(root: Path, files: Iterable[tuple[str, Path]], number: Mapping[str, int]) -> Items:
    pairs = list(files)
    paths = [path.relative_to(root).as_posix() for _, path in pairs]
    landmarks = np.array([number.get(building, DISTRACTOR) for building, _ in pairs], np.int64)
    return Items(paths, landmarks, None, partial(_path, root, paths))


def _path(root: Path, paths: list[str], position: int) -> Path:
    return root / paths[position]


def _inside(root: Path, paths: Iterable[str], table: Path) -> None:
    for path in paths:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise RetrievalError(f"{table}: names {path}, which lies outside of {root}")
