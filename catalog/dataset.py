"""Reading a release back: a PyTorch `Dataset` over its folders or its Zarr store, also from a server or a bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import Dataset

from catalog.errors import CatalogError
from catalog.manifest import published, read_manifest
from catalog.model import MANIFEST_NAME, RELEASE_NAME
from catalog.pixels import Layout, Pixels, read_summary
from catalog.schema import Schema
from catalog.store import Image

if TYPE_CHECKING:
    from catalog.remote import RemoteFolder

Sample = Mapping[str, Any]
"""What the schema makes of a record: for map-visible pairs a `catalog.pairs.sample.Pair`."""

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees (WGS84); west > east across the antimeridian."""

_MOST_MANIFEST = 2**30
_REQUESTS = 16  # of a batch that are under way at once


class ReleaseDataset(Dataset[Any]):
    """The chosen records of one split, in the manifest's order. Made by `open_dataset`.

    `table` holds the manifest's rows of these records: row n is item n, so that a subset can be chosen by any column.
    Safe in `DataLoader` workers, forked or spawned.
    """

    def __init__(
        self, pixels: Pixels, table: pa.Table, dtype: torch.dtype, transform: Callable[[Sample], Any] | None
    ) -> None:
        self.pixels, self.table, self.dtype, self.transform = pixels, table, dtype, transform

    @property
    def schema(self) -> Schema[Any]:
        """Return the schema of the release."""
        return self.pixels.schema

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, index: int) -> Any:
        """Return one record.

        Raises:
            IndexError: `index` lies beyond the end.
            CatalogError: An image cannot be read.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.schema.noun} {index} of a dataset of {len(self)}")
        row = self.table.slice(index % len(self), 1).to_pylist()[0]
        images = {role: self._tensor(self.pixels.image(role, row)) for role in self.schema.images}
        sample = self.schema.sample(row, images)
        return sample if self.transform is None else self.transform(sample)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return several records, as `DataLoader` asks for a batch; from afar they are read at once."""
        if isinstance(self.pixels.release, Path):
            return [self[index] for index in indices]
        with ThreadPoolExecutor(_REQUESTS) as pool:
            return list(pool.map(self.__getitem__, indices))

    def _tensor(self, image: Image) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return tensor if self.dtype == torch.uint8 else tensor.to(self.dtype) / 255


def open_dataset(
    path: str | Path,
    split: str = "train",
    layout: Layout | None = None,
    dtype: torch.dtype = torch.float32,
    transform: Callable[[Sample], Any] | None = None,
    where: pc.Expression | None = None,
    bounds: Bounds | None = None,
) -> ReleaseDataset:
    """Open the records of one split of a release as a PyTorch `Dataset`, whatever its schema.

    Args:
        path: Folder of the release, or its address: `https://`, `s3://` or another that fsspec opens.
        split: One that the schema has, such as train, val or test; or all of them.
        layout: What to read pixels from; by default the folders if the release has them, else the Zarr store. From
            afar the store comes first.
        dtype: Of the images: torch.float32 (values in [0, 1]) or torch.uint8.
        transform: Is given each record and makes what the dataset gives; both images at once, so that it can move them
            alike.
        where: Condition on the manifest's columns, such as `pc.field("residual_px") < 2`.
        bounds: West, south, east, north in degrees: records whose bounds meet these. West > east crosses the
            antimeridian.

    Raises:
        CatalogError: There is no release at `path`, it cannot be reached, it lacks that layout, or its schema is not
            installed.
        ValueError: There is no such split or dtype, or `where` does not fit the columns.
    """
    if dtype not in (torch.float32, torch.uint8):
        raise ValueError(f"dtype {dtype}: choose torch.float32 or torch.uint8")
    release: Path | RemoteFolder = Path(path)
    if isinstance(path, str) and "://" in path:
        from catalog.remote import RemoteFolder  # brings fsspec and its event loop, which most do without

        release = RemoteFolder(path)
    schema, present, accepted = _open(release)
    if split not in (*schema.splits, "all"):
        raise ValueError(f"split {split!r}: choose {', '.join(schema.splits)} or all")
    chosen = layout or next(iter(present))
    if chosen not in present:
        raise CatalogError(f"{path}: this release has no {chosen}; it has {', '.join(present)}, or export it first")
    rows = accepted if split == "all" else accepted.filter(pc.equal(accepted["split"], split))
    rows = rows if where is None else rows.filter(where)
    rows = rows if bounds is None else rows.filter(_meets(rows["bbox"], bounds))
    return ReleaseDataset(Pixels(schema, release, chosen, accepted.num_rows), rows.combine_chunks(), dtype, transform)


def _open(release: Path | RemoteFolder) -> tuple[Schema[Any], list[Layout], pa.Table]:
    """Return the schema, the layouts, best first, and the accepted rows of the manifest."""
    if isinstance(release, Path):
        schema, present = read_summary(release)
        return schema, present, published(read_manifest(schema, release))
    with tempfile.TemporaryDirectory() as folder:
        near = Path(folder)
        for name in (RELEASE_NAME, MANIFEST_NAME):
            release.fetch(name, near / name, _MOST_MANIFEST)
        try:
            schema, present = read_summary(near)
            return schema, present[::-1], published(read_manifest(schema, near))
        except CatalogError as error:
            raise CatalogError(str(error).replace(folder, str(release))) from error


def _meets(boxes: pa.ChunkedArray, bounds: Bounds) -> pa.ChunkedArray:
    """Tell for each of the manifest's boxes whether it and `bounds` have ground in common."""
    west, south, east, north = (pc.struct_field(boxes, [name]) for name in ("xmin", "ymin", "xmax", "ymax"))
    left, bottom, right, top = bounds
    begins, ends = pc.less_equal(west, right), pc.greater_equal(east, left)
    within = pc.and_(begins, ends)
    either = pc.or_(begins, ends)
    crosses = pc.greater(west, east)
    if left > right:
        across: Any = pc.or_(either, crosses)
    else:
        across = pc.if_else(crosses, either, within)
    return pc.and_(across, pc.and_(pc.less_equal(south, top), pc.greater_equal(north, bottom)))
