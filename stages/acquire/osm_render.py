"""Source `osm-render`: the map side drawn from vector data, an OpenStreetMap extract or a GeoPackage.

The map covers the site's footprint: on the grid of a raster that it is to match (`like`), in whatever CRS, on that of a
tile service (`zoom`), or on a grid in metres of the site's own. Ground outside the extract is no data; a site without
any feature has none at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import osmium
import shapely
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from cartography import styles
from cartography.fonts import fonts_digest
from cartography.frame import Frame
from cartography.mapnik_renderer import MapnikRenderer
from cartography.osm import VectorFileError, read_scene
from cartography.scene import Scene
from pipeline.errors import PermanentError
from raster.config_path import ConfigPath
from raster.grid import Grid, reproject
from raster.homography import FloatArray
from raster.image import Image
from raster.pixels import to_corner
from stages.acquire.lettering import lettering_notes
from stages.acquire.local_grid import local_crs, local_grid
from stages.acquire.source import Site, Source, Strips, missing_files, site_path, window_of
from stages.acquire.tiles import TileMatrix, TileWindow
from stages.rasters import open_any

ROWS = 1024
_STEP_M = 60.0
"""Edges are broken into pieces of this length before they are bent from one CRS into another."""
_MARGIN_M = 300.0


class OsmRenderSource(Source):
    """A map drawn from vector data in one of the project's styles."""

    SECONDS_A_PIXEL = 1e-7
    KEYLESS = frozenset({"path", "like"})
    kind: Literal["osm-render"] = "osm-render"
    source: str = Field("OpenStreetMap", description="What the data is, for the manifest.")
    licence: str = Field("ODbL-1.0", description="Licence of the data.")
    attribution: str = Field("© OpenStreetMap contributors", description="Line of credit that the licence asks for.")
    path: ConfigPath = Field(description="An .osm.pbf extract, GeoPackage, GeoParquet or other vector file.")
    style: str = Field("web-light", description=f"Map style: {', '.join(styles.NAMES)}.")
    like: ConfigPath | None = Field(
        None,
        description="Georeferenced raster whose grid the map takes, usually the visible side; may hold {point_id} and "
        "{site_id}. Default: a grid of the site's ground sample distance in its UTM zone.",
    )
    zoom: int | None = Field(
        None, ge=0, le=24, description="Instead of `like`: the Web Mercator grid of this zoom, as of a tile service."
    )

    @field_validator("style")
    @classmethod
    def _known(cls, name: str) -> str:
        styles.named(name)
        return name

    def needs(self) -> list[str]:
        """Return the file of vector data, where it is missing."""
        return [] if self.path.is_file() else [f"{self.path}: there is no such file; check the path of the vector data"]

    def problems(self, sites: Sequence[Site]) -> list[str]:
        """Return the rasters whose grid the map is to take and which are missing."""
        return missing_files("like", self.like, sites) if self.like is not None else []

    def files(self, site: Site) -> list[Path]:
        """Return the data, and the raster whose grid the map takes."""
        return [self.path] if self.like is None else [self.path, site_path(self.like, site)]

    def identity(self, site: Site) -> str:
        """Return the digest of the installed fonts, with which the map is lettered."""
        return fonts_digest()

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Draw the map of a site strip by strip; see `Source.open`."""
        grid = self._grid(site)
        centre = site.footprint.centroid
        crs = local_crs(centre.x, centre.y)
        try:
            modified = self.path.stat().st_mtime_ns if self.path.exists() else 0
            whole = _read(self.path, crs, modified)
        except VectorFileError as error:
            raise PermanentError(f"site {site.name}: {error}; check acquire.map.path") from error
        scene = _in_pixel_plane(whole, crs, grid)
        frame = Frame(0.0, 0.0, grid.gsd, grid.width, grid.height)
        renderer = MapnikRenderer(scene, frame, styles.named(self.style))
        strips = _strips(renderer, len(scene) > 0, _covered(whole, crs, grid))
        notes = lettering_notes(renderer, f"map of site {site.name}")
        yield Strips(grid, strips, {"DATE": data_date(self.path)}, notes=notes)

    @model_validator(mode="after")
    def _one_grid(self) -> OsmRenderSource:
        if self.like is not None and self.zoom is not None:
            raise ValueError("give like or zoom, not both")
        return self

    def _grid(self, site: Site) -> Grid:
        if self.zoom is not None:
            return TileWindow.of_site(site, TileMatrix(self.zoom, 256), self.source).grid
        if self.like is None:
            return local_grid(site)
        with open_any(site_path(self.like, site)) as reader:
            return window_of(site, reader.grid, reader.name)


def _strips(renderer: MapnikRenderer, has_features: bool, covered: FloatArray) -> Iterator[Image]:
    frame = renderer.frame
    for row in range(0, frame.height, ROWS):
        rows = min(ROWS, frame.height - row)
        alpha = np.zeros((rows, frame.width), np.uint8)
        if has_features and len(covered):
            cv2.fillPoly(alpha, [np.rint(covered - [0, row]).astype(np.int32)], (255,))
        yield np.dstack([renderer.render((0, row, frame.width, rows)), alpha])


def data_date(path: Path) -> str:
    """Return the date an OpenStreetMap extract's data is of, ISO 8601; "" if it does not say.

    Args:
        path: The file.

    Returns:
        The date.
    """
    if not path.name.endswith((".osm.pbf", ".osm")):
        return ""
    with osmium.io.Reader(str(path)) as reader:
        return reader.header().get("osmosis_replication_timestamp") or reader.header().get("timestamp") or ""


@lru_cache(maxsize=2)
def _read(path: Path, crs: str, modified: int) -> Scene:
    """Read a whole extract, once for the many sites of a worker; `modified` is when the file was changed."""
    return read_scene(path, crs)


def _in_pixel_plane(scene: Scene, crs: str, grid: Grid) -> Scene:
    """Move a scene into the plane of a grid's pixels: a pixel is its gsd wide, the grid's top-left corner is (0, 0)."""
    scale = np.array([grid.gsd, -grid.gsd])

    def move(layer: str, shapes: NDArray[np.object_], keys: NDArray[np.uint64]) -> NDArray[np.object_]:
        moved: NDArray[np.object_] = shapely.transform(
            shapes, lambda points: to_corner(grid.to_pixel(reproject(points, crs, grid.crs))) * scale
        )
        return moved

    corners = reproject(grid.to_world(grid.corners()), grid.crs, crs)
    (left, bottom), (right, top) = corners.min(axis=0) - _MARGIN_M, corners.max(axis=0) + _MARGIN_M
    return scene.window((left, bottom, right, top)).transformed(
        move, (0.0, -grid.height * grid.gsd, grid.width * grid.gsd, 0.0)
    )


def _covered(scene: Scene, crs: str, grid: Grid) -> FloatArray:
    """The part of the grid within the extent of the data, as a ring of pixels (N, 2); empty if they are apart."""
    if not len(scene):
        return np.empty((0, 2))
    edge = shapely.box(*scene.bounds).exterior
    ring = shapely.get_coordinates(edge.segmentize(max(edge.length / 200, _STEP_M)))
    extent = shapely.Polygon(grid.to_pixel(reproject(ring, crs, grid.crs)))
    return shapely.get_coordinates(shapely.box(-1, -1, grid.width, grid.height).intersection(extent))
