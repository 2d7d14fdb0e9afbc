"""Reading a release back: a PyTorch `Dataset` over its folders or its Zarr store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
import zarr
from torch.utils.data import Dataset

from catalog.errors import CatalogError
from catalog.manifest import published, read_manifest
from catalog.model import RELEASE_NAME, STORE_NAME, Format
from catalog.schema import Schema, find_schema
from catalog.store import Image, image_array, open_store, read_image
from catalog.untrusted import inside, read_json

Layout = Literal["folders", "zarr"]
Sample = Mapping[str, Any]
"""What the schema makes of a record: for map-visible pairs a `catalog.pairs.sample.Pair`."""


class ReleaseDataset(Dataset[Sample]):
    """The accepted records of one split, in the manifest's order. Made by `open_dataset`.

    `table` holds the manifest's rows of these records: row n is item n, so that a subset can be chosen by any column.
    `stored` is the number of records of all splits, which the Zarr store holds.
    Safe in `DataLoader` workers, forked or spawned: the Zarr store is opened anew in each process.
    """

    def __init__(
        self, schema: Schema[Any], path: Path, table: pa.Table, layout: Layout, dtype: torch.dtype, stored: int
    ) -> None:
        self.schema, self.path, self.table, self.layout, self.dtype = schema, path, table, layout, dtype
        self.stored = stored
        self._store: tuple[int, dict[str, zarr.Array[Any]]] | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, index: int) -> Sample:
        """Return one record.

        Raises:
            IndexError: `index` lies beyond the end.
            CatalogError: An image cannot be read.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.schema.noun} {index} of a dataset of {len(self)}")
        row = self.table.slice(index % len(self), 1).to_pylist()[0]
        return self.schema.sample(row, {role: self._tensor(self._image(role, row)) for role in self.schema.images})

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_store": None}

    def _image(self, role: str, row: dict[str, Any]) -> Image:
        if self.layout == "folders":
            image = read_image(inside(self.path, row[f"{role}_path"]))
            if "size" in row and image.shape != (row["size"], row["size"], 3):
                raise CatalogError(
                    f"{self.path}: {row[f'{role}_path']} is of {image.shape}, the manifest says {row['size']} px; "
                    "verify the release"
                )
            return image
        try:
            return np.asarray(self._array(role, row["size"])[row["zarr_index"]], np.uint8)
        except (OSError, ValueError, RuntimeError) as error:
            raise CatalogError(
                f"{self.path / STORE_NAME}: {row[self.schema.key]} cannot be read ({error}); verify the release"
            ) from error

    def _array(self, role: str, size: int) -> zarr.Array[Any]:
        # A store opened before a fork shares its event loop with the parent, which then hangs in the child.
        if self._store is None or self._store[0] != os.getpid():
            group = open_store(self.schema, self.path / STORE_NAME)
            shape = self.stored, size, size, 3
            self._store = os.getpid(), {each: image_array(group, each, shape) for each in self.schema.images}
        return self._store[1][role]

    def _tensor(self, image: Image) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return tensor if self.dtype == torch.uint8 else tensor.to(self.dtype) / 255


def open_dataset(
    path: str | Path,
    split: str = "train",
    layout: Layout | None = None,
    dtype: torch.dtype = torch.float32,
) -> ReleaseDataset:
    """Open the records of one split of a release as a PyTorch `Dataset`, whatever its schema.

    Args:
        path: Folder of the release.
        split: One that the schema has, such as train, val or test; or all of them.
        layout: What to read pixels from; by default the folders if the release has them, else the Zarr store.
        dtype: Of the images: torch.float32 (values in [0, 1]) or torch.uint8.

    Raises:
        CatalogError: There is no release at `path`, it lacks that layout, or its schema is not installed.
        ValueError: There is no such split or dtype.
    """
    path = Path(path)
    if dtype not in (torch.float32, torch.uint8):
        raise ValueError(f"dtype {dtype}: choose torch.float32 or torch.uint8")
    schema, present = _summary(path)
    if split not in (*schema.splits, "all"):
        raise ValueError(f"split {split!r}: choose {', '.join(schema.splits)} or all")
    chosen = layout or next(iter(present))
    if chosen not in present:
        raise CatalogError(f"{path}: this release has no {chosen}; it has {', '.join(present)}, or export it first")
    accepted = published(read_manifest(schema, path))
    rows = accepted if split == "all" else accepted.filter(pc.equal(accepted["split"], split))
    return ReleaseDataset(schema, path, rows.combine_chunks(), chosen, dtype, accepted.num_rows)


def _summary(path: Path) -> tuple[Schema[Any], list[Layout]]:
    if not (path / RELEASE_NAME).exists():
        beside = path / "release"
        hint = (
            f"did you mean {beside}?" if (beside / RELEASE_NAME).exists() else "name the folder that holds release.json"
        )
        raise CatalogError(f"{path}: there is no release here; {hint}")
    summary = read_json(path, RELEASE_NAME)
    try:
        formats = {Format(name) for name in summary["formats"]}
        name = summary["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"{path / RELEASE_NAME}: is of no release ({error!r}); build the release again") from error
    return find_schema(name), [layout for layout in ("folders", "zarr") if Format(layout) in formats]
