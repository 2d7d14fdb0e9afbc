"""Scenes from vector files: OpenStreetMap extracts (.osm.pbf), GeoPackage, GeoJSON, Shapefile, GeoParquet.

Every column of a file is read as a tag, so a GeoPackage whose columns are called like OpenStreetMap's keys reads as an
extract does. A layer called after one of our layers ("buildings", "roads", "water") needs no tags at all. Geometry that
is broken beyond repair is left out; what a reader may want to know about that is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely

from cartography import tags as t
from cartography.coastline import sea
from cartography.domain import within_domain
from cartography.hashing import mix
from cartography.scene import Area, Barrier, Bounds, Building, Place, Poi, Rail, Road, Scene, Tree, Waterway

_log = logging.getLogger(__name__)

_OSM_LAYERS = ("multipolygons", "lines", "points")
_ASSUMED: dict[str, dict[str, str]] = {
    "building": {"building": "yes"}, "road": {"highway": "unclassified"}, "water": {"natural": "water"},
    "river": {"waterway": "river"}, "rail": {"railway": "rail"}, "forest": {"landuse": "forest"},
}  # fmt: skip
"""Tags assumed for a layer whose name contains the key, where a feature's own tags say nothing."""


class VectorFileError(Exception):
    """A vector file cannot be read, or asks for a coordinate system that has no metric plane."""

    exit_status = 1


@dataclass
class _Layers:
    areas: list[Area]
    buildings: list[Building]
    roads: list[Road]
    rails: list[Rail]
    waterways: list[Waterway]
    barriers: list[Barrier]
    trees: list[Tree]
    places: list[Place]
    pois: list[Poi]
    coastlines: list[shapely.LineString]


def read_scene(path: Path, crs: str | None = None, bounds: Bounds | None = None) -> Scene:
    """Read a vector file into a scene.

    `crs` is the projected system of the scene's coordinates ("EPSG:3857", ...), by default the UTM zone of the data.
    Widths and heights are converted to its units (Web Mercator's are longer than a metre on the ground). `bounds`, in
    that system, leaves out what lies outside. An extract without features gives an empty scene. Raises VectorFileError.

    Args:
        path: An extract (.osm.pbf) or any vector file that GDAL reads.
        crs: Projected coordinate system of the scene; by default the UTM zone of the data.
        bounds: Left, bottom, right and top in that system; everything by default.

    Returns:
        The scene.

    Raises:
        VectorFileError: The file cannot be read, or the coordinate system is not projected.
    """
    parts = list(_read(path))
    target = pyproj.CRS.from_user_input(crs) if crs else _utm_of(parts, path)
    if not target.is_projected:
        raise VectorFileError(f"{path}: {target.to_string()} is not a projected coordinate system; give one in metres")
    layers = _Layers([], [], [], [], [], [], [], [], [], [])
    broken = 0
    for part in parts:
        shapes = _projected(part.geometries, part.crs, target)
        scale = _units_per_metre(shapes, target)
        for shape, tags in zip(shapes, part.tags, strict=True):
            repaired = _repaired(shape)
            if repaired is None:
                broken += 1
            elif bounds is None or _touches(repaired.bounds, bounds):
                _add(layers, repaired, tags, scale)
    if broken:
        _log.warning("%s: %d features of broken or empty geometry left out", path, broken)
    return _scene(layers, target, bounds, path)


@dataclass(frozen=True)
class _Part:
    crs: Any
    geometries: np.ndarray
    tags: list[dict[str, str]]


def _read(path: Path) -> Iterator[_Part]:
    if not path.is_file():
        raise VectorFileError(f"{path}: there is no such file")
    if path.suffix.lower() in (".parquet", ".geoparquet"):
        yield _read_parquet(path)
        return
    names = _OSM_LAYERS if path.name.endswith((".osm.pbf", ".osm")) else _layer_names(path)
    for name in names:
        try:
            meta, _, wkb, columns = pyogrio.raw.read(path, layer=name)
        except (pyogrio.errors.DataSourceError, pyogrio.errors.FeatureError) as error:
            raise VectorFileError(f"{path}: layer {name!r} cannot be read ({error}); is the file complete?") from error
        if wkb is None or len(wkb) == 0:
            continue
        fields = [str(field) for field in meta["fields"]]
        values = [column.tolist() for column in columns]
        tags = (
            [_tags(dict(zip(fields, row, strict=True)), name) for row in zip(*values, strict=True)]
            if fields
            else [_tags({}, name)] * len(wkb)
        )
        yield _Part(meta["crs"] or "EPSG:4326", shapely.from_wkb(wkb, on_invalid="ignore"), tags)


def _layer_names(path: Path) -> list[str]:
    try:
        return [str(name) for name, geometry in pyogrio.list_layers(path) if geometry is not None]
    except pyogrio.errors.DataSourceError as error:
        raise VectorFileError(f"{path}: no vector file that can be read ({error})") from error


def _read_parquet(path: Path) -> _Part:
    import geopandas

    try:
        frame = geopandas.read_parquet(path)
    except (ValueError, OSError) as error:
        raise VectorFileError(f"{path}: not a GeoParquet file ({error})") from error
    rows = frame.drop(columns=frame.geometry.name).to_dict("records")
    return _Part(frame.crs or "EPSG:4326", frame.geometry.to_numpy(), [_tags(row, path.stem) for row in rows])


def _tags(row: Mapping[Any, Any], layer: str) -> dict[str, str]:
    """Tags of one row: its columns, GDAL's `other_tags` taken apart, and what the layer's name implies."""
    tags = {str(k): str(v) for k, v in row.items() if v is not None and v == v and str(v) != ""}
    tags |= t.parse_hstore(tags.pop("other_tags", ""))
    for word, assumed in _ASSUMED.items():
        if word in layer.lower() and not any(key in tags for key in assumed):
            tags |= assumed
    return tags


def _utm_of(parts: list[_Part], path: Path) -> pyproj.CRS:
    for part in parts:
        x0, y0, x1, y1 = shapely.total_bounds(part.geometries)
        if np.isfinite(x0):
            to_degrees = pyproj.Transformer.from_crs(part.crs, "EPSG:4326", always_xy=True)
            lon, lat = to_degrees.transform((x0 + x1) / 2, (y0 + y1) / 2)
            return pyproj.CRS.from_epsg((32600 if lat >= 0 else 32700) + min(int((lon + 180) // 6) + 1, 60))
    _log.warning("%s holds no features: the scene is empty", path)
    return pyproj.CRS.from_epsg(3857)


def _projected(shapes: np.ndarray, source: Any, target: pyproj.CRS) -> np.ndarray:
    """Move shapes to the target system; those without an image there become None."""
    flat = within_domain(shapely.force_2d(shapes), source, target)
    transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    coordinates, owners = shapely.get_coordinates(flat, return_index=True)
    moved = np.column_stack(transformer.transform(coordinates[:, 0], coordinates[:, 1]))
    lost = np.unique(owners[~np.isfinite(moved).all(axis=1)])
    if len(lost):
        flat[lost] = None
        moved = moved[~np.isin(owners, lost)]
    return np.asarray(shapely.set_coordinates(flat, moved))


def _units_per_metre(shapes: np.ndarray, target: pyproj.CRS) -> float:
    """How many units of the target system one metre on the ground is, in the middle of the data."""
    x0, y0, x1, y1 = shapely.total_bounds(shapes)
    if not np.isfinite(x0):
        return 1.0
    lon, lat = pyproj.Transformer.from_crs(target, "EPSG:4326", always_xy=True).transform((x0 + x1) / 2, (y0 + y1) / 2)
    factors = pyproj.Proj(target).get_factors(lon, lat)
    return float(np.sqrt(factors.areal_scale)) / float(target.axis_info[0].unit_conversion_factor)


def _repaired(shape: Any) -> Any:
    """The shape, made valid if need be; None when nothing is left of it."""
    if shape is None or shape.is_empty:
        return None
    if not shape.is_valid:
        shape = shapely.make_valid(shape)
    return None if shape.is_empty or not np.isfinite(shape.bounds).all() else shape


def _touches(a: Bounds, b: Bounds) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _key(tags: Mapping[str, str], shape: Any) -> int:
    """From the feature's identity in OpenStreetMap where it has one, else from its place."""
    for rank, name in enumerate(("osm_way_id", "osm_id", "full_id")):
        text = "".join(c for c in tags.get(name, "") if c.isdigit())
        if text:
            return mix(rank, int(text))
    point = shape.representative_point()
    return mix(9, round(point.x * 100), round(point.y * 100))


def _add(layers: _Layers, shape: Any, tags: Mapping[str, str], scale: float) -> None:
    key = _key(tags, shape)
    for n, part in enumerate(shapely.get_parts(shape)):
        own = key if n == 0 else mix(key, n)
        if part.geom_type == "Polygon":
            _add_polygon(layers, part, tags, own, scale)
        elif part.geom_type == "LineString" and part.length > 0:
            _add_line(layers, part, tags, own, scale)
        elif part.geom_type == "Point":
            _add_point(layers, part, tags, own, scale)


def _add_polygon(layers: _Layers, polygon: Any, tags: Mapping[str, str], key: int, scale: float) -> None:
    found = t.building(tags, polygon.area / scale**2)
    name = tags.get("name", "")
    if found:
        kind, height, roof = found
        layers.buildings.append(Building(polygon, kind, height * scale, roof, key, name))
    elif area := t.area(tags):
        layers.areas.append(Area(polygon, area, key, name))
    elif found_line := t.barrier(tags):
        layers.barriers.append(Barrier(shapely.LineString(polygon.exterior.coords), found_line, key))
    if tags.get("natural") == "coastline":
        layers.coastlines += [shapely.LineString(ring.coords) for ring in (polygon.exterior, *polygon.interiors)]
    if (poi := t.poi(tags)) and name:
        layers.pois.append(Poi(polygon.representative_point(), poi, name, mix(key, 77)))
    if place := t.place(tags):
        layers.places.append(Place(polygon.representative_point(), place, name, mix(key, 78)))


def _add_line(layers: _Layers, line: Any, tags: Mapping[str, str], key: int, scale: float) -> None:
    bridge = tags.get("bridge", "no") != "no"
    tunnel = tags.get("tunnel", "no") not in ("no", "building_passage")
    name, ref = tags.get("name", ""), tags.get("ref", "").split(";")[0]
    if road := t.road(tags):
        kind, width, paved = road
        layers.roads.append(Road(line, kind, width * scale, key, paved, bridge, tunnel, name, ref))
    elif rail := t.rail(tags):
        layers.rails.append(Rail(line, rail[0], rail[1], key, bridge, tunnel))
    elif (way := t.waterway(tags)) and not tunnel:
        layers.waterways.append(Waterway(line, way[0], way[1] * scale, key, name))
    elif found := t.barrier(tags):
        layers.barriers.append(Barrier(line, found, key))
    if tags.get("natural") == "coastline":
        layers.coastlines.append(line)


def _add_point(layers: _Layers, point: Any, tags: Mapping[str, str], key: int, scale: float) -> None:
    if tags.get("natural") == "tree":
        crown = t.metres(tags.get("diameter_crown"))
        layers.trees.append(Tree(point, min((crown or 7.0) / 2, 12.0) * scale, key))
    elif place := t.place(tags):
        layers.places.append(Place(point, place, tags["name"], key))
    elif poi := t.poi(tags):
        layers.pois.append(Poi(point, poi, tags.get("name", ""), key))


def _scene(layers: _Layers, target: pyproj.CRS, bounds: Bounds | None, path: Path) -> Scene:
    if bounds is None:
        shapes = [f.geometry for name, features in vars(layers).items() if name != "coastlines" for f in features]
        shapes += layers.coastlines
        total = shapely.total_bounds(np.array(shapes, object)) if shapes else np.zeros(4)
        bounds = (float(total[0]), float(total[1]), float(total[2]), float(total[3]))
    if layers.coastlines:
        water, loose_ends = sea(layers.coastlines, bounds)
        if loose_ends:
            _log.warning("%s: %d coastlines end inside the data; the sea is drawn to its border", path, loose_ends)
        layers.areas += [Area(polygon, "water", _key({}, polygon)) for polygon in water]
    # Large areas first: a meadow inside a forest must not be covered by it.
    layers.areas.sort(key=lambda area: -area.geometry.area)
    everything = {name: tuple(values) for name, values in vars(layers).items() if name != "coastlines"}
    return Scene(
        bounds, ground="residential" if _is_town(layers, bounds) else "grass", crs=target.to_string(), **everything
    )


def _is_town(layers: _Layers, bounds: Bounds) -> bool:
    """Whether ground without land use is more likely paved than grass: buildings cover a tenth of the whole or more."""
    total = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
    return total > 0 and sum(b.geometry.area for b in layers.buildings) > 0.1 * total
