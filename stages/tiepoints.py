"""Manual tie points: QGIS georeferencer `.points`, GeoJSON and CSV files, read into one form and written back.

In this project both points are pixels (x, y), (0, 0) the centre of the top-left pixel, y downwards. A `.points` file
says where points of the map lie in the coordinates of the visible raster: in the CRS that its first line names, or in
pixels with y negative where the raster has none. The map's points are pixels whose origin is the outer corner, y
negative, or, of a georeferenced map, coordinates of its CRS (QGIS calls them layer coordinates).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.errors import PermanentError
from pipeline.files import write_saved
from raster.grid import Grid, reproject
from raster.homography import FloatArray
from raster.pixels import from_corner, to_corner
from raster.strict_json import JsonError, parse_json

SUFFIXES = (".points", ".geojson", ".csv")
SAME_POINT_PX = 0.1
MAX_BYTES = 16 << 20
MAX_POINTS = 2000

_COMMENT_LIKE = re.compile(r"^(#[^,\n]*)", re.MULTILINE)
"""A name at the start of a line that would be read as a comment; in quotes it is none."""

_DECIMAL_COMMA = re.compile(r"^([+-]?\d+),(\d+)$")


@dataclass(frozen=True)
class TiePoint:
    """A point that a person marked on both sides: full-resolution pixels, and who did it when (ISO 8601 date)."""

    name: str
    map_x: float
    map_y: float
    visible_x: float
    visible_y: float
    operator: str = ""
    date: str = ""


def corner_to_centre(pixel_x: float, pixel_y: float) -> tuple[float, float]:
    """Convert QGIS's pixel coordinates (origin at the outer corner, y negative) to ours (centre, positive).

    Args:
        pixel_x: Pixels to the right of the left edge.
        pixel_y: Pixels above the top edge, so negative within the raster.

    Returns:
        x, y, (0, 0) the centre of the top-left pixel, y downwards.
    """
    return from_corner(pixel_x), from_corner(-pixel_y)


def centre_to_corner(x: float, y: float) -> tuple[float, float]:
    """Convert our pixel coordinates to QGIS's: the inverse of `corner_to_centre`.

    Args:
        x: Pixels, (0, 0) the centre of the top-left pixel.
        y: Pixels, downwards.

    Returns:
        As a `.points` file holds them.
    """
    return to_corner(x), -to_corner(y)


def read_tiepoints(path: Path, visible_grid: Grid | None = None, map_grid: Grid | None = None) -> list[TiePoint]:
    """Read tie points by the file's suffix.

    Args:
        path: A `.points` (QGIS), `.geojson` or `.csv` file, UTF-8 with or without a byte order mark; columns separated
            by commas, semicolons or tabs.
        visible_grid: Places the ground coordinates of a `.points` file; None for a raster without georeference.
        map_grid: Places the layer coordinates of a `.points` file; None for a map without georeference.

    Returns:
        The points in the file's order.

    Raises:
        PermanentError: The file cannot be read; file and line are named.
    """
    text = _text(path)
    suffix = path.suffix.lower()
    if suffix == ".points":
        return _read_qgis(text, path, visible_grid, map_grid)
    if suffix in (".geojson", ".json"):
        points = _read_geojson(text, path)
    elif suffix == ".csv":
        points = [
            _point(row, f"{path}, line {line}", number) for number, (line, row) in enumerate(_rows(text, path), 1)
        ]
    else:
        forms = ", ".join(SUFFIXES)
        raise PermanentError(f"{path}: tie points come as {forms}, not as {suffix or 'a file without suffix'}")
    return points


def read_site_tiepoints(
    paths: Sequence[Path], visible_grid: Grid | None = None, map_grid: Grid | None = None
) -> list[TiePoint]:
    """Read the tie points of a site from several files; a point that two files hold counts once.

    Two points are the same where all four coordinates differ by less than `SAME_POINT_PX`.

    Args:
        paths: Files in the forms that `read_tiepoints` takes; of a point that several hold, the first file's is kept.
        visible_grid: As for `read_tiepoints`.
        map_grid: As for `read_tiepoints`.

    Raises:
        PermanentError: A file cannot be read; file and line are named.
    """
    points: list[TiePoint] = []
    for path in paths:
        known = np.hstack(arrays(points))
        for point in read_tiepoints(path, visible_grid, map_grid):
            here = [point.map_x, point.map_y, point.visible_x, point.visible_y]
            if not (np.abs(known - here) < SAME_POINT_PX).all(axis=1).any():
                points.append(point)
    return points


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise PermanentError(f"{path}: not a file")
        if path.stat().st_size > MAX_BYTES:
            raise PermanentError(f"{path}: over {MAX_BYTES >> 20} MiB is no file of tie points")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PermanentError(f"{path}: cannot read tie points ({error}); save it as UTF-8") from error
    except OSError as error:
        raise PermanentError(f"{path}: cannot read tie points ({error})") from error
    if "\0" in text:
        raise PermanentError(f"{path}: holds null characters, as no text in UTF-8 does; save it as UTF-8")
    return text


def write_tiepoints(path: Path, points: Sequence[TiePoint], visible_grid: Grid | None = None) -> None:
    """Write tie points in the form that the file's suffix names; the same points give the same bytes.

    Args:
        path: `.points` (QGIS), `.geojson` or `.csv`; written atomically.
        points: Full-resolution pixels.
        visible_grid: Turns places in the visible raster into ground coordinates of a `.points` file; None writes
            pixels. GeoJSON gets a geometry only with it; CSV is the same without.

    Raises:
        PermanentError: The suffix is none of these.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise PermanentError(f"{path}: tie points are written as {', '.join(SUFFIXES)}")
    write_saved(path, tiepoints_text(path.suffix.lower(), points, visible_grid).encode())


def tiepoints_text(suffix: str, points: Sequence[TiePoint], visible_grid: Grid | None = None) -> str:
    """Return the content of a file of tie points of one of `SUFFIXES`; see `write_tiepoints`.

    Args:
        suffix: In lower case, with the dot.
        points: Full-resolution pixels.
        visible_grid: Gives ground coordinates in `.points` and geometries in GeoJSON; None: pixels, and no geometries.
    """
    writers = {".points": _qgis_text, ".geojson": _geojson_text, ".csv": _csv_text}
    return writers[suffix](points, visible_grid)


def arrays(points: Sequence[TiePoint]) -> tuple[np.ndarray, np.ndarray]:
    """Return the points on the map and on the visible raster, (N, 2) float64 each.

    Args:
        points: N points, none at all too.

    Returns:
        x, y in full-resolution pixels, (0, 0) the centre of the top-left pixel.
    """
    table = np.array([[p.map_x, p.map_y, p.visible_x, p.visible_y] for p in points], np.float64).reshape(-1, 4)
    return table[:, :2], table[:, 2:]


def _read_qgis(text: str, path: Path, visible_grid: Grid | None, map_grid: Grid | None) -> list[TiePoint]:
    """Both layouts in use: `mapX,mapY,pixelX,pixelY,enable` (before QGIS 3.26) and `mapX,mapY,sourceX,sourceY,enable,
    dX,dY,residual`, either with a first line `#CRS: ...`. Disabled points are left out."""
    crs, rows = _qgis_crs(text, path, visible_grid), _rows(text, path)
    wanted = ("sourceX", "sourceY") if rows and "sourceX" in rows[0][1] else ("pixelX", "pixelY")
    numbers, table = [], []
    for number, (line, row) in enumerate(rows, 1):
        if row.get("enable", "1").strip().lower() not in ("0", "false"):
            where = f"{path}, line {line}"
            table.append([_number(row.get(name), name, where) for name in ("mapX", "mapY", *wanted)])
            numbers.append((number, line))
    coordinates = np.array(table, np.float64).reshape(-1, 4)
    if crs is None or visible_grid is None:
        visible = from_corner(coordinates[:, :2] * [1, -1])
    else:
        visible = visible_grid.to_pixel(reproject(coordinates[:, :2], crs, visible_grid.crs))
    source = _map_pixels(coordinates[:, 2:], path, wanted[0], map_grid)
    placed = np.isfinite(np.hstack([source, visible])).all(axis=1)
    if not placed.all():
        line = numbers[int(np.argmin(placed))][1]
        raise PermanentError(f"{path}, line {line}: the coordinates have no place in the raster's CRS")
    return [
        TiePoint(f"{path.stem}:{number}", map_x, map_y, visible_x, visible_y)
        for (number, _), (map_x, map_y), (visible_x, visible_y) in zip(
            numbers, source.tolist(), visible.tolist(), strict=True
        )
    ]


def _qgis_crs(text: str, path: Path, grid: Grid | None) -> str | None:
    """Return the CRS of mapX and mapY: the file's own, else the visible raster's; None where they are pixels."""
    name = ""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        head, _, value = line.lstrip("# ").partition(":")
        name = value.strip() if head.strip().upper() == "CRS" else name
    if not name:
        return grid.crs if grid is not None else None
    try:
        crs = CRS.from_user_input(name)
    except CRSError as error:
        known = "an authority's code such as EPSG:3857, OGC:CRS84 or ESRI:54030, a URN, WKT or a PROJ string"
        raise PermanentError(f"{path}: #CRS: {name!r} is not known; {known} is read") from error
    if grid is None:
        raise PermanentError(
            f"{path}: mapX and mapY are coordinates of the CRS {crs.name!r}, and no georeference of the visible raster "
            "is known that places them: give the visible raster, or one with a georeference"
        )
    return crs.to_wkt()


def _map_pixels(coordinates: FloatArray, path: Path, column: str, grid: Grid | None) -> FloatArray:
    """Return pixels of the map: as QGIS gives them, or from layer coordinates if those are what lies on the map."""
    pixels = from_corner(coordinates * [1, -1])
    if grid is None:
        if (coordinates[:, 1] > 0.5).any():
            raise PermanentError(
                f"{path}: {column} and {column[:-1]}Y are no pixels, whose y is negative, but layer coordinates of a "
                "georeferenced map: give the map, or one with a georeference"
            )
        return pixels
    layer = grid.to_pixel(coordinates)
    size = np.array([grid.width, grid.height])
    as_pixels, as_layer = (
        int(((points > -0.1 * size) & (points < 1.1 * size)).all(axis=1).sum()) for points in (pixels, layer)
    )
    if not max(as_pixels, as_layer) and len(coordinates):
        raise PermanentError(
            f"{path}: {column}, {column[:-1]}Y lie on the map neither as pixels nor as its coordinates"
        )
    georeferenced = as_layer > as_pixels or (as_layer == as_pixels and column == "sourceX")
    return layer if georeferenced else pixels


def _qgis_text(points: Sequence[TiePoint], grid: Grid | None) -> str:
    lines = [f"#CRS: {grid.crs}"] if grid is not None else []
    lines.append("mapX,mapY,sourceX,sourceY,enable,dX,dY,residual")
    for point in points:
        if grid is None:
            ground = centre_to_corner(point.visible_x, point.visible_y)
        else:
            ground = tuple(grid.to_world([[point.visible_x, point.visible_y]])[0])
        numbers = (*ground, *centre_to_corner(point.map_x, point.map_y))
        lines.append(",".join(repr(float(number)) for number in numbers) + ",1,0,0,0")
    return "\n".join(lines) + "\n"


def _read_geojson(text: str, path: Path) -> list[TiePoint]:
    """Features whose properties hold the fields of a tie point; their geometry is not used."""
    try:
        features = parse_json(text)["features"]
        return [_point(feature["properties"], f"{path}, feature {i}", i) for i, feature in enumerate(features, 1)]
    except (JsonError, KeyError, TypeError) as error:
        raise PermanentError(f"{path}: not a GeoJSON FeatureCollection of tie points ({error!r})") from error


def _geojson_text(points: Sequence[TiePoint], grid: Grid | None) -> str:
    features = []
    for point in points:
        geometry: dict[str, Any] | None = None
        if grid is not None:
            geometry = {
                "type": "Point",
                "coordinates": grid.to_lonlat([[point.visible_x, point.visible_y]])[0].tolist(),
            }
        features.append({"type": "Feature", "geometry": geometry, "properties": asdict(point)})
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=1) + "\n"


def _csv_text(points: Sequence[TiePoint], grid: Grid | None) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(TiePoint.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(point) for point in points)
    return _COMMENT_LIKE.sub(r'"\1"', buffer.getvalue())


def _rows(text: str, path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the number in the file and the values by column of every line that holds any, comments left out."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip(" \t,;")]
    lines = [(number, line) for number, line in lines if not line.startswith("#")]
    if not lines:
        raise PermanentError(f"{path}: the file is empty; a line of column names is the least")
    delimiter = max(",;\t", key=lines[0][1].count)
    numbers = [number for number, _ in lines]
    try:
        header, *rows = ([each.strip() for each in next(csv.reader([line], delimiter=delimiter))] for _, line in lines)
    except csv.Error as error:
        raise PermanentError(f"{path}: cannot read tie points ({error})") from error
    if len(rows) > MAX_POINTS:
        raise PermanentError(f"{path}: {len(rows)} tie points, at most {MAX_POINTS} are read")
    for number, row in zip(numbers[1:], rows, strict=True):
        if len(row) != len(header):
            raise PermanentError(f"{path}, line {number}: {len(row)} values, the columns are {', '.join(header)}")
    if delimiter == ";":  # where columns are separated by semicolons, the decimal point may be a comma
        rows = [
            [value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value for value in row] for row in rows
        ]
    return [(number, dict(zip(header, row, strict=True))) for number, row in zip(numbers[1:], rows, strict=True)]


def _point(row: Mapping[str, Any], where: str, number: int) -> TiePoint:
    map_x, map_y, visible_x, visible_y = (
        _number(row.get(name), name, where) for name in ("map_x", "map_y", "visible_x", "visible_y")
    )
    name, operator, date = (" ".join(str(row.get(name) or "").split()) for name in ("name", "operator", "date"))
    return TiePoint(name or str(number), map_x, map_y, visible_x, visible_y, operator, date)


def _number(value: Any, column: str, where: str) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise PermanentError(f"{where}: {column} is {value!r}; a number is needed") from error
    if not np.isfinite(number):
        raise PermanentError(f"{where}: {column} is {number}; a finite number is needed")
    return number
