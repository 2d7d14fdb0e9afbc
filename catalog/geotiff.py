"""What a GIS opens and places: the images of a release as GeoTIFFs beside it, and its rasters with overviews.

    <split>/<role>/<key>.tif    an image, with its CRS and place, lossless
    README.md                   the release's card
    checksums.b3                BLAKE3 of every file

Every file is a Cloud-Optimized GeoTIFF, packed by DEFLATE, which every build of GDAL reads.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import rasterio
import rasterio.shutil
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from catalog.beside import Export, exporting
from catalog.errors import CatalogError
from raster.disk import free_bytes, says_full

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
"""Media type of a GeoTIFF with overviews whose parts lie in the order in which readers want them."""

_OPTIONS = {"driver": "COG", "compress": "DEFLATE", "predictor": "YES", "blocksize": 512, "bigtiff": "IF_SAFER"}
_LOADING = """\
import rasterio

with rasterio.open("PATH/{split}/{role}/{key}.tif") as image:
    print(image.crs, image.bounds)"""


def write_geotiffs(release: Path, target: Path, splits: Sequence[str] = ()) -> dict[str, int]:
    """Write the published images of a release as GeoTIFFs. The same release gives the same bytes.

    Args:
        release: Folder of the release, of a schema whose columns hold `crs` and `transform`.
        target: Folder of the GeoTIFFs; an earlier export in it is replaced.
        splits: Those that are wanted; all if empty.

    Returns:
        Number of records by split.

    Raises:
        CatalogError: The release cannot be read, has no such split, its images have no place on the ground, or `target`
            holds something else.
    """
    with exporting(release, target, splits) as export, ThreadPoolExecutor(os.cpu_count()) as pool:
        schema = export.pixels.schema
        if not {"crs", "transform"} <= set(schema.manifest.names):
            raise CatalogError(f"{release}: its {schema.name} have no grid on the ground, so GeoTIFFs cannot be made")
        example = ""
        for split, rows in export.splits.items():
            for role in schema.images:
                (export.folder / split / role).mkdir(parents=True)
            for batch in rows.to_batches(max_chunksize=1024):
                names = list(pool.map(partial(_write, export, split), batch.to_pylist()))
                example = example or _LOADING.format(split=split, role=schema.images[0], key=names[0])
        export.write_card([], example)
        return {split: rows.num_rows for split, rows in export.splits.items()}


def write_cog(source: Path, target: Path) -> None:
    """Copy a raster with its mask, adding overviews: the same pixels in another file.

    Args:
        source: A GeoTIFF.
        target: Where to; its folder is made.

    Raises:
        CatalogError: The raster is missing or cannot be read.
        OSError: The disk is full.
    """
    if not source.exists():
        raise CatalogError(f"{source}: is missing though a finished unit made it; run the pipeline again")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        rasterio.shutil.copy(source, target, **_OPTIONS, overview_resampling="AVERAGE")
    except (RasterioError, CPLE_BaseError) as error:  # copying raises GDAL's own errors
        # GDAL may not say that the disk was full, and has removed by now what filled it.
        if says_full(error) or free_bytes(target) < 2 * source.stat().st_size:
            raise OSError(errno.ENOSPC, f"no space left on its disk ({error})", str(target)) from error
        raise CatalogError(f"{source}: cannot be read ({error}); run the pipeline again") from error


def _write(export: Export, split: str, row: Mapping[str, Any]) -> str:
    """Write the images of a record; return the stem of their names."""
    stem = quote(row[export.pixels.schema.key], safe="")
    for role in export.pixels.schema.images:
        image = export.pixels.image(role, row)
        height, width, count = image.shape
        with rasterio.open(
            export.folder / split / role / f"{stem}.tif",
            "w",
            **_OPTIONS,
            width=width,
            height=height,
            count=count,
            dtype="uint8",
            photometric="RGB",
            crs=row["crs"],
            transform=Affine(*row["transform"]),
        ) as file:
            file.write(image.transpose(2, 0, 1))
            credit = row[f"{role}_attribution"] or row[f"{role}_source"]
            file.update_tags(TIFFTAG_COPYRIGHT=f"{credit} ({row[f'{role}_licence']})")
    return stem
