"""GDAL's options, typed and in one place. Nothing else in the project passes option strings to GDAL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import rasterio


@dataclass(frozen=True)
class Session:
    """Settings of GDAL while rasters are open; `with Session().activate():` applies them.

    `cache_mb` bounds the cache of decoded blocks of the process. Masks are written into the TIFF itself; `siblings`
    says whether files beside a raster (masks, world files, auxiliary XML, overviews) are read with it. `timeout_s`
    bounds each request for a part of a remote file; those that a busy server refuses are asked for again five times,
    ever later. A datum shift that a file gives holds, though GDAL may know a better one for the same CRS.
    """

    cache_mb: int = 64
    timeout_s: float = 30.0
    siblings: bool = False

    def activate(self) -> rasterio.Env:
        """Return a context manager that applies the settings."""
        return rasterio.Env(
            GDAL_CACHEMAX=self.cache_mb << 20,  # rasterio hands it to GDALSetCacheMax, which takes bytes
            GDAL_DISABLE_READDIR_ON_OPEN="FALSE" if self.siblings else "EMPTY_DIR",
            GDAL_PAM_ENABLED=self.siblings,
            OSR_STRIP_TOWGS84=False,
            OGR_CT_PREFER_OFFICIAL_SRS_DEF=False,
            GDAL_TIFF_INTERNAL_MASK=True,
            GDAL_HTTP_TIMEOUT=self.timeout_s,
            GDAL_HTTP_MAX_RETRY=5,
            GDAL_HTTP_RETRY_DELAY=0.5,
            GDAL_HTTP_USERAGENT="mapdata/0.1",
            CPL_VSIL_CURL_ALLOWED_EXTENSIONS=".tif,.tiff",
        )


@dataclass(frozen=True)
class TiffLayout:
    """How a GeoTIFF is laid out on disk: square blocks of `block` px, compressed."""

    block: int = 512
    compression: Literal["zstd", "deflate", "none"] = "zstd"
    level: int = 1

    def creation_options(self) -> dict[str, Any]:
        """Return the keyword arguments of `rasterio.open(..., "w", driver="GTiff")`."""
        options: dict[str, Any] = {
            "driver": "GTiff",
            "tiled": True,
            "blockxsize": self.block,
            "blockysize": self.block,
            "interleave": "pixel",
            "bigtiff": "IF_SAFER",
        }
        if self.compression == "none":
            return options
        level = {"zstd": "zstd_level", "deflate": "zlevel"}[self.compression]
        return options | {"compress": self.compression, level: self.level, "predictor": 2}
