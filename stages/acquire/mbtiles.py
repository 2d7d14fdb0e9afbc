"""Source `mbtiles`: a file of raster tiles (MBTiles 1.3: SQLite, Web Mercator)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.errors import PermanentError
from raster.config_path import ConfigPath
from raster.image import Image
from stages.acquire.source import Site, Source, Strips, missing_files
from stages.acquire.tiles import TileMatrix, TileWindow
from stages.fetch.responses import InvalidResponse, TileDecoder, UnsafeResponse, picture_width, unsupported_format

MAX_ZOOM = 24


class MBTilesSource(Source):
    """Raster tiles of an MBTiles file."""

    KEYLESS = frozenset({"path"})
    kind: Literal["mbtiles"]
    path: ConfigPath = Field(description="The file, relative to the configuration.")
    tile_size: Literal[256, 512] | None = Field(
        default=None, description="Size of its tiles in px; default: that of its first tile."
    )
    zoom: int | None = Field(default=None, ge=0, le=MAX_ZOOM, description="Zoom; default: nearest to the site's gsd.")

    def files(self, site: Site) -> list[Path]:
        """Return the one file."""
        return [self.path]

    def problems(self, sites: Sequence[Site]) -> list[str]:
        """Return the file, where it is missing."""
        return missing_files("path", self.path, ())

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Open the file for reading only; see `Source.open`."""
        if not self.path.is_file():
            raise PermanentError(f"{self.path}: there is no such file; check the source's path")
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                size = self._tile_size(database)
                window = TileWindow.of_site(site, self._matrix(database, site, size), str(self.path))
                yield Strips(window.grid, window.strips(self._rows(database, window)), {})
        except sqlite3.DatabaseError as error:
            raise PermanentError(f"{self.path}: cannot be read as MBTiles ({error}); replace the file") from error

    def _tile_size(self, database: sqlite3.Connection) -> int:
        """Return the size of the file's tiles. Raises PermanentError if they are none that can be read."""
        where = "" if self.zoom is None else f"WHERE zoom_level = {self.zoom}"
        row = database.execute(f"SELECT tile_data FROM tiles {where} LIMIT 1").fetchone()
        body = row[0] if row else None
        name = unsupported_format(body) if isinstance(body, bytes) else ""
        if _metadata(database, "format") == "pbf" or name.startswith("vector tile"):
            raise PermanentError(
                f"{self.path}: holds vector tiles (format pbf), not pictures; take a file of raster tiles, or draw the "
                "map with the source osm-render"
            )
        if self.tile_size is not None:
            return self.tile_size
        return picture_width(body) if isinstance(body, bytes) else 256

    def _matrix(self, database: sqlite3.Connection, site: Site, size: int) -> TileMatrix:
        if self.zoom is not None:
            return TileMatrix(self.zoom, size)
        # SQLite keeps a value of any type in any column: a zoom that is none does not count.
        zooms = f"FROM tiles WHERE typeof(zoom_level) = 'integer' AND zoom_level BETWEEN 0 AND {MAX_ZOOM}"
        least, most = database.execute(f"SELECT MIN(zoom_level), MAX(zoom_level) {zooms}").fetchone()
        if least is None:
            raise PermanentError(f"{self.path}: holds no tiles of the zooms 0 to {MAX_ZOOM}; replace the file")
        return TileMatrix.nearest(site.gsd, site.footprint.centroid.y, (least, most), size)

    def _rows(self, database: sqlite3.Connection, window: TileWindow) -> Iterator[list[Image | None]]:
        decoder = TileDecoder(window.matrix.size)
        zoom = window.matrix.zoom
        from_north = _metadata(database, "scheme") == "xyz"
        query = (
            "SELECT tile_column, tile_data FROM tiles "
            "WHERE zoom_level = ? AND tile_row = ? AND tile_column BETWEEN ? AND ?"
        )
        count = 1 << zoom
        beyond = max(0, window.columns.stop - count)  # columns east of the antimeridian
        for y in window.rows:
            row = y if from_north else count - 1 - y
            bodies = dict(database.execute(query, (zoom, row, window.columns.start, window.columns.stop - 1)))
            if beyond:
                bodies |= dict(database.execute(query, (zoom, row, 0, beyond - 1)))
            columns = map(window.wrapped, window.columns)
            yield [self._decode(decoder, bodies.get(x), f"tile {zoom}/{x}/{y}") for x in columns]

    def _decode(self, decoder: TileDecoder, body: object, label: str) -> Image | None:
        if body is None:
            return None
        if not isinstance(body, bytes):
            raise PermanentError(f"{self.path}: {label} is no picture; repair or replace the file")
        try:
            return decoder.decode(body)
        except (InvalidResponse, UnsafeResponse) as error:
            raise PermanentError(f"{self.path}: {label} is {error}; repair or replace the file") from error


def _metadata(database: sqlite3.Connection, name: str) -> str:
    """Return a value of the file's metadata, in lower case; "" if it has none."""
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'metadata'").fetchone() is None:
        return ""
    row = database.execute("SELECT value FROM metadata WHERE name = ?", (name,)).fetchone()
    return str(row[0]).strip().lower() if row else ""
