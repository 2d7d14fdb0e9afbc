"""Reading a release back: a PyTorch `Dataset` over its folders or its Zarr store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
import zarr
from torch.utils.data import Dataset

from catalog.errors import CatalogError
from catalog.manifest import published, read_manifest
from catalog.model import MANIFEST_NAME, RELEASE_NAME, SIDES, STORE_NAME, Format
from catalog.store import Image, open_store, read_image

Split = Literal["train", "val", "test", "all"]
Layout = Literal["folders", "zarr"]


class Pair(TypedDict):
    """One item. The images lie on each other, so `homography` is the identity; `raster_homography` is the one that laid
    the whole map raster on the whole visible raster. `residual_px` is NaN and `inliers` -1 where unknown."""

    map: torch.Tensor  # (3, size, size), float32 in [0, 1] or uint8, RGB
    visible: torch.Tensor
    homography: torch.Tensor  # (3, 3) float64, map -> visible, pixels of these two images
    raster_homography: torch.Tensor  # (3, 3) float64
    residual_px: float
    inliers: int
    pair_id: str
    point_id: str
    split: str


class PairDataset(Dataset[Pair]):
    """The accepted pairs of one split, in the manifest's order. Made by `open_dataset`.

    `table` holds the manifest's rows of these pairs: row n is item n, so that a subset can be chosen by any column.
    Safe in `DataLoader` workers, forked or spawned: the Zarr store is opened anew in each process.
    """

    def __init__(self, path: Path, table: pa.Table, layout: Layout, dtype: torch.dtype) -> None:
        self.path, self.table, self.layout, self.dtype = path, table, layout, dtype
        self._store: tuple[int, zarr.Group] | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, index: int) -> Pair:
        """Return one pair. Raises IndexError beyond the end, CatalogError if an image cannot be read."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"pair {index} of a dataset of {len(self)}")
        row = self.table.slice(index % len(self), 1).to_pylist()[0]
        images = {side: self._tensor(self._image(side, row)) for side in SIDES}
        return Pair(
            map=images["map"],
            visible=images["visible"],
            homography=torch.eye(3, dtype=torch.float64),
            raster_homography=torch.tensor(row["homography"], dtype=torch.float64).reshape(3, 3),
            residual_px=float("nan") if row["residual_px"] is None else row["residual_px"],
            inliers=-1 if row["inliers"] is None else row["inliers"],
            pair_id=row["pair_id"],
            point_id=row["point_id"],
            split=row["split"],
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_store": None}

    def _image(self, side: str, row: dict[str, Any]) -> Image:
        if self.layout == "folders":
            return read_image(self.path / row[f"{side}_path"])
        array = self._group()[side]
        assert isinstance(array, zarr.Array)
        try:
            return np.asarray(array[row["zarr_index"]], np.uint8)
        except (OSError, ValueError, RuntimeError) as error:
            raise CatalogError(
                f"{self.path / STORE_NAME}: pair {row['pair_id']} cannot be read ({error}); verify the release"
            ) from error

    def _group(self) -> zarr.Group:
        # A store opened before a fork shares its event loop with the parent, which then hangs in the child.
        if self._store is None or self._store[0] != os.getpid():
            self._store = os.getpid(), open_store(self.path / STORE_NAME)
        return self._store[1]

    def _tensor(self, image: Image) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return tensor if self.dtype == torch.uint8 else tensor.to(self.dtype) / 255


def open_dataset(
    path: str | Path,
    split: Split = "train",
    layout: Layout | None = None,
    dtype: torch.dtype = torch.float32,
) -> PairDataset:
    """Open the pairs of one split of a release (or of all, `split="all"`) as a PyTorch `Dataset`.

    `layout` says what to read pixels from; by default the folders if the release has them, else the Zarr store.
    `dtype` is torch.float32 (values in [0, 1]) or torch.uint8. Raises CatalogError if there is no release at `path`, or
    it lacks that layout; ValueError for a split or dtype that does not exist.
    """
    path = Path(path)
    if split not in ("train", "val", "test", "all"):
        raise ValueError(f"split {split!r}: choose train, val, test or all")
    if dtype not in (torch.float32, torch.uint8):
        raise ValueError(f"dtype {dtype}: choose torch.float32 or torch.uint8")
    present = _layouts(path)
    chosen = layout or next(iter(present))
    if chosen not in present:
        raise CatalogError(f"{path}: this release has no {chosen}; it has {', '.join(present)}, or export it first")
    rows = published(read_manifest(path / MANIFEST_NAME))
    if split != "all":
        rows = rows.filter(pc.equal(rows["split"], split))
    return PairDataset(path, rows.combine_chunks(), chosen, dtype)


def _layouts(path: Path) -> list[Layout]:
    try:
        formats = json.loads((path / RELEASE_NAME).read_bytes())["formats"]
    except FileNotFoundError as error:
        inside = path / "release"
        hint = (
            f"did you mean {inside}?" if (inside / RELEASE_NAME).exists() else "name the folder that holds release.json"
        )
        raise CatalogError(f"{path}: there is no release here; {hint}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"{path / RELEASE_NAME}: cannot be read ({error}); build the release again") from error
    return [name for name in ("folders", "zarr") if Format(name) in formats]
