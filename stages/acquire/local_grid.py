"""The grid of a site for sources that draw their rasters themselves: north-up, in the site's UTM zone."""

from __future__ import annotations

import numpy as np
from affine import Affine
from pyproj import Geod

from raster.grid import Grid, reproject
from stages.acquire.source import Site

_GEOD = Geod(ellps="WGS84")


def local_grid(site: Site) -> Grid:
    """Return the grid of pixels of `site.gsd` metres that covers the footprint, centred on it."""
    west, south, east, north = site.footprint.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    _, _, (across, along) = _GEOD.inv([west, lon], [lat, south], [east, lon], [lat, north])
    width, height = max(1, round(across / site.gsd)), max(1, round(along / site.gsd))
    crs = utm_zone(lon, lat)
    ((x, y),) = reproject(np.array([[lon, lat]]), "EPSG:4326", crs)
    left, top = round(x - width * site.gsd / 2, 3), round(y + height * site.gsd / 2, 3)
    return Grid(crs, Affine(site.gsd, 0, left, 0, -site.gsd, top), width, height)


def utm_zone(lon: float, lat: float) -> str:
    """Return the UTM zone of a place, EPSG:326xx in the north and EPSG:327xx in the south."""
    zone = min(int((lon + 180) // 6) + 1, 60)
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"
