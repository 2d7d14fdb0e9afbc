"""The static STAC 1.1 catalog: Catalog > Collection > one Item per raster pair; the pairs are a table of items.

    stac/catalog.json
    stac/collection.json      assets: the table of pairs, the manifest, the Zarr store
    stac/items/001_1.json     assets: the two rasters and the evidence of their alignment
    stac/pairs.parquet        stac-geoparquet, one row an accepted pair (module `catalog.stac_pairs`)

All links are relative, so that a release can be moved. Fields that STAC has no name for carry the prefix `mapdata:`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.checksums import digest, multihash
from catalog.dates import Interval, rfc3339, union
from catalog.geometry import bounds, footprints, geojson
from catalog.manifest import published
from catalog.model import MANIFEST_NAME, SIDES, STAC_NAME, STORE_NAME, About, Raster, RasterPair

STAC_VERSION = "1.1.0"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"

COLLECTION_ID = "mapdata"
GEOTIFF = "image/tiff; application=geotiff"
PARQUET = "application/vnd.apache.parquet"
MEDIA_TYPES = {".json": "application/json", ".parquet": PARQUET, ".png": "image/png", ".jpg": "image/jpeg"}

Json = dict[str, Any]
CODE = re.compile(r"[A-Za-z]+:\w+")
"""An authority and its code ("EPSG:3857"); any other CRS is WKT."""


@dataclass(frozen=True)
class Placed:
    """A file of the release: path relative to the release (POSIX), size in bytes, BLAKE3 digest."""

    path: str
    size: int
    digest: str


def write_stac(
    release: Path, about: About, manifest: pa.Table, rasters: Sequence[RasterPair], evidence: Mapping[str, list[Placed]]
) -> None:
    """Write catalog, collection and items below `release`/stac.

    `evidence` holds the placed files of each raster pair by its id, the two rasters among them if they are part of the
    release. Whether the Zarr store and the folders are part is seen from what is there.
    """
    folder = release / STAC_NAME
    (folder / "items").mkdir(parents=True)
    counts = _counts(manifest)
    for pair in rasters:
        _write(folder / "items" / f"{pair.id}.json", make_item(pair, counts.get(pair.id, {}), evidence[pair.id], about))
    _write(folder / "collection.json", _collection(release, about, manifest, rasters))
    _write(folder / "catalog.json", _catalog(about))


def make_item(pair: RasterPair, counts: Mapping[str, int], files: Iterable[Placed], about: About) -> Json:
    """Return the Item of a raster pair. `counts` holds its pairs by split, and the rejected ones under "rejected"."""
    shape = footprints(pa.chunked_array([pa.array([pair.footprint], pa.binary())]))
    assets = {
        Path(file.path).stem if Path(file.path).suffix == ".tif" else Path(file.path).name: file for file in files
    }
    has_rasters = all(side in assets for side in SIDES)
    properties: Json = {
        **time_properties(union([pair.map.date, pair.visible.date])),
        "gsd": pair.gsd,
        **projection(pair.visible.crs),
        "proj:shape": [pair.visible.height, pair.visible.width],
        "proj:transform": list(pair.visible.transform),
        "processing:software": dict(about.software),
        "processing:lineage": (
            f"map and visible raster acquired, aligned by {pair.method}, cut into pairs of tiles through one homography"
        ),
        "mapdata:point_id": pair.point_id,
        "mapdata:site_id": pair.site_id,
        "mapdata:stratum": pair.stratum,
        "mapdata:homography": np.reshape(pair.homography, (3, 3)).tolist(),
        "mapdata:residual_px": pair.residual_px,
        "mapdata:inliers": pair.inliers,
        "mapdata:method": pair.method,
        "mapdata:pairs": dict(sorted(counts.items())),
    }
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [PROJECTION, *([RASTER] if has_rasters else []), FILE, PROCESSING],
        "id": pair.id,
        "collection": COLLECTION_ID,
        "geometry": geojson(shape[0]),
        "bbox": bounds(shape)[0].tolist(),
        "properties": properties,
        "links": [
            _link("root", "../catalog.json"),
            _link("parent", "../collection.json"),
            _link("collection", "../collection.json"),
        ],
        "assets": {name: _asset(name, file, pair) for name, file in assets.items()},
    }


def projection(crs: str) -> Json:
    """Return the projection extension's name of a CRS: its code, or no code and its WKT."""
    return {"proj:code": crs} if CODE.fullmatch(crs) else {"proj:code": None, "proj:wkt2": crs}


def time_properties(interval: Interval) -> Json:
    """Return the times of an item: an interval, because a map and an image are never of one instant."""
    return {"datetime": None, "start_datetime": rfc3339(interval[0]), "end_datetime": rfc3339(interval[1])}


def file_fields(size: int, digest: str) -> Json:
    """Return the file extension's fields."""
    return {"file:size": size, "file:checksum": multihash(digest)}


def _asset(name: str, file: Placed, pair: RasterPair) -> Json:
    suffix = Path(file.path).suffix
    asset: Json = {"href": f"../../{file.path}", **file_fields(file.size, file.digest)}
    if name not in SIDES:
        roles = ["overview"] if suffix == ".png" else ["metadata"]
        return asset | {"type": MEDIA_TYPES.get(suffix, "application/octet-stream"), "roles": roles}
    raster: Raster = pair.map if name == "map" else pair.visible
    return asset | {
        "type": GEOTIFF,
        "title": {"map": "Electronic map", "visible": "Visible image"}[name],
        "roles": ["data"],
        **projection(raster.crs),
        "proj:shape": [raster.height, raster.width],
        "proj:transform": list(raster.transform),
        "data_type": "uint8",
        "raster:sampling": "area",
        "bands": [{"name": name} for name in ("red", "green", "blue")],
        "mapdata:source": raster.source,
        "mapdata:licence": raster.licence,
        "mapdata:attribution": raster.attribution,
        "mapdata:date": raster.date,
        "mapdata:nodata_share": raster.nodata_share,
    }


def _collection(release: Path, about: About, manifest: pa.Table, rasters: Sequence[RasterPair]) -> Json:
    interval = union(raster.date for pair in rasters for raster in (pair.map, pair.visible))
    summaries = {
        "proj:code": sorted({pair.visible.crs for pair in rasters if CODE.fullmatch(pair.visible.crs)}),
        "mapdata:method": sorted({pair.method for pair in rasters}),
        "mapdata:split": sorted(pc.unique(published(manifest)["split"]).to_pylist()),
    }
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [FILE],
        "id": COLLECTION_ID,
        "title": about.title,
        "description": about.description,
        "license": about.licence,
        "keywords": ["image matching", "map", "remote sensing", "registration", "homography"],
        "providers": _providers(about, rasters),
        "extent": {
            "spatial": {"bbox": [_extent(rasters)]},
            "temporal": {"interval": [[rfc3339(interval[0]), rfc3339(interval[1])]]},
        },
        "summaries": {name: values for name, values in summaries.items() if values},
        "version": about.version,
        "mapdata:benchmark": about.benchmark.to_json(),
        "links": [
            _link("root", "./catalog.json"),
            _link("parent", "./catalog.json"),
            *({**_link("item", f"./items/{pair.id}.json"), "type": "application/geo+json"} for pair in rasters),
        ],
        "assets": _collection_assets(release),
    }


def _collection_assets(release: Path) -> Json:
    assets: Json = {}
    described = {
        "pairs": (f"{STAC_NAME}/pairs.parquet", "Items of all published pairs (stac-geoparquet)", "stac-items"),
        "manifest": (MANIFEST_NAME, "Manifest of all pairs, rejected ones included (GeoParquet)", "metadata"),
    }
    for name, (path, title, role) in described.items():
        file = release / path
        href = f"./{file.name}" if path.startswith(STAC_NAME) else f"../{path}"
        fields = file_fields(file.stat().st_size, digest(file))
        assets[name] = {"href": href, "type": PARQUET, "title": title, "roles": [role], **fields}
    if (release / STORE_NAME).exists():
        title = "Pixels of all published pairs (Zarr v3)"
        assets["zarr"] = {"href": f"../{STORE_NAME}", "type": "application/vnd.zarr; version=3", "title": title}
        assets["zarr"]["roles"] = ["data"]
    return assets


def _catalog(about: About) -> Json:
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": f"{COLLECTION_ID}-catalog",
        "title": about.title,
        "description": about.description,
        "links": [_link("root", "./catalog.json"), {**_link("child", "./collection.json"), "title": about.title}],
    }


def _providers(about: About, rasters: Sequence[RasterPair]) -> list[Json]:
    sources = sorted(
        {(raster.source, raster.licence, raster.attribution) for pair in rasters for raster in (pair.map, pair.visible)}
    )
    licensors = [
        {
            "name": attribution or source,
            "description": f"source: {source}; licence: {licence}",
            "roles": ["licensor", "producer"],
        }
        for source, licence, attribution in sources
    ]
    creator: Json = {"name": about.creator, "roles": ["processor"], "processing:software": dict(about.software)}
    return [*licensors, creator | ({"url": about.url} if about.url else {})]


def _extent(rasters: Sequence[RasterPair]) -> list[float]:
    if not rasters:
        return [-180.0, -90.0, 180.0, 90.0]
    shapes = footprints(pa.chunked_array([pa.array([pair.footprint for pair in rasters], pa.binary())]))
    west, south, east, north = bounds(shapes).T
    if (west > east).any():
        return [-180.0, float(south.min()), 180.0, float(north.max())]
    return [float(value) for value in (west.min(), south.min(), east.max(), north.max())]


def _counts(manifest: pa.Table) -> dict[str, Counter[str]]:
    """Return for each raster pair its number of pairs by split, rejected ones under "rejected"."""
    grouped = manifest.group_by(["point_id", "site_id", "split"]).aggregate([([], "count_all")])
    counts: dict[str, Counter[str]] = {}
    for row in grouped.to_pylist():
        pair = counts.setdefault(f"{row['point_id']}_{row['site_id']}", Counter())
        pair[row["split"] or "rejected"] += row["count_all"]
    return counts


def _link(rel: str, href: str) -> Json:
    return {"rel": rel, "href": href, "type": "application/json"}


def _write(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
