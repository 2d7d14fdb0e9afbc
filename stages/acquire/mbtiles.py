"""Source `mbtiles`: a file of tiles (MBTiles 1.3: SQLite, Web Mercator, y counted from the south)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.config import ConfigPath
from pipeline.errors import PermanentError
from raster.image import Image
from stages.acquire.source import Site, Source, Strips
from stages.acquire.tiles import TileMatrix, TileWindow
from stages.fetch.responses import InvalidResponse, TileDecoder, UnsafeResponse


class MBTilesSource(Source):
    """Raster tiles of an MBTiles file."""

    kind: Literal["mbtiles"]
    path: ConfigPath = Field(description="The file, relative to the configuration.")
    tile_size: Literal[256, 512] = Field(default=256, description="Size of its tiles in px.")
    zoom: int | None = Field(default=None, ge=0, le=24, description="Zoom; default: nearest to the site's gsd.")

    def identity(self, site: Site) -> str:
        """Return size and time of change of the file."""
        status = self.path.stat() if self.path.exists() else None
        return f"{status.st_size} {status.st_mtime_ns}" if status else "absent"

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Read the site's tiles; see `Source.open`."""
        if not self.path.exists():
            raise PermanentError(f"{self.path}: there is no such file; check the source's path")
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
                zoom = self._zoom(database, site)
                window = TileWindow.of_site(site, zoom, str(self.path))
                yield Strips(window.grid, window.strips(self._rows(database, window)), {})
        except sqlite3.DatabaseError as error:
            raise PermanentError(f"{self.path}: cannot be read as MBTiles ({error}); replace the file") from error

    def _zoom(self, database: sqlite3.Connection, site: Site) -> TileMatrix:
        if self.zoom is not None:
            return TileMatrix(self.zoom, self.tile_size)
        least, most = database.execute("SELECT MIN(zoom_level), MAX(zoom_level) FROM tiles").fetchone()
        if least is None:
            raise PermanentError(f"{self.path}: holds no tiles; replace the file")
        return TileMatrix.nearest(site.gsd, site.footprint.centroid.y, (least, most), self.tile_size)

    def _rows(self, database: sqlite3.Connection, window: TileWindow) -> Iterator[list[Image | None]]:
        check = TileDecoder(self.tile_size)
        zoom = window.matrix.zoom
        query = (
            "SELECT tile_column, tile_data FROM tiles "
            "WHERE zoom_level = ? AND tile_row = ? AND tile_column BETWEEN ? AND ?"
        )
        for y in window.rows:
            where = (zoom, 2**zoom - 1 - y, window.columns.start, window.columns.stop - 1)
            bodies = dict(database.execute(query, where).fetchall())
            yield [self._decode(check, bodies.get(x), f"tile {zoom}/{x}/{y}") for x in window.columns]

    def _decode(self, check: TileDecoder, body: bytes | None, label: str) -> Image | None:
        if body is None:
            return None
        try:
            return check.decode(body)
        except (InvalidResponse, UnsafeResponse) as error:
            raise PermanentError(f"{self.path}: {label} is {error}; mend or replace the file") from error
