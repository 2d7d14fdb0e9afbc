"""The columns of a pair, as the catalog receives it."""

from __future__ import annotations

import pyarrow as pa

from catalog.schema import column

_AFFINE = pa.list_(pa.float64(), 6)
_HOMOGRAPHY = pa.list_(pa.float64(), 9)
_TEXT, _INT, _LONG, _REAL = pa.string(), pa.int32(), pa.int64(), pa.float64()

PAIRS = pa.schema(
    [
        column("pair_id", _TEXT, "unique: point, site, row and column, joined by underscores"),
        column("point_id", _TEXT, "sampling point"),
        column("site_id", _TEXT, "site of that point; each has one raster pair"),
        column("stratum", _TEXT, "kind of place that the point was drawn for; empty if not known"),
        column("row", _INT, "row of the tile in its raster pair's grid"),
        column("col", _INT, "column of the tile in its raster pair's grid"),
        column("size", _INT, "width and height of both images, pixels"),
        column("split", _TEXT, "train, val or test; null if the pair was rejected", nullable=True),
        column("verdict", _TEXT, "accepted or rejected; only accepted pairs are published"),
        column("reasons", pa.list_(_TEXT), "why it was rejected, one sentence a failed rule; empty if accepted"),
        column("format", _TEXT, "png, jpeg, webp (one file an image) or npy (pixels in the Zarr store only)"),
        column("map_digest", _TEXT, "BLAKE3 of the map image's file; of its pixels (C order) if format is npy"),
        column("visible_digest", _TEXT, "the same of the visible image"),
        column("map_bytes", _LONG, "size of what map_digest was taken of"),
        column("visible_bytes", _LONG, "size of what visible_digest was taken of"),
        column("map_nodata", pa.float32(), "share of the map image's pixels without data, 0 to 1"),
        column("visible_nodata", pa.float32(), "the same of the visible image"),
        column("crs", _TEXT, "native coordinate reference system of the pair's grid: authority code or WKT"),
        column("transform", _AFFINE, "affine (a, b, c, d, e, f) of the pair's grid in crs, GDAL corner convention"),
        column("gsd", _REAL, "metres on the ground per pixel"),
        column(
            "homography",
            _HOMOGRAPHY,
            "3x3 row-major, pixels of the map raster -> pixels of the visible raster, (0, 0) the centre of the first "
            "pixel; the pair was cut through it, so its two images lie on each other by the identity",
        ),
        column(
            "residual_px", _REAL, "residual of that homography, pixels of the visible raster; null if unknown", True
        ),
        column(
            "predicted_px",
            _REAL,
            "bound that the error of the pair's corners shall not exceed in 95% of pairs, pixels of the visible "
            "raster; null if unknown",
            True,
        ),
        column("inliers", _INT, "tie points that support it; null if unknown", True),
        column("method", _TEXT, "how the rasters were aligned"),
        column(
            "review",
            _TEXT,
            "verdict of a person in force: keep or reject, of this pair; else of its raster pair accepted, override "
            "(accepted against a failed test) or rejected; null if nobody looked",
            nullable=True,
        ),
        column("reviewed_by", _TEXT, "whose verdict that is; null if nobody looked", nullable=True),
        column("operators", pa.list_(_TEXT), "who marked tie points of the raster pair, enough to be compared"),
        column(
            "operator_px", pa.list_(_REAL), "distance of each one's points from the homography (root mean square, px)"
        ),
        column(
            "inter_operator_px",
            _REAL,
            "root mean square distance between the transformations that their points imply, pixels of the visible "
            "raster; null unless two or more of them marked points",
            nullable=True,
        ),
        column("map_source", _TEXT, "where the map came from"),
        column("map_licence", _TEXT, "licence of the map"),
        column("map_attribution", _TEXT, "what to print beside the map"),
        column("map_date", _TEXT, "date of the map; empty if unknown"),
        column("map_raster", _TEXT, "BLAKE3 of the raster the map image was cut from"),
        column("visible_source", _TEXT, "where the visible image came from"),
        column("visible_licence", _TEXT, "licence of the visible image"),
        column("visible_attribution", _TEXT, "what to print beside the visible image"),
        column("visible_date", _TEXT, "date of the visible image; empty if unknown"),
        column("visible_raster", _TEXT, "BLAKE3 of the raster the visible image was cut from"),
        column("geometry", pa.binary(), "footprint: WKB polygon in WGS84, longitude then latitude"),
    ]
)
"""One row a pair, as the catalog receives it."""
