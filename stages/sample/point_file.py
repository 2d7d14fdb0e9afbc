"""Points of a user's file: where they are, what they are called, what kind of place each is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import PermanentError
from raster.longitude import wrapped
from stages.sample.earth_data import unit_vectors
from stages.sample.footprints import MAX_LATITUDE
from stages.sample.strata import Stratum

if TYPE_CHECKING:
    import geopandas
    import pandas as pd

_COORDINATES = (("lon", "lat"), ("longitude", "latitude"), ("lng", "lat"), ("x", "y"))
_NAMES = ("name", "id", "point", "point_id")
_NAME = re.compile(r"[0-9A-Za-z]+")


def read_points(path: Path) -> geopandas.GeoDataFrame:
    """Read the points of a file.

    Args:
        path: CSV, GeoParquet, or any file of points that GDAL reads.

    Returns:
        A row a point: geometry (WGS84 degrees, longitudes wrapped), `name` (unique; "001" and on where the file gives
        none) and `stratum` ("" where the file gives none).

    Raises:
        PermanentError: The file cannot be read as points, or holds one that cannot be used; the message says which.
    """
    import geopandas

    frame = _read(path)
    if not len(frame) or not (frame.geometry.geom_type == "Point").all():
        raise PermanentError(f"{path}: needs point geometries, at least one")
    frame = frame.to_crs("EPSG:4326")
    lon, lat = wrapped(frame.geometry.x.to_numpy()), frame.geometry.y.to_numpy()
    beyond = ~(np.abs(lat) <= MAX_LATITUDE)  # also what is not a number
    if beyond.any():
        where = f"{lon[beyond][0]:.4f}, {lat[beyond][0]:.4f}"
        raise PermanentError(
            f"{path}: the point {where} (lon, lat) lies beyond {MAX_LATITUDE:g} degrees of latitude; list "
            "sites near the poles by a raster (sample.sites)"
        )
    if len(np.unique(np.round(unit_vectors(lon, lat), 9), axis=0)) < len(frame):
        raise PermanentError(f"{path}: holds the same point twice")
    columns = {"name": _names(frame, path), "stratum": _strata(frame, path)}
    return geopandas.GeoDataFrame(columns, geometry=geopandas.points_from_xy(lon, lat), crs="EPSG:4326")


def _read(path: Path) -> geopandas.GeoDataFrame:
    import geopandas

    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    try:
        frame = (geopandas.read_parquet if path.suffix == ".parquet" else geopandas.read_file)(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise PermanentError(f"{path}: cannot be read as points ({error}); check sample.points.path") from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise PermanentError(f"{path}: holds a table without geometries; give points, or a CSV with lon and lat")
    if frame.crs is None:
        raise PermanentError(f"{path}: needs point geometries with a CRS, at least one")
    return frame


def _read_csv(path: Path) -> geopandas.GeoDataFrame:
    import geopandas
    import pandas as pd

    try:
        heading = path.read_text(encoding="utf-8-sig").partition("\n")[0]
        separator = max(",;\t", key=heading.count)  # of spreadsheets in some languages it is a semicolon
        # As text: "001" is a name, not the number 1. utf-8-sig: spreadsheets put a mark in front.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=separator)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise PermanentError(f"{path}: cannot be read as a CSV ({error}); check sample.points.path") from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    named = next((pair for pair in _COORDINATES if set(pair) <= set(table.columns)), None)
    if named is None:
        raise PermanentError(f"{path}: has the columns {', '.join(table.columns)}; it needs lon and lat, in degrees")
    numbers = [_numbers(table, name, path) for name in named]
    return geopandas.GeoDataFrame(table, geometry=geopandas.points_from_xy(*numbers), crs="EPSG:4326")


def _numbers(table: pd.DataFrame, name: str, path: Path) -> Sequence[float]:
    values = []
    for index, text in enumerate(table[name]):
        try:
            values.append(float(text))
        except ValueError:
            raise PermanentError(
                f"{path}: row {index + 1}: {name} is {text!r}, not a number of degrees such as 9.5612"
            ) from None
    return values


def _names(frame: geopandas.GeoDataFrame, path: Path) -> list[str]:
    """Return what the points are called: names become folders, so they are letters and digits, each once."""
    column = next((each for name in _NAMES for each in frame.columns if str(each).lower() == name), None)
    if column is None:
        return [f"{index:03d}" for index in range(1, len(frame) + 1)]
    names = [str(value) for value in frame[column]]
    for name in names:
        if not _NAME.fullmatch(name):
            raise PermanentError(f"{path}: the point {name!r} (column {column}) names a folder: use letters and digits")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PermanentError(f"{path}: two points are called {twice[0]!r} (column {column}); give each its own name")
    return names


def _strata(frame: geopandas.GeoDataFrame, path: Path) -> list[str]:
    """Return the kind of place of each point, "" where the file does not say: it is never made up."""
    if "stratum" not in frame:
        return [""] * len(frame)
    known = {each.value for each in Stratum}
    found = ["" if value is None or value != value else str(value).strip() for value in frame["stratum"]]
    strange = sorted(set(found) - known - {""})
    if strange:
        raise PermanentError(
            f"{path}: stratum {strange[0]!r} is not known; use one of {', '.join(sorted(known))}, or none"
        )
    return found
