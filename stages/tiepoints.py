"""Manual tie points: QGIS georeferencer `.points`, GeoJSON and CSV files, read into one form and written back.

In this project both points are pixels (x, y), (0, 0) the centre of the top-left pixel, y downwards. A `.points` file
says where pixels of the map lie in the coordinates of the visible raster (its CRS, or its pixels with y negative where
it has none); its pixel coordinates have their origin at the outer corner, and its pixelY is negative.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PermanentError
from pipeline.files import write_bytes
from raster.grid import Grid, reproject
from raster.pixels import from_corner, to_corner

SUFFIXES = (".points", ".geojson", ".csv")


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
    """Convert QGIS's pixel coordinates (origin at the outer corner, y negative) to ours (centre, positive)."""
    return from_corner(pixel_x), from_corner(-pixel_y)


def centre_to_corner(x: float, y: float) -> tuple[float, float]:
    """Convert our pixel coordinates to QGIS's: the inverse of `corner_to_centre`."""
    return to_corner(x), -to_corner(y)


def read_tiepoints(path: Path, visible_grid: Grid | None = None) -> list[TiePoint]:
    """Read tie points by the file's suffix. `visible_grid` places the ground coordinates of a `.points` file.

    Raises PermanentError naming file and line for what cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{path}: cannot read tie points ({error})") from error
    suffix = path.suffix.lower()
    if suffix == ".points":
        return _read_qgis(text, path, visible_grid)
    if suffix in (".geojson", ".json"):
        return _read_geojson(text, path)
    if suffix == ".csv":
        return [_point(row, f"{path}, line {line}", line - 1) for line, row in _rows(text, path)]
    raise PermanentError(
        f"{path}: tie points come as {', '.join(SUFFIXES)}, not as {suffix or 'a file without suffix'}"
    )


def write_tiepoints(path: Path, points: Sequence[TiePoint], visible_grid: Grid | None = None) -> None:
    """Write tie points in the form that the file's suffix names; the same points give the same bytes."""
    writers = {".points": _qgis_text, ".geojson": _geojson_text, ".csv": _csv_text}
    if path.suffix.lower() not in writers:
        raise PermanentError(f"{path}: tie points are written as {', '.join(SUFFIXES)}")
    write_bytes(path, writers[path.suffix.lower()](points, visible_grid).encode())


def arrays(points: Sequence[TiePoint]) -> tuple[np.ndarray, np.ndarray]:
    """Return the points on the map and on the visible raster, (N, 2) float64 each."""
    table = np.array([[p.map_x, p.map_y, p.visible_x, p.visible_y] for p in points], np.float64).reshape(-1, 4)
    return table[:, :2], table[:, 2:]


def _read_qgis(text: str, path: Path, grid: Grid | None) -> list[TiePoint]:
    """Both layouts in use: `mapX,mapY,pixelX,pixelY,enable` (before QGIS 3.26) and `mapX,mapY,sourceX,sourceY,enable,
    dX,dY,residual`, either with a first line `#CRS: ...`. Disabled points are left out."""
    crs = ""
    lines = text.splitlines()
    while lines and lines[0].startswith("#"):
        head, _, value = lines.pop(0).lstrip("# ").partition(":")
        crs = value.strip() if head.strip() == "CRS" else crs
    points = []
    for line, row in _rows("\n".join(lines), path):
        where = f"{path}, data line {line - 1}"
        if row.get("enable", "1").strip() in ("0", "false"):
            continue
        source_x, source_y = row.get("sourceX") or row.get("pixelX"), row.get("sourceY") or row.get("pixelY")
        ground = np.array([[_number(row.get("mapX"), "mapX", where), _number(row.get("mapY"), "mapY", where)]])
        map_x, map_y = corner_to_centre(
            _number(source_x, "sourceX or pixelX", where), _number(source_y, "sourceY or pixelY", where)
        )
        if grid is None:
            visible_x, visible_y = corner_to_centre(*ground[0])
        else:
            visible_x, visible_y = grid.to_pixel(reproject(ground, _crs_name(crs) or grid.crs, grid.crs))[0]
        points.append(TiePoint(f"{path.stem}:{line - 1}", map_x, map_y, float(visible_x), float(visible_y)))
    return points


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
        features = json.loads(text)["features"]
        return [_point(feature["properties"], f"{path}, feature {i}", i) for i, feature in enumerate(features, 1)]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
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
    return buffer.getvalue()


def _rows(text: str, path: Path) -> list[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    if not reader.fieldnames:
        raise PermanentError(f"{path}: the file is empty; a line of column names is the least")
    return [(reader.line_num, row) for row in reader]


def _point(row: Mapping[str, Any], where: str, number: int) -> TiePoint:
    map_x, map_y, visible_x, visible_y = (
        _number(row.get(name), name, where) for name in ("map_x", "map_y", "visible_x", "visible_y")
    )
    name, operator, date = (str(row.get(name) or "") for name in ("name", "operator", "date"))
    return TiePoint(name or str(number), map_x, map_y, visible_x, visible_y, operator, date)


def _number(value: Any, column: str, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise PermanentError(f"{where}: {column} is {value!r}; a number is needed") from error
    if not np.isfinite(number):
        raise PermanentError(f"{where}: {column} is {number}; a finite number is needed")
    return number


def _crs_name(text: str) -> str:
    return text if text.upper().startswith("EPSG:") or "[" in text else ""
