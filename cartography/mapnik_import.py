"""The only place that imports mapnik.

The wheel points PROJ_LIB and GDAL_DATA at its own copies, which do not fit the PROJ and GDAL inside rasterio, pyproj
and pyogrio. Mapnik needs neither here (nothing is reprojected, no GDAL layer is read), so both are put back at once.
"""

from __future__ import annotations

import os

_VARIABLES = ("PROJ_LIB", "GDAL_DATA")
_before = {name: os.environ.get(name) for name in _VARIABLES}

import mapnik  # noqa: E402

for _name, _value in _before.items():
    if _value is None:
        os.environ.pop(_name, None)
    else:
        os.environ[_name] = _value

__all__ = ["mapnik"]
