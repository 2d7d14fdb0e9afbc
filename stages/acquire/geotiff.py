"""Source `geotiff`: georeferenced raster files on disk, GeoTIFF or Cloud Optimized GeoTIFF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.errors import PermanentError
from raster.config_path import ConfigPath
from raster.grid import Grid
from raster.image import Image
from raster.reader import ROWS, RasterReader
from stages.acquire.source import Site, Source, Strips, missing_files, rgba, site_path, window_of
from stages.rasters import files_of, open_any


class GeoTiffSource(Source):
    """Raster files on disk, one for all sites or one a site; the part under the site's footprint is taken as it is."""

    KEYLESS = frozenset({"path"})
    kind: Literal["geotiff"] = "geotiff"
    path: ConfigPath = Field(
        description="File, relative to the configuration; may hold {point_id} and {site_id}, as in "
        "`rasters/{point_id}_{site_id}_map.tif`."
    )
    bands: tuple[int, ...] = Field(
        (),
        description="Bands to take as red, green and blue, counted from 1; one band makes a grey image. "
        "Default: the first three, or the first of one or two.",
    )

    def file(self, site: Site) -> Path:
        """Return the file of a site.

        Args:
            site: The site.

        Returns:
            Its path.
        """
        return site_path(self.path, site)

    def files(self, site: Site) -> list[Path]:
        """Return the site's file, and what lies beside it and belongs to it."""
        return files_of(self.file(site))

    def problems(self, sites: Sequence[Site]) -> list[str]:
        """Return a file that is missing or cannot be read, and bands that it does not have."""
        if missing := missing_files("path", self.path, sites):
            return missing
        if self.bands and len(self.bands) not in (1, 3):
            return [f"bands: {list(self.bands)}: give one band or three"]
        first = next((self.file(site) for site in sites), self.path)
        try:
            if first.is_file():
                with open_any(first, self.bands):
                    pass
        except PermanentError as error:
            return [f"{'bands' if 'bands' in str(error) else 'path'}: {error}"]
        return []

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Open the site's file; see `Source.open`."""
        with open_any(self.file(site), self.bands) as reader:
            grid = window_of(site, reader.grid, reader.name)
            x, y = (round(value) for value in ~reader.grid.transform @ (grid.transform.c, grid.transform.f))
            yield Strips(grid, _strips(reader, x, y, grid), {"DATE": _date(reader.tags)})


def _strips(reader: RasterReader, x: int, y: int, grid: Grid) -> Iterator[Image]:
    for row in range(0, grid.height, ROWS):
        yield rgba(*reader.read(x, y + row, grid.width, min(ROWS, grid.height - row)))


def _date(tags: Mapping[str, str]) -> str:
    """Return the date of the TIFF tag `DATE` (ours), or of TIFFTAG_DATETIME ("2019:07:21 10:20:30"), else ""."""
    return tags.get("DATE") or tags.get("TIFFTAG_DATETIME", "")[:10].replace(":", "-")
