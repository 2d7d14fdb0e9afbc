"""Sets of pairs in several layouts: one function for each, all behind `open_pairs`."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from blake3 import blake3

from matcher.benchmark.pairs import ImagePair, Matrix, PairFiles, PairSource, Subset, srif_pairs
from matcher.errors import InputError
from matcher.images import as_rgb
from raster.errors import UntrustedError
from raster.untrusted import inside, read_json, read_table

_COLUMNS = {
    **dict.fromkeys(("pair_id", "verdict", "split", "map_path", "visible_path"), pa.string()),
    "zarr_index": pa.int64(),
    "geometry": pa.binary(),
}

PairLayout = Literal["release", "mapdata", "srif", "multimodality", "csv"]
Split = Literal["train", "val", "test"]

TRUTH_PX = {("srif", "Optical-Map"): 3.0}
"""Known uncertainty of the ground truth of a set: (layout, folder's name) -> pixels."""


@dataclass(frozen=True)
class PairSpec:
    """A set of pairs by name: where it is and how it is laid out. JSON-able.

    Attributes:
        path: Folder or file.
        layout: How the pairs are stored.
        split: Split of a release.
        subset: Part of an SRIF folder.
        limit: Keep that many pairs, evenly spaced.
        seed: Other than 0 it gives the pairs other names, "NAME#SEED", and so other random homographies.
    """

    path: str
    layout: PairLayout
    split: Split = "test"
    subset: Subset = "all"
    limit: int | None = None
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the keyword arguments that make an equal object."""
        return asdict(self)

    @property
    def name(self) -> str:
        """The name of the set in reports, such as "Optical-Map, final" or "release, test"."""
        part = {"release": self.split, "srif": "" if self.subset == "all" else self.subset}.get(self.layout, "")
        return ", ".join(
            [Path(self.path).name, *([part] if part else []), *([f"seed {self.seed}"] if self.seed else [])]
        )

    @property
    def truth_px(self) -> float | None:
        """The uncertainty of the set's ground truth in pixels, None if it is not known."""
        return TRUTH_PX.get((self.layout, Path(self.path).name))

    def manifest_digest(self) -> str | None:
        """Return the BLAKE3 digest of a release's manifest, which tells it from every other; None for other layouts."""
        if self.layout != "release":
            return None
        return blake3((Path(self.path) / "manifest.parquet").read_bytes()).hexdigest()


def open_pairs(spec: PairSpec) -> Sequence[PairSource]:
    """List the pairs of a set, in a stable order.

    Args:
        spec: Where the set is, its layout, and which of its pairs are wanted.

    Returns:
        Pairs that are read when they are loaded, one or more.

    Raises:
        InputError: There is no such layout, or no pair in it.
    """
    path = Path(spec.path)
    readers: dict[str, Callable[[], Sequence[PairSource]]] = {
        "release": lambda: release_pairs(path, spec.split),
        "mapdata": lambda: mapdata_pairs(path),
        "srif": lambda: srif_pairs(path, spec.subset),
        "multimodality": lambda: multimodality_pairs(path),
        "csv": lambda: csv_pairs(path),
    }
    if spec.layout not in readers:
        raise InputError(f"no layout is called {spec.layout!r}; there are: {', '.join(readers)}")
    pairs = readers[spec.layout]()
    if not pairs:
        raise InputError(f"{path}: no pair in the layout {spec.layout}")
    if spec.seed:
        pairs = [_Reseeded(pair, f"{pair.name}#{spec.seed}") for pair in pairs]
    if spec.limit is None or spec.limit >= len(pairs):
        return pairs
    return [pairs[index] for index in np.linspace(0, len(pairs) - 1, spec.limit).round().astype(int)]


@dataclass(frozen=True, eq=False)
class _Reseeded:
    """A pair under another name, which seeds other random homographies."""

    pair: PairSource
    name: str

    @property
    def footprint(self) -> bytes | None:
        return self.pair.footprint

    def load(self) -> ImagePair:
        return replace(self.pair.load(), name=self.name)

    def digests(self) -> tuple[str, str]:
        return self.pair.digests()


@dataclass(frozen=True, eq=False)
class StoredPair:
    """A pair of a release's Zarr store; both images have the same pixel grid."""

    name: str
    store: Path
    index: int
    footprint: bytes | None = None

    def load(self) -> ImagePair:
        """Read both images; they lie on one grid, so the homography is the identity.

        Raises:
            InputError: The store cannot be read; the message names it.
        """
        image0, image1 = self._images()
        return ImagePair(self.name, as_rgb(image0, self.name), as_rgb(image1, self.name), np.eye(3))

    def digests(self) -> tuple[str, str]:
        """Return BLAKE3 digests of the two images' pixels: a store has no file a pair."""
        image0, image1 = self._images()
        return blake3(image0.tobytes()).hexdigest(), blake3(image1.tobytes()).hexdigest()

    def _images(self) -> tuple[np.ndarray, np.ndarray]:
        import zarr  # slow to import, and only Zarr releases need it

        try:
            group = zarr.open_group(self.store, mode="r")
            return np.asarray(group["map"][self.index]), np.asarray(group["visible"][self.index])  # type: ignore[index]
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise InputError(f"{self.store}: pair {self.name} cannot be read ({error})") from error


def release_pairs(release: Path, split: Split = "test") -> Sequence[PairSource]:
    """List the accepted pairs of a split of a release of this project, map first.

    Args:
        release: Folder of the release; its image folders are read, or its Zarr store if it has none.
        split: The split.

    Raises:
        InputError: The folder is no release.
    """
    try:
        formats = read_json(release, "release.json")["formats"]
        rows = read_table(release, "manifest.parquet", _COLUMNS).to_pylist()
    except (UntrustedError, KeyError, TypeError) as error:
        raise InputError(f"{release}: not a release (release.json and manifest.parquet) ({error})") from error
    chosen = [row for row in rows if row["verdict"] == "accepted" and row["split"] == split]
    if "folders" in formats:
        return [PairFiles(row["pair_id"], *_sides(release, row), _identity, row["geometry"]) for row in chosen]
    store = release / "mapdata.zarr"
    return [StoredPair(row["pair_id"], store, row["zarr_index"], row["geometry"]) for row in chosen]


def _sides(release: Path, row: dict[str, Any]) -> tuple[Path, Path]:
    """Return the files of both images, which lie inside the release whatever its manifest says."""
    try:
        return inside(release, str(row["map_path"])), inside(release, str(row["visible_path"]))
    except UntrustedError as error:
        raise InputError(str(error)) from error


def mapdata_pairs(folder: Path) -> list[PairFiles]:
    """List pairs in the paper's layout: `<point>/<site>/L/<name>.*` the map, `R/<name>.*` the visible image.

    Args:
        folder: That of the points.

    Returns:
        Pairs whose homography is the identity; names are "<point>/<site>/<name>".

    Raises:
        InputError: A map has no visible image of its name, or several.
    """
    pairs = []
    for left in sorted(folder.glob("*/*/L/*")):
        found = sorted((left.parents[1] / "R").glob(f"{left.stem}.*"))
        if len(found) != 1:
            raise InputError(f"{left}: {len(found)} files of that name in {left.parents[1] / 'R'}, there must be one")
        site = left.parents[1]
        pairs.append(PairFiles(f"{site.parent.name}/{site.name}/{left.stem}", left, found[0], _identity))
    return pairs


def multimodality_pairs(folder: Path) -> list[PairFiles]:
    """List pairs of the multi-modality database's layout: `X.mat` beside `Xa.png` and `Xb.png` (or `X_a`, `X_b`).

    The `.mat` holds `T`, 3 x 3 in MATLAB's manner: for row vectors (transposed) and 1-based pixels, from image b to
    image a; image 0 is therefore b. Files without both images are skipped: the database has some. (Jiang et al.,
    Information Fusion 73, 2021.) Names are "<folder>/<X>".
    """
    pairs = []
    for mat in sorted(folder.rglob("*.mat"), key=_natural):
        sides = [_beside(mat, side) for side in ("b", "a")]
        if sides[0] is not None and sides[1] is not None:
            name = f"{mat.parent.name}/{mat.stem}"
            pairs.append(PairFiles(name, sides[0], sides[1], partial(_matlab_homography, mat)))
    return pairs


def csv_pairs(table: Path) -> list[PairFiles]:
    """List the pairs of a CSV with the columns `image0`, `image1` (paths, relative to the CSV) and `homography`.

    The homography is 9 numbers, row-major, pixels of image 0 -> pixels of image 1, separated by spaces; empty means the
    identity. A column `name` is optional.

    Args:
        table: The CSV, UTF-8 with or without a byte order mark.

    Raises:
        InputError: It cannot be read, a row lacks a value or has no 9 numbers (the line is named), or two pairs share a
            name.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a CSV that can be read ({error})") from error
    pairs = []
    for number, row in enumerate(rows, start=2):
        if not row.get("image0") or not row.get("image1") or row.get("homography") is None:
            raise InputError(f"{table}, line {number}: needs image0, image1 and homography")
        try:
            values = [float(value) for value in row["homography"].replace(",", " ").split()] or np.eye(3).ravel()
            matrix = np.array(values, np.float64).reshape(3, 3)
        except ValueError as error:
            raise InputError(f"{table}, line {number}: homography is not 9 numbers ({error})") from error
        name = row.get("name") or f"{table.stem}/{number - 1}"
        pairs.append(
            PairFiles(name, table.parent / row["image0"], table.parent / row["image1"], partial(_same, matrix))
        )
    names = [pair.name for pair in pairs]
    if len(set(names)) < len(names):
        raise InputError(f"{table}: two pairs have the same name; names seed the warps, so each must be unique")
    return pairs


def _identity() -> Matrix:
    return np.eye(3)


def _same(matrix: Matrix) -> Matrix:
    return matrix


def _beside(mat: Path, side: str) -> Path | None:
    found = [path for joint in ("", "_") for path in sorted(mat.parent.glob(f"{mat.stem}{joint}{side}.*"))]
    return found[0] if found else None


def _matlab_homography(path: Path) -> Matrix:
    from scipy.io import loadmat  # slow to import, and only this layout needs it

    try:
        transposed = np.asarray(loadmat(path)["T"], np.float64).reshape(3, 3)
    except NotImplementedError as error:
        raise InputError(f"{path}: a MATLAB file of version 7.3; save it again with -v7 in MATLAB or Octave") from error
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no 3 x 3 matrix T of a MATLAB file ({error})") from error
    to_one_based = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1]], np.float64)
    matrix = np.linalg.inv(to_one_based) @ transposed.T @ to_one_based
    return np.asarray(matrix / matrix[2, 2])


def _natural(path: Path) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.as_posix())]
