"""Raster files of every kind of place on the ground, or of none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from specimen_files import HEIGHT, PLACE, UTM, WIDTH, Specimen, outline, picture, write


def geotransform_of_no_number(path: Path) -> Specimen:
    path = write(path, picture(), transform=Affine(1, 0, np.nan, 0, -1, 5200000))
    return Specimen(path, picture(), refused="no geotransform")


def geotransform_beyond_the_globe(path: Path) -> Specimen:
    path = write(path, picture(), transform=Affine(1e300, 0, 600000, 0, -1, 5200000))
    return Specimen(path, picture(), refused="outside the domain of its CRS")


def without_crs(path: Path) -> Specimen:
    return Specimen(write(path, picture(), crs=None), picture(), refused="has no CRS")


def local_crs(path: Path) -> Specimen:
    path = write(path, picture(), crs='LOCAL_CS["site grid",UNIT["metre",1]]')
    return Specimen(path, picture(), refused="no place on the globe")


def of_the_moon(path: Path) -> Specimen:
    path = write(path, picture(), crs="IAU_2015:30110")
    return Specimen(path, picture(), refused="no place on the globe")


def geocentric(path: Path) -> Specimen:
    return Specimen(write(path, picture(), crs="EPSG:4978"), picture(), refused="no place on the globe")


def unnamed_datum(path: Path) -> Specimen:
    """An ellipsoid without a datum, which is not the datum that EPSG's best guess would give it."""
    from pyproj import Transformer

    crs = "+proj=utm +zone=32 +ellps=intl +units=m +no_defs"
    path = write(path, picture(), crs=crs)
    moved = Transformer.from_crs(crs, UTM, always_xy=True).transform(*outline().T)
    return Specimen(path, picture(), outline=np.transpose(moved))


def without_geotransform(path: Path) -> Specimen:
    return Specimen(write(path, picture(), transform=None), picture(), refused="no geotransform")


def world_file(path: Path) -> Specimen:
    path = write(path, picture(), transform=None)
    path.with_suffix(".tfw").write_text("1\n0\n0\n-1\n600000.5\n5199999.5\n")
    return Specimen(path, picture(), outline=outline())


def south_up(path: Path) -> Specimen:
    transform = Affine(1, 0, 600000, 0, 1, 5199910)
    return Specimen(write(path, picture(), transform=transform), picture(), outline=outline(transform))


def rotated(path: Path) -> Specimen:
    transform = PLACE @ Affine.rotation(30)
    return Specimen(write(path, picture(), transform=transform), picture(), outline=outline(transform))


def _control(bend: float) -> list[GroundControlPoint]:
    transform = PLACE @ Affine.rotation(10)
    places = [(0, 0), (WIDTH, 0), (0, HEIGHT), (WIDTH, HEIGHT), (WIDTH / 2, HEIGHT / 2)]
    ground = [transform @ place for place in places]
    ground[-1] = ground[-1][0] + bend, ground[-1][1]
    return [GroundControlPoint(row, col, x, y) for (col, row), (x, y) in zip(places, ground, strict=True)]


def control_points(path: Path) -> Specimen:
    path = write(path, picture(), crs=None, transform=None, control=(_control(0), rasterio.CRS.from_string(UTM)))
    return Specimen(path, picture(), outline=outline(PLACE @ Affine.rotation(10)))


def control_points_that_bend(path: Path) -> Specimen:
    path = write(path, picture(), crs=None, transform=None, control=(_control(9), rasterio.CRS.from_string(UTM)))
    return Specimen(path, picture(), refused="rectify")


DATUM = "+proj=utm +zone=32 +ellps=GRS80 +towgs84={},0,0,0,0,0,0 +units=m +no_defs"


def datum_shift(path: Path) -> Specimen:
    """A datum of the file's own, 1,000 m off along the axis that points to 0 degrees of longitude."""
    from pyproj import Transformer

    path = write(path, picture(), crs=DATUM.format(1000))
    moved = Transformer.from_crs(DATUM.format(1000), UTM, always_xy=True).transform(*outline().T)
    return Specimen(path, picture(), outline=np.transpose(moved))


def datum_shift_of_a_known_crs(path: Path) -> Specimen:
    """A CRS that EPSG knows, for which the file gives another datum shift than EPSG does."""
    from pyproj import Transformer

    wkt = rasterio.CRS.from_epsg(31467).to_wkt()
    end = wkt.index("]]", wkt.index("SPHEROID[")) + 2
    shifted = f"{wkt[:end]},TOWGS84[1000,0,0,0,0,0,0]{wkt[end:]}"
    place = Affine(1, 0, 3500000, 0, -1, 5300000)
    path = write(path, picture(), crs=shifted, transform=place)
    moved = Transformer.from_crs(shifted, UTM, always_xy=True).transform(*outline(place).T)
    return Specimen(path, picture(), outline=np.transpose(moved))


PLACED: dict[str, Callable[[Path], Specimen]] = {
    maker.__name__: maker
    for maker in (
        geotransform_of_no_number,
        geotransform_beyond_the_globe,
        without_crs,
        local_crs,
        of_the_moon,
        geocentric,
        unnamed_datum,
        without_geotransform,
        world_file,
        south_up,
        rotated,
        control_points,
        control_points_that_bend,
        datum_shift,
        datum_shift_of_a_known_crs,
    )
}
"""By name; each is made from the path of the GeoTIFF to write."""
