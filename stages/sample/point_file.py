"""Points of a user's file: where they are, what they are called, what kind of place each is."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
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
_NAME = re.compile(r"[0-9A-Za-z]{1,64}")


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
    others = ~(frame.geometry.geom_type == "Point").to_numpy() | frame.geometry.is_empty.to_numpy()
    if not len(frame) or others.any():
        which = f"; row {int(np.argmax(others)) + 1} holds another or none" if len(frame) else ""
        raise PermanentError(f"{path}: needs point geometries, at least one{which}")
    frame = frame.to_crs("EPSG:4326")
    x, lat = frame.geometry.x.to_numpy(), frame.geometry.y.to_numpy()
    if not (np.abs(x) <= 360).all():
        raise PermanentError(f"{path}: the longitude {x[~(np.abs(x) <= 360)][0]:g} is none: degrees are -180 to 360")
    lon = wrapped(x)
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
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark in front
        separator = max(",;\t", key=text.partition("\n")[0].count)  # of some languages, it is a semicolon
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True) if any(row)]
        if not rows:
            raise ValueError("it is empty")
    except (OSError, ValueError, csv.Error) as error:
        raise PermanentError(f"{path}: cannot be read as a CSV ({error}); check sample.points.path") from error
    heading, *rows = [[value.strip() for value in row] for row in rows]
    columns = [name.lower() or str(index) for index, name in enumerate(heading)]
    named = next((pair for pair in _COORDINATES if set(pair) <= set(columns)), None)
    if named is None or len(set(columns)) < len(columns):
        raise PermanentError(
            f"{path}: has the columns {', '.join(columns)}; it needs lon and lat, in degrees, and each column once"
        )
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise PermanentError(f"{path}: row {number} has {len(row)} values, the columns are {', '.join(columns)}")
    table = pd.DataFrame(rows, columns=columns, dtype=str)  # as text: "001" is a name, not the number 1
    numbers = [_numbers(table, name, path) for name in named]
    return geopandas.GeoDataFrame(table, geometry=geopandas.points_from_xy(*numbers), crs="EPSG:4326")


def _numbers(table: pd.DataFrame, name: str, path: Path) -> Sequence[float]:
    values = []
    for index, text in enumerate(table[name]):
        try:
            values.append(float(text))
            if not math.isfinite(values[-1]):
                raise ValueError
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
    # Some file systems take Ab and aB for one folder.
    first = {name.lower(): name for name in reversed(names)}
    counts = Counter(name.lower() for name in names)
    twice = sorted(first[name] for name, count in counts.items() if count > 1)
    if twice:
        raise PermanentError(
            f"{path}: two points are called {twice[0]!r} (column {column}), capital letters or not; give each its own "
            "name"
        )
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
