"""Every kind of raster file is read alike, and as it says of itself, by `sample`, `acquire`, `align` and `match`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from raster_specimens import SPECIMENS
from specimen_files import HEIGHT, UTM, WIDTH, Specimen, picture, write

from mapdata.image_files import read_image_file
from matcher.errors import InputError
from pipeline.errors import PermanentError
from raster.errors import RasterError
from stages.acquire.geotiff import GeoTiffSource
from stages.acquire.source import Site, Strips
from stages.acquire.stac import StacSource
from stages.rasters import open_any
from stages.sample.listed import SiteByRaster, site_rows

pytestmark = pytest.mark.integration

WORDS = {"source": "s", "licence": "CC0-1.0", "attribution": "me"}
TO_DEGREES = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)


@pytest.fixture(params=SPECIMENS)
def specimen(request: pytest.FixtureRequest, tmp_path: Path) -> Specimen:
    return SPECIMENS[request.param](tmp_path / "v.tif")


def degrees(outline: np.ndarray) -> np.ndarray:
    return np.transpose(TO_DEGREES.transform(*outline.T))


def site_of(specimen: Specimen) -> Site:
    (row,) = site_rows([SiteByRaster(point="1", raster=specimen.path)])
    return Site.from_row(row)


def drawn(strips: Strips) -> np.ndarray:
    return np.concatenate([strip.copy() for strip in strips.pixels])


def agree(specimen: Specimen, colours: np.ndarray, valid: np.ndarray) -> None:
    np.testing.assert_array_equal(valid, specimen.valid)
    difference = np.abs(colours[valid].astype(int) - specimen.colours[valid].astype(int))
    assert difference.max() <= 1


def test_sample_takes_the_place(specimen: Specimen) -> None:
    site = SiteByRaster(point="1", raster=specimen.path)
    if specimen.outline is None:
        with pytest.raises(PermanentError, match=specimen.refused):
            site.extent()
        return
    footprint, gsd = site.extent()
    metres = (shapely.get_coordinates(footprint)[:4] - degrees(specimen.outline)) * 111_195
    assert np.abs(metres).max() < 0.05
    assert gsd == pytest.approx(1, rel=2e-3)


def test_acquire_takes_pixels_and_mask(specimen: Specimen, tmp_path: Path) -> None:
    source = GeoTiffSource(path=specimen.path, **WORDS)
    if specimen.refused:
        place = Site("1", "1", shapely.box(10, 46, 11, 47), 1.0, "")
        with (
            pytest.raises(PermanentError, match=specimen.refused),
            source.open(place, tmp_path) as strips,
        ):
            drawn(strips)
        return
    with source.open(site_of(specimen), tmp_path) as strips:
        assert (strips.grid.width, strips.grid.height) == (WIDTH, HEIGHT)
        outline = strips.grid.to_lonlat(strips.grid.corners())
        assert specimen.outline is not None
        assert np.abs((outline - degrees(specimen.outline)) * 111_195).max() < 0.05
        rgba = drawn(strips)
    agree(specimen, rgba[..., :3], rgba[..., 3] == 255)


def test_stac_takes_pixels_and_mask(specimen: Specimen, tmp_path: Path) -> None:
    """On its own grid, so pixels are compared where the grid's centres lie in the file, away from edges of data."""
    outline = np.array([[9.0, 46], [11, 46], [11, 48], [9, 48]])
    if specimen.outline is not None:
        outline = degrees(specimen.outline)
    source = StacSource.model_validate({"kind": "stac", "catalog": str(catalog_of(specimen.path, outline))} | WORDS)
    site = Site("1", "1", shapely.Polygon(outline), 1.0, "")
    if specimen.path.suffix == ".png":
        with pytest.raises(PermanentError, match="neither a GeoTIFF nor"), source.open(site, tmp_path):
            pass
        return
    if specimen.outline is None:
        site = Site("1", "1", shapely.box(10.31, 46.94, 10.315, 46.945), 1.0, "")
        with pytest.raises(PermanentError, match=specimen.refused), source.open(site, tmp_path) as strips:
            drawn(strips)
        return
    with source.open(site, tmp_path) as strips:
        grid, rgba = strips.grid, drawn(strips)
    y, x = np.mgrid[: grid.height, : grid.width]
    ground = np.transpose(
        Transformer.from_crs(grid.crs, UTM, always_xy=True).transform(
            *grid.to_world(np.stack([x.ravel(), y.ravel()], 1)).T
        )
    )
    first, right, _, below = specimen.outline
    axes = np.stack([(right - first) / WIDTH, (below - first) / HEIGHT], axis=1)
    columns, rows = np.linalg.solve(axes, (ground - first).T) - 0.5
    inside = (columns > 0.6) & (rows > 0.6) & (columns < WIDTH - 1.6) & (rows < HEIGHT - 1.6)
    away = (columns < -1) | (rows < -1) | (columns > WIDTH) | (rows > HEIGHT)
    flat = rgba.reshape(-1, 4)
    assert (flat[away, 3] == 0).all()
    nearest = np.rint(rows[inside]).astype(int), np.rint(columns[inside]).astype(int)
    steady = np.abs(columns[inside] - 39.5) > 2
    wanted = specimen.valid[nearest]
    np.testing.assert_array_equal(flat[inside, 3][steady] == 255, wanted[steady])
    both = steady & wanted
    difference = np.abs(flat[inside, :3][both].astype(int) - specimen.colours[nearest][both].astype(int))
    assert np.median(difference) <= 2
    assert inside.sum() > 0.9 * WIDTH * HEIGHT


def catalog_of(path: Path, outline: np.ndarray) -> Path:
    ring = [*outline.tolist(), outline[0].tolist()]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "item",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [*outline.min(axis=0).tolist(), *outline.max(axis=0).tolist()],
        "properties": {"datetime": "2024-05-01T00:00:00Z"},
        "links": [],
        "assets": {"image": {"href": f"./{path.name}"}},
    }
    links = [{"rel": "root", "href": "./catalog.json"}, {"rel": "item", "href": "./item.json"}]
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "d", "links": links}
    (path.parent / "item.json").write_text(json.dumps(item))
    (path.parent / "catalog.json").write_text(json.dumps(catalog))
    return path.parent / "catalog.json"


def test_align_reads_pixels_and_mask(specimen: Specimen) -> None:
    """Pixels matter, not places: a raster that has none is aligned without."""
    if specimen.without_colours:
        with pytest.raises(PermanentError, match=specimen.refused), open_any(specimen.path):
            pass
        return
    with open_any(specimen.path) as reader:
        assert (reader.located is None) == (specimen.outline is None)
        agree(specimen, *reader.read(0, 0, WIDTH, HEIGHT))
        part, valid = reader.read(30, 20, 50, 40)
        np.testing.assert_array_equal(valid, specimen.valid[20:60, 30:80])
        assert np.abs(part[valid].astype(int) - specimen.colours[20:60, 30:80][valid].astype(int)).max() <= 1


def test_match_reads_pixels_and_shows_white_where_there_is_no_data(specimen: Specimen) -> None:
    if specimen.without_colours:
        with pytest.raises(InputError, match=specimen.refused):
            read_image_file(specimen.path)
        return
    image = read_image_file(specimen.path)
    assert (image[~specimen.valid] == 255).all()
    agree(specimen, image, specimen.valid)


def virtual(path: Path, bands: list[tuple[str, str]]) -> Path:
    """Write a VRT of the bands of `plain.tif` beside it, each with a type and further elements of XML."""
    write(path.with_name("plain.tif"), picture())
    source = '<SimpleSource><SourceFilename relativeToVRT="1">plain.tif</SourceFilename><SourceBand>{}</SourceBand>'
    texts = [
        f'<VRTRasterBand dataType="{kind}" band="{band}">{more}{source.format(band)}</SimpleSource></VRTRasterBand>'
        for band, (kind, more) in enumerate(bands, 1)
    ]
    place = "<SRS>EPSG:32632</SRS><GeoTransform>600000,1,0,5200000,0,-1</GeoTransform>"
    path.write_text(f'<VRTDataset rasterXSize="{WIDTH}" rasterYSize="{HEIGHT}">{place}{"".join(texts)}</VRTDataset>')
    return path


def test_bands_of_several_types_are_refused(tmp_path: Path) -> None:
    path = virtual(tmp_path / "v.vrt", [("Byte", ""), ("UInt16", ""), ("CFloat32", "")])
    with pytest.raises(PermanentError, match=r"several types \(uint8, uint16, complex64\)"), open_any(path):
        pass


def test_bands_with_nodata_values_of_their_own_are_read_as_they_are_and_not_warped(tmp_path: Path) -> None:
    nodata = [f"<NoDataValue>{value}</NoDataValue>" for value in (picture()[0, 0].tolist())]
    path = virtual(tmp_path / "v.vrt", [("Byte", each) for each in nodata])
    with open_any(path) as reader:
        assert not reader.read(0, 0, 1, 1)[1].any()
        with pytest.raises(RasterError, match="several nodata values"), reader.on_grid(reader.grid):
            pass


@pytest.mark.parametrize("read", ["match", "align"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, read: str) -> None:
    path = tmp_path / "v.tif"
    os.mkfifo(path)
    if read == "match":
        with pytest.raises(InputError, match="no file but a pipe"):
            read_image_file(path)
        return
    with pytest.raises(PermanentError, match="no file but a pipe"), open_any(path):
        pass
