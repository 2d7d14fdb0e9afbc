"""The Zarr v3 store: the images of all accepted records, an array a role, in the order of the manifest.

    <role>    (N, size, size, 3) uint8   one image a chunk, 100 images a shard, zstd level 1
    <key>     (N,) string                the manifest's key of position n
    split     (N,) string                train, val or test

One store for all splits: a column tells them apart, so that records can change their split without touching pixels, and
since records lie in the manifest's order, a split made by group reads long runs of neighbouring chunks.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from catalog.bounded_zstd import bounded_zstd
from catalog.errors import CatalogError
from catalog.manifest import published
from catalog.schema import Schema
from catalog.untrusted import MAX_JSON_BYTES, entries_below

if TYPE_CHECKING:
    from catalog.remote import RemoteFolder

Image = NDArray[np.uint8]

SHARD = 100
"""Images a shard: about 60 MB compressed; the unit that is written and copied as one file."""

MAX_PIXELS = 2**26
"""Pixels of the largest image that is read: 192 MiB."""

MAX_FILE_BYTES = 2**29
"""Bytes of the largest image file that is read."""

_MAX_SHARD = 2**16
_CODECS = {"sharding_indexed", "bytes", "zstd", "crc32c"}

_MAX_THREADS = 4  # each holds a shard of raw pixels: 79 MB at 512 px


def write_store(schema: Schema[Any], manifest: pa.Table, sources: pa.Table, root: Path, path: Path) -> None:
    """Write the store of all accepted records at `path`: the same records give the same bytes.

    Args:
        schema: Of the release; its columns hold `size`.
        manifest: Of the release.
        sources: Where each image is now, relative to `root`; columns `schema.sources`.
        root: Folder that the sources are relative to.
        path: Folder of the store.

    Raises:
        CatalogError: An image cannot be decoded or has another size than the manifest says.
    """
    rows = published(manifest)
    size = _common_size(rows)
    group = zarr.create_group(path, zarr_format=3, attributes={"title": "MapData", "tile_size": size})
    for name in (schema.key, "split"):
        column = group.create_array(
            name, shape=(rows.num_rows,), chunks=(max(1, rows.num_rows),), dtype="str", dimension_names=(schema.noun,)
        )
        if rows.num_rows:
            column[:] = np.array(rows[name].to_pylist(), dtype=object)
    order = pc.index_in(rows[schema.key], sources[schema.key])
    where = sources.take(order)
    shards = range(0, rows.num_rows, SHARD)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        for role in schema.images:
            array = _create(group, role, (rows.num_rows, size, size, 3), schema.noun)
            files, index = where[f"{role}_file"].to_pylist(), where["index"].to_pylist()

            def write(start: int, array: Any = array, files: list[str] = files, index: list[int] = index) -> None:
                chosen = slice(start, start + SHARD)
                images = [read_image(root / file, at) for file, at in zip(files[chosen], index[chosen], strict=True)]
                array[start : start + len(images)] = _stack(images, files[chosen], size)

            for _ in pool.map(write, shards):
                pass
    with warnings.catch_warnings():
        # Readers such as xarray want the metadata of all arrays in one file, which the specification does not have yet.
        warnings.filterwarnings("ignore", "Consolidated metadata")
        zarr.consolidate_metadata(path, zarr_format=3)


def read_image(path: Path, index: int = 0) -> Image:
    """Return an image (H, W, 3) uint8 RGB of a PNG, JPEG or WebP file, or number `index` of an npy array of images.

    Args:
        path: The file; a suffix `.npy` means an array of images (N, H, W, 3), of which one is read.
        index: Number in the array, from 0; of no effect for other files.

    Raises:
        CatalogError: The file is missing or damaged, would take more than `MAX_PIXELS`, or has no image of that number.
    """
    try:
        if path.suffix == ".npy":
            stored = np.load(path, mmap_mode="r")[index]
            _refuse_larger(path, stored.size // 3, 0)
            return np.asarray(stored)
        _refuse_larger(path, 0, path.stat().st_size)
        content = path.read_bytes()
    except (OSError, ValueError, IndexError) as error:
        raise CatalogError(f"{path}: cannot be read ({error}); make it again") from error
    return decode_image(content, path)


def decode_image(content: bytes, name: str | Path) -> Image:
    """Return an image (H, W, 3) uint8 RGB of the content of a PNG, JPEG or WebP file.

    Args:
        content: Of the file, perhaps a stranger's.
        name: How messages call it.

    Raises:
        CatalogError: It is damaged or would take more than `MAX_PIXELS`.
    """
    try:
        with PIL.Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as header:  # decodes no pixels
            _refuse_larger(name, header.width * header.height, len(content))
        # imdecode of bytes, not imread: it copes with any path and tells a missing file from a damaged one.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except PIL.UnidentifiedImageError:
        image = None
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError, cv2.error) as error:
        raise CatalogError(f"{name}: cannot be read ({error}); make it again") from error
    if image is None:
        raise CatalogError(f"{name}: cannot be decoded as an image; make it again")
    return np.asarray(image, np.uint8)


def _refuse_larger(name: str | Path, pixels: int, size: int) -> None:
    if pixels > MAX_PIXELS or size > MAX_FILE_BYTES:
        raise CatalogError(
            f"{name}: would take {pixels} pixels and {size} bytes, more than an image of a release does; "
            "verify the release"
        )


def open_store(schema: Schema[Any], path: Path | RemoteFolder) -> zarr.Group:
    """Open a store for reading.

    Args:
        schema: Names the arrays that must be there: one a role, the key and `split`.
        path: Folder of the store. Links in a local one are refused, because they may lead out of the release.

    Raises:
        CatalogError: It is absent, damaged or lacks one of its arrays.
    """
    needed = [*schema.images, schema.key, "split"]
    try:
        if isinstance(path, Path):
            files, links = entries_below(path)
            if links or path.is_symlink():
                raise CatalogError(f"{path}: {', '.join(links[:3]) or 'it'} is no plain file; verify the release")
            # zarr reads and parses these whole: what they unpack to is many times as large.
            names = [name for name in files if name.rpartition("/")[2] == "zarr.json"]
            large = [name for name in names if (path / name).stat().st_size > MAX_JSON_BYTES]
            if large:
                raise CatalogError(f"{path}: {large[0]} has more than {MAX_JSON_BYTES} bytes; verify the release")
        place = path if isinstance(path, Path) else path.store()
        group = zarr.open_group(place, mode="r", zarr_format=3, use_consolidated=False)
        missing = [name for name in needed if name not in group]
    except (OSError, ValueError, KeyError) as error:
        raise CatalogError(f"{path}: is no readable Zarr store ({error}); export it again") from error
    if missing:
        raise CatalogError(f"{path}: lacks the arrays {', '.join(missing)}; export it again")
    return group


def image_array(group: zarr.Group, role: str, shape: tuple[int, ...]) -> zarr.Array[Any]:
    """Return the array of a role's images, of which no chunk takes more memory than one image.

    Args:
        group: An open store.
        role: The role.
        shape: (N, size, size, 3) as the manifest has it.

    Raises:
        CatalogError: The array has another shape, or is not stored as `write_store` does.
    """
    with bounded_zstd():
        array = group[role]
    if not isinstance(array, zarr.Array) or array.shape != shape or array.dtype != np.uint8:
        raise CatalogError(f"{group.store_path}: {role} is no array of {shape} uint8; verify the release")
    shards = array.shards or array.chunks
    names = _codec_names(array.metadata.to_dict().get("codecs"))
    if math.prod(shape[1:]) > 3 * MAX_PIXELS or array.chunks != (1, *shape[1:]) or shards[0] > _MAX_SHARD:
        raise CatalogError(f"{group.store_path}: {role} has chunks of {array.chunks}; one image a chunk is read")
    if not names <= _CODECS:
        raise CatalogError(
            f"{group.store_path}: {role} is packed by {', '.join(sorted(names - _CODECS))}; only zstd is read"
        )
    return array


def _codec_names(codecs: Any) -> set[str]:
    """Return the names of codecs, those within a shard included."""
    if not isinstance(codecs, list | tuple):
        return set()
    names = {str(codec.get("name")) for codec in codecs}
    for codec in codecs:
        inner = codec.get("configuration", {})
        names |= _codec_names(inner.get("codecs")) | _codec_names(inner.get("index_codecs"))
    return names


def read_text(group: zarr.Group, name: str, count: int) -> list[str] | None:
    """Return one of the store's columns of text; None, with nothing read, if it has not `count` values.

    Args:
        group: A store that `open_store` has checked.
        name: Of an array that it has.
        count: Number of records that the manifest has; it bounds what is read of a stranger's store.
    """
    column = group[name]
    if not isinstance(column, zarr.Array) or column.shape != (count,):
        return None
    return [str(value) for value in np.asarray(column[:])] if count else []


def _create(group: zarr.Group, name: str, shape: tuple[int, ...], noun: str) -> Any:
    return group.create_array(
        name,
        shape=shape,
        chunks=(1, *shape[1:]),
        shards=(SHARD, *shape[1:]),
        dtype="uint8",
        compressors=[ZstdCodec(level=1)],
        dimension_names=(noun, "y", "x", "channel"),
    )


def _common_size(rows: pa.Table) -> int:
    sizes = pc.unique(rows["size"]).to_pylist()
    if len(sizes) > 1:
        raise CatalogError(
            f"images of several sizes ({sorted(sizes)} px) do not fit one Zarr array; make them of one size"
        )
    return int(sizes[0]) if sizes else 512


def _stack(images: list[Image], files: list[str], size: int) -> Image:
    for image, file in zip(images, files, strict=True):
        if image.shape != (size, size, 3):
            raise CatalogError(f"{file}: has shape {image.shape}, the manifest says {(size, size, 3)}; make it again")
    return np.stack(images)
