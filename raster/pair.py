"""A map and a visible raster of the same ground, open for reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from raster.grid import georeferenced_homography
from raster.homography import Matrix
from raster.reader import RasterReader, open_raster


@dataclass(frozen=True, eq=False)
class RasterPair:
    """Both rasters of a pair. Homographies lead from pixels of `map` to pixels of `visible`."""

    map: RasterReader
    visible: RasterReader

    @cached_property
    def georeferenced(self) -> Matrix | None:
        """Return the homography map -> visible that both georeferences imply.

        Returns:
            3x3 float64 between full-resolution pixels; None where a file has no georeference or their CRSs do not meet.
            Across CRSs it is the best approximation over the whole visible image: see
            `raster.grid.georeferenced_homography`.
        """
        if self.map.located is None or self.visible.located is None:
            return None
        try:
            return georeferenced_homography(self.map.located, self.visible.located)[0]
        except ValueError:
            return None


@contextmanager
def open_pair(map_path: Path, visible_path: Path, siblings: bool = True) -> Iterator[RasterPair]:
    """Open both rasters of a pair.

    Args:
        map_path: File of the map, in any form that GDAL reads.
        visible_path: File of the visible image, of any size and CRS.
        siblings: Whether files beside them (masks, world files, auxiliary XML, overviews) belong to them.

    Yields:
        The open pair; both files are closed when the context ends.

    Raises:
        RasterError: One of them is no raster that GDAL reads, see `raster.reader.open_raster`.
    """
    with (
        open_raster(map_path, siblings=siblings) as map_raster,
        open_raster(visible_path, siblings=siblings) as visible_raster,
    ):
        yield RasterPair(map_raster, visible_raster)
