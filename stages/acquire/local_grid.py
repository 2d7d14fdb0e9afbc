"""The grid of a site for sources that draw or warp their rasters themselves: north-up, in metres."""

from __future__ import annotations

import numpy as np
from affine import Affine
from pyproj import Geod

from raster.grid import Grid, reproject
from raster.longitude import surrounds_pole, wrapped
from stages.acquire.source import Site

_GEOD = Geod(ellps="WGS84")


def local_grid(site: Site) -> Grid:
    """Return the grid of pixels of `site.gsd` metres that covers a site's footprint, centred on it.

    Args:
        site: The site.

    Returns:
        The grid, in the CRS of `local_crs`.
    """
    west, south, east, north = site.footprint.bounds
    lon, lat = float(wrapped((west + east) / 2)), (south + north) / 2
    if surrounds_pole(site.footprint):
        lat = north if north == 90 else south
        across = along = 2 * _GEOD.line_length([lon, lon], [south, north])
    else:
        _, _, (across, along) = _GEOD.inv([west, lon], [lat, south], [east, lon], [lat, north])
    width, height = max(1, round(across / site.gsd)), max(1, round(along / site.gsd))
    crs = local_crs(lon, lat)
    ((x, y),) = reproject(np.array([[lon, lat]]), "EPSG:4326", crs)
    left, top = round(x - width * site.gsd / 2, 3), round(y + height * site.gsd / 2, 3)
    return Grid(crs, Affine(site.gsd, 0, left, 0, -site.gsd, top), width, height)


def local_crs(lon: float, lat: float) -> str:
    """Return the CRS in metres of a place: its UTM zone, or beyond 84 degrees north and 80 south the polar UPS grid.

    Args:
        lon: Longitude in degrees, wrapped or not.
        lat: Latitude in degrees.

    Returns:
        An EPSG code.
    """
    if lat > 84:
        return "EPSG:32661"
    if lat < -80:
        return "EPSG:32761"
    zone = min(int((float(wrapped(lon)) + 180) // 6) + 1, 60)
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"
