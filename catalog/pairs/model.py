"""What pairs were cut from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SIDES = ("map", "visible")


@dataclass(frozen=True)
class Raster:
    """One side of a raster pair. `transform` is (a, b, c, d, e, f), GDAL's corner convention; `crs` a code or WKT."""

    file: Path
    digest: str  # BLAKE3, hexadecimal
    size: int  # bytes
    width: int  # px
    height: int  # px
    crs: str
    transform: tuple[float, ...]
    source: str
    licence: str
    attribution: str
    date: str  # when it was taken: a year, a month, a day, an ISO 8601 interval, or "" if unknown
    nodata_share: float


@dataclass(frozen=True)
class RasterPair:
    """A map raster, the visible raster of the same ground, and how the one was laid on the other."""

    point_id: str
    site_id: str
    map: Raster
    visible: Raster
    footprint: bytes  # WKB polygon, WGS84, of the visible raster
    gsd: float  # metres on the ground per pixel of the visible raster
    homography: tuple[float, ...]  # 9 numbers, row-major, map -> visible, full-resolution pixels
    method: str
    residual_px: float | None
    inliers: int | None
    stratum: str = ""
    review: str = ""  # a person's verdict on it: accepted, override (against a failed test), rejected; "" if none
    reviewed_by: str = ""  # whose verdict it is
    operators: tuple[str, ...] = ()  # who marked tie points enough to be compared
    operator_px: tuple[float, ...] = ()  # root mean square distance of each one's points from the homography
    inter_operator_px: float | None = None  # the same between the transformations that any two of them imply
    regions: Mapping[str, float | int | None] = field(default_factory=dict)
    """Regions that the alignment was judged by, and their predicted errors; empty if it was judged as a whole."""
    evidence: tuple[Path, ...] = ()  # files that tell how it was aligned: tie points, drawings

    @property
    def id(self) -> str:
        """Return the pair's name, unique in the release: "001_1"."""
        return f"{self.point_id}_{self.site_id}"

    @property
    def sides(self) -> dict[str, Raster]:
        """Return the two rasters by side."""
        return {"map": self.map, "visible": self.visible}
