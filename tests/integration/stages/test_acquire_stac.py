"""Imagery from STAC: the real NAIP files as COGs of a static catalog and of an API, served with ranges on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from aiohttp import web
from file_server import FileServer
from rasterio.shutil import copy as copy_raster
from rasterio.warp import Resampling, reproject, transform_bounds

from pipeline.errors import PermanentError, TransientError
from stages.acquire.source import Site
from stages.acquire.stac import StacSource
from stages.rasters import open_raster, write_raster

pytestmark = pytest.mark.integration

YEARS = {"20120731": 60.0, "20150926": 5.0, "20200831": 30.0}
WORDS = {"source": "NAIP", "licence": "public domain", "attribution": "USDA FPAC-BC-GEO"}
QUICK = {"requests_per_second": None, "timeout_s": 3.0, "wait_s": 0.02, "attempts": 3}


@pytest.fixture(scope="module")
def catalog(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the three NAIP years as COGs with a static catalog round them."""
    folder = tmp_path_factory.mktemp("naip")
    collection = pystac.Collection(
        "naip",
        "NAIP",
        pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]])),
    )
    for day, cloud in YEARS.items():
        original = shared_data / f"georeferenced/naip/m_4709963_se_14_1_{day}.tif"
        cog = folder / "data" / f"{day}.tif"
        cog.parent.mkdir(exist_ok=True)
        copy_raster(original, cog, driver="COG", blocksize=128, compress="deflate")
        with rasterio.open(cog) as dataset:
            bounds = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        moment = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        item = pystac.Item(
            day, shapely.geometry.mapping(shapely.box(*bounds)), list(bounds), moment, {"eo:cloud_cover": cloud}
        )
        item.add_asset("image", pystac.Asset(f"../../data/{day}.tif", media_type=pystac.MediaType.COG))
        collection.add_item(item)
    root = pystac.Catalog("root", "test")
    root.add_child(collection)
    root.normalize_hrefs(str(folder))
    for day, item in zip(YEARS, collection.get_items(), strict=True):
        item.assets["image"].href = f"../../data/{day}.tif"
    root.save(pystac.CatalogType.SELF_CONTAINED)
    return folder


@pytest.fixture
def server(catalog: Path) -> Iterator[FileServer]:
    with FileServer(catalog) as server:
        yield server


@pytest.fixture(scope="module")
def site(catalog: Path) -> Site:
    with rasterio.open(catalog / "data/20200831.tif") as dataset:
        west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    x, y = (west + east) / 2, (south + north) / 2
    return Site("001", "1", shapely.box(x - 0.008, y - 0.005, x + 0.008, y + 0.005), 5.0, "")


def acquire(address: str, site: Site, workspace: Path, **changes: object) -> tuple[np.ndarray, np.ndarray | None, str]:
    source = StacSource.model_validate({"kind": "stac", "catalog": address, "rate_limits": QUICK} | WORDS | changes)
    with source.open(site, workspace) as strips:
        write_raster(workspace / "a.tif", strips.grid, strips.pixels, {})
        date = strips.tags["DATE"]
    with open_raster(workspace / "a.tif") as raster:
        assert raster.grid.crs == "EPSG:32614"
        pixels, mask = raster.read(0, 0, raster.grid.width, raster.grid.height)
    return pixels, mask, date


def expected(file: Path, workspace: Path) -> np.ndarray:
    """Warp a file onto the grid of the acquired raster by another way."""
    with rasterio.open(workspace / "a.tif") as target, rasterio.open(file) as source:
        result = np.zeros((3, target.height, target.width), np.uint8)
        reproject(
            rasterio.band(source, [1, 2, 3]),
            result,
            dst_transform=target.transform,
            dst_crs=target.crs,
            resampling=Resampling.bilinear,
        )
    return result.transpose(1, 2, 0)


def test_the_newest_item_of_a_static_catalog(server: FileServer, site: Site, tmp_path: Path, catalog: Path) -> None:
    pixels, mask, date = acquire(f"{server.url}/catalog.json", site, tmp_path)
    assert mask.all()
    difference = np.abs(pixels.astype(int) - expected(catalog / "data/20200831.tif", tmp_path))
    assert np.percentile(difference, 99) <= 2
    assert date == "2020-08-31"
    reads = [entry for entry in server.log if entry[0].endswith(".tif")]
    assert reads
    assert all(wanted.startswith("bytes=") for _, wanted in reads)


def test_only_what_the_site_needs_is_read(server: FileServer, site: Site, tmp_path: Path, catalog: Path) -> None:
    centre = site.footprint.centroid
    small = Site("001", "2", centre.buffer(0.0008).envelope, 5.0, "")
    acquire(f"{server.url}/catalog.json", small, tmp_path, dates=["2020-01-01", "2020-12-31"])
    spans = [span.removeprefix("bytes=").split("-") for path, span in server.log if path.endswith("20200831.tif")]
    size = (catalog / "data/20200831.tif").stat().st_size
    assert sum(min(int(last), size) - int(first) + 1 for first, last in spans) < size / 3
    assert not any(path.endswith("20120731.tif") for path, _ in server.log)


@pytest.mark.parametrize(
    ("changes", "day"),
    [
        ({"dates": ["2012-01-01", "2013-01-01"]}, "20120731"),
        ({"max_cloud_cover": 40, "dates": ["2012-01-01", "2016-01-01"]}, "20150926"),
        ({"prefer": "clearest"}, "20150926"),
    ],
)
def test_items_are_chosen_by_date_and_cloud(
    site: Site, tmp_path: Path, catalog: Path, changes: dict[str, object], day: str
) -> None:
    pixels, _, _ = acquire(str(catalog / "catalog.json"), site, tmp_path, **changes)
    difference = np.abs(pixels.astype(int) - expected(catalog / f"data/{day}.tif", tmp_path))
    assert np.percentile(difference, 99) <= 2


def test_the_search_of_an_api(server: FileServer, site: Site, tmp_path: Path, catalog: Path) -> None:
    asked: list[dict[str, str]] = []

    def api(request: web.Request) -> web.StreamResponse | None:
        search = {"rel": "search", "href": f"{server.url}/search", "type": "application/geo+json", "method": "GET"}
        links = [{"rel": "self", "href": f"{server.url}/api"}, {"rel": "root", "href": f"{server.url}/api"}, search]
        core = "https://api.stacspec.org/v1.0.0/"
        if request.path == "/api":
            conforms = [core + "core", core + "item-search"]
            return web.json_response(
                {
                    "type": "Catalog",
                    "stac_version": "1.1.0",
                    "id": "api",
                    "description": "x",
                    "links": links,
                    "conformsTo": conforms,
                }
            )
        if request.path == "/search":
            asked.append(dict(request.query))
            items = [json.loads(path.read_text()) for path in sorted(catalog.glob("naip/*/*.json"))]
            page = items[:2] if "page" not in request.query else items[2:]
            for item in page:
                item["assets"]["image"]["href"] = f"{server.url}/data/{item['id']}.tif"
                item["links"] = []
            more = [{"rel": "next", "href": f"{server.url}/search?page=2", "method": "GET"}] if len(page) == 2 else []
            return web.json_response({"type": "FeatureCollection", "features": page, "links": more})
        return None

    server.special = api
    pixels, _, _ = acquire(
        f"{server.url}/api", site, tmp_path, collections=["naip"], dates=["2012-01-01", "2021-01-01"]
    )
    assert asked[0]["collections"] == "naip"
    assert len(asked) == 2
    difference = np.abs(pixels.astype(int) - expected(catalog / "data/20200831.tif", tmp_path))
    assert np.percentile(difference, 99) <= 2


def test_ground_without_items_is_no_data(site: Site, tmp_path: Path, catalog: Path) -> None:
    edge = Site("001", "3", shapely.affinity.translate(site.footprint, 0.03, 0), 5.0, "")
    _, mask, _ = acquire(str(catalog / "catalog.json"), edge, tmp_path)
    assert mask is not None
    assert 0.05 < (mask == 0).mean() < 0.95


def test_what_is_wrong_is_named(server: FileServer, site: Site, tmp_path: Path, catalog: Path) -> None:
    with pytest.raises(PermanentError, match="no collection sentinel"):
        acquire(str(catalog / "catalog.json"), site, tmp_path, collections=["sentinel"])
    with pytest.raises(PermanentError, match=r"cannot be read as STAC|does not exist"):
        acquire(f"{server.url}/nothing.json", site, tmp_path)
    server.special = lambda request: web.Response(status=404) if request.path.endswith(".tif") else None
    with pytest.raises(PermanentError, match="item 2020"):
        acquire(f"{server.url}/catalog.json", site, tmp_path)
    server.special = lambda request: web.Response(status=503)
    with pytest.raises(TransientError, match="status 503"):
        acquire(f"{server.url}/catalog.json", site, tmp_path)
