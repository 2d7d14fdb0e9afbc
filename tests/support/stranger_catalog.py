"""STAC catalogs as a stranger may serve them, and what is acquired from one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from shapely import box

from stages.acquire.source import Site
from stages.acquire.stac import StacSource
from stages.rasters import open_raster, write_raster

LON, LAT = 10.0, 47.0
SITE = Site("001", "1", box(LON - 0.0003, LAT - 0.0003, LON + 0.0003, LAT + 0.0003), 0.5, "")
QUICK = {"requests_per_second": None, "timeout_s": 3.0, "wait_s": 0.02, "attempts": 2}
SECRET = 177
"""Grey of the pixels that must not be published."""


def write_grey(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = from_origin(LON - 0.001, LAT + 0.001, 1e-5, 1e-5)
    with rasterio.open(
        path, "w", driver="GTiff", width=200, height=200, count=3, dtype="uint8", crs="EPSG:4326", transform=transform
    ) as dataset:
        dataset.write(np.full((3, 200, 200), value, np.uint8))
    return path


def item(name: str, href: object, **properties: object) -> dict[str, object]:
    ring = [[LON - 1, LAT - 1], [LON + 1, LAT - 1], [LON + 1, LAT + 1], [LON - 1, LAT + 1], [LON - 1, LAT - 1]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [LON - 1, LAT - 1, LON + 1, LAT + 1],
        "properties": {"datetime": "2024-05-01T00:00:00Z"} | properties,
        "links": [],
        "assets": {"image": {"href": href}},
    }


def write_catalog(folder: Path, *items: object) -> Path:
    links = [{"rel": "item", "href": f"./{number}.json"} for number in range(len(items))]
    for number, each in enumerate(items):
        (folder / f"{number}.json").write_text(each if isinstance(each, str) else json.dumps(each))
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "d", "links": links}
    (folder / "catalog.json").write_text(json.dumps(catalog))
    return folder / "catalog.json"


def acquire(address: object, workspace: Path, **changes: object) -> tuple[float | None, str]:
    """Return the mean grey of what was acquired, None where nothing was, and its date."""
    fields = {"kind": "stac", "catalog": str(address), "rate_limits": QUICK, "source": "s", "licence": "l"}
    source = StacSource.model_validate(fields | {"attribution": "a"} | changes)
    with source.open(SITE, workspace) as strips:
        write_raster(workspace / "a.tif", strips.grid, strips.pixels, {})
        tag = strips.tags["DATE"]
    with open_raster(workspace / "a.tif") as raster:
        pixels, mask = raster.read(0, 0, raster.grid.width, raster.grid.height)
    return (float(pixels[mask].mean()) if mask.any() else None), tag
