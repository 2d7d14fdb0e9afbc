"""A catalog of a stranger, served on loopback: what it may refer to, how much it may take, and what broken items do."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from aiohttp import web
from file_server import FileServer
from pydantic import ValidationError
from rasterio.transform import from_origin
from shapely import box

from pipeline.errors import PermanentError
from stages.acquire import stac_catalog
from stages.acquire.source import Site
from stages.acquire.stac import StacSource
from stages.fetch.reach import Reach
from stages.fetch.responses import UnsafeResponse
from stages.rasters import open_raster, write_raster

pytestmark = pytest.mark.integration

LON, LAT = 10.0, 47.0
SITE = Site("001", "1", box(LON - 0.0003, LAT - 0.0003, LON + 0.0003, LAT + 0.0003), 0.5, "")
QUICK = {"requests_per_second": None, "timeout_s": 3.0, "wait_s": 0.02, "attempts": 2}
SECRET = 177
"""Grey of the pixels that must not be published."""


def write_grey(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = from_origin(LON - 0.001, LAT + 0.001, 1e-5, 1e-5)
    with rasterio.open(
        path, "w", driver="GTiff", width=200, height=200, count=3, dtype="uint8", crs="EPSG:4326", transform=transform
    ) as dataset:
        dataset.write(np.full((3, 200, 200), value, np.uint8))
    return path


def item(name: str, href: object, **properties: object) -> dict[str, object]:
    ring = [[LON - 1, LAT - 1], [LON + 1, LAT - 1], [LON + 1, LAT + 1], [LON - 1, LAT + 1], [LON - 1, LAT - 1]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [LON - 1, LAT - 1, LON + 1, LAT + 1],
        "properties": {"datetime": "2024-05-01T00:00:00Z"} | properties,
        "links": [],
        "assets": {"image": {"href": href}},
    }


def write_catalog(folder: Path, *items: object) -> Path:
    links = [{"rel": "item", "href": f"./{number}.json"} for number in range(len(items))]
    for number, each in enumerate(items):
        (folder / f"{number}.json").write_text(each if isinstance(each, str) else json.dumps(each))
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "d", "links": links}
    (folder / "catalog.json").write_text(json.dumps(catalog))
    return folder / "catalog.json"


def acquire(address: object, workspace: Path, **changes: object) -> tuple[float | None, str]:
    """Return the mean grey of what was acquired, None where nothing was, and its date."""
    fields = {"kind": "stac", "catalog": str(address), "rate_limits": QUICK, "source": "s", "licence": "l"}
    source = StacSource.model_validate(fields | {"attribution": "a"} | changes)
    with source.open(SITE, workspace) as strips:
        write_raster(workspace / "a.tif", strips.grid, strips.pixels, {})
        tag = strips.tags["DATE"]
    with open_raster(workspace / "a.tif") as raster:
        pixels, mask = raster.read(0, 0, raster.grid.width, raster.grid.height)
    return (float(pixels[mask].mean()) if mask.any() else None), tag


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    with FileServer(folder) as server:
        yield server


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return write_grey(tmp_path / "private" / "secret.tif", SECRET)


def test_a_catalog_reads_its_own_host(server: FileServer, tmp_path: Path) -> None:
    write_grey(server.folder / "a.tif", 90)
    write_catalog(server.folder, item("a", "a.tif"))
    assert acquire(f"{server.url}/catalog.json", tmp_path) == (90.0, "2024-05-01")


@pytest.mark.parametrize(
    "href", ["file://{path}", "{path}", "/vsisubfile/0_100000,{path}", "vrt://{path}", "GTIFF_DIR:1:{path}", "//{path}"]
)
def test_a_remote_catalog_reads_nothing_of_this_machine(
    server: FileServer, secret: Path, tmp_path: Path, href: str
) -> None:
    write_catalog(server.folder, item("a", href.format(path=secret)))
    with pytest.raises(PermanentError, match="item a"):
        acquire(f"{server.url}/catalog.json", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '<VRTDataset rasterXSize="200" rasterYSize="200"><SRS>EPSG:4326</SRS><GeoTransform>9.999, 1e-5, 0, 47.001, 0, '
        '-1e-5</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="0">'
        "{path}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>",
        '<GDAL_WMS><Service name="TMS"><ServerUrl>file://{path}</ServerUrl></Service></GDAL_WMS>',
    ],
    ids=["VRT", "WMS"],
)
def test_a_file_of_another_driver_named_tif_is_not_opened(
    server: FileServer, secret: Path, tmp_path: Path, text: str
) -> None:
    (server.folder / "a.tif").write_text(text.format(path=secret))
    write_catalog(server.folder, item("a", "a.tif"))
    with pytest.raises(PermanentError, match="neither a GeoTIFF nor"):
        acquire(f"{server.url}/catalog.json", tmp_path)
    local = write_catalog(server.folder, item("a", str(server.folder / "a.tif")))
    with pytest.raises(PermanentError, match="neither a GeoTIFF nor"):
        acquire(local, tmp_path)


@pytest.mark.parametrize("place", ["asset", "redirect of the asset", "item", "redirect of the catalog", "search"])
def test_another_private_host_is_not_reached(server: FileServer, tmp_path: Path, place: str) -> None:
    other_folder = tmp_path / "other"
    write_grey(other_folder / "a.tif", SECRET)
    with FileServer(other_folder) as other:
        private = f"{other.url}/a.tif"
        asset = {"asset": private, "redirect of the asset": "redirected.tif"}.get(place, "a.tif")
        write_grey(server.folder / "a.tif", 90)
        catalog = write_catalog(server.folder, item("a", asset))
        if place == "item":
            document = json.loads(catalog.read_text())
            document["links"][0]["href"] = f"{other.url}/0.json"
            catalog.write_text(json.dumps(document))
        if place == "search":
            document = json.loads(catalog.read_text())
            document["links"] = [{"rel": "search", "href": f"{other.url}/search"}]
            catalog.write_text(json.dumps(document))
        redirected = {"redirect of the asset": "/redirected.tif", "redirect of the catalog": "/catalog.json"}.get(place)
        server.special = lambda request: (
            web.Response(status=302, headers={"Location": private}) if request.path == redirected else None
        )
        with pytest.raises(PermanentError):
            acquire(f"{server.url}/catalog.json", tmp_path)
        assert other.log == []


def test_a_host_that_the_configuration_names_is_reached(server: FileServer, tmp_path: Path) -> None:
    other_folder = tmp_path / "other"
    write_grey(other_folder / "a.tif", 120)
    with FileServer(other_folder) as other:
        write_catalog(server.folder, item("a", f"{other.url}/a.tif"))
        value, _ = acquire(f"{server.url}/catalog.json", tmp_path, allowed_hosts=[other.url.removeprefix("http://")])
    assert value == 120.0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a", "http://10.1.2.3/a", "http://192.168.0.1/a", "http://169.254.169.254/latest/meta-data",
        "http://[::1]/a", "http://[::ffff:127.0.0.1]/a", "http://[fe80::1]/a", "http://0.0.0.0/a",
        "http://100.64.0.1/a", "http://[2002:7f00:1::]/a", "file:///etc/passwd", "ftp://example.org/a", "http:///a",
        "http://[half", "http://host:port/a", "http://①②⑦.⓪.⓪.①/a", "http://127。0。0。1/a", "http://１０.1.2.3/a",
        "http://127.0.0.1./a", "http://[::127.0.0.1]/a", "http://[64:ff9b::10.1.2.3]/a", "http://[64:ff9b:1::10.1.2.3]/a",
        "http://[::ffff:0:127.0.0.1]/a", "http://[fec0::1]/a", "http://8.8.8.8\\@127.0.0.1/a", "http://127.0.0.1\\@8.8.8.8/a",
    ],
)  # fmt: skip
def test_addresses_out_of_reach_are_refused(url: str) -> None:
    with pytest.raises(UnsafeResponse):
        Reach().check_url(url)


@pytest.mark.parametrize("host", ["①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1", "127.0.0.1."])
def test_a_private_address_in_disguise_is_not_connected_to(server: FileServer, tmp_path: Path, host: str) -> None:
    """What is no address to one parser of URLs is one to the client, which then asks no resolver."""
    other_folder = tmp_path / "other"
    write_grey(other_folder / "a.tif", SECRET)
    with FileServer(other_folder) as other:
        write_catalog(server.folder, item("a", f"http://{host}:{other.url.rpartition(':')[2]}/a.tif"))
        with pytest.raises(PermanentError, match="refused a reference to 127"):
            acquire(f"{server.url}/catalog.json", tmp_path)
        assert other.log == []


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1"])
def test_names_that_stand_for_private_addresses_are_refused(server: FileServer, tmp_path: Path, host: str) -> None:
    try:
        socket.getaddrinfo(host, 80)
    except OSError:
        pytest.skip(f"this system does not resolve {host}")
    port = server.url.rpartition(":")[2]
    write_grey(server.folder / "a.tif", SECRET)
    write_catalog(server.folder, item("a", f"http://{host}:{port}/a.tif"))
    with pytest.raises(PermanentError, match="refused"):
        acquire(f"{server.url}/catalog.json", tmp_path)


def test_a_catalog_without_end_ends(server: FileServer, tmp_path: Path) -> None:
    links = [{"rel": "child", "href": "/catalog.json"}, {"rel": "child", "href": "/deeper/1"}]
    document = {"type": "Catalog", "id": "c", "links": links}

    def deeper(request: web.Request) -> web.StreamResponse | None:
        if not request.path.startswith("/deeper/"):
            return web.json_response(document) if request.path == "/catalog.json" else None
        number = int(request.path.rpartition("/")[2])
        return web.json_response(document | {"links": [{"rel": "child", "href": f"/deeper/{number + 1}"}]})

    server.special = deeper
    with pytest.raises(PermanentError, match="nested"):
        acquire(f"{server.url}/catalog.json", tmp_path)


def test_a_search_that_pages_in_a_circle_ends(server: FileServer, tmp_path: Path) -> None:
    def api(request: web.Request) -> web.StreamResponse:
        if request.path == "/search":
            return web.json_response({"features": [], "links": [{"rel": "next", "href": str(request.url)}]})
        return web.json_response({"id": "api", "links": [{"rel": "search", "href": "/search"}]})

    server.special = api
    with pytest.raises(PermanentError, match="circle"):
        acquire(f"{server.url}/api", tmp_path)


def test_a_search_of_endless_items_ends(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac_catalog, "_MAX_ITEMS", 500)

    def api(request: web.Request) -> web.StreamResponse:
        if request.path == "/search":
            page = int(request.query.get("page", 0))
            link = {"rel": "next", "href": f"/search?page={page + 1}"}
            return web.json_response({"features": [item(str(page), "a.tif")] * 300, "links": [link]})
        return web.json_response({"id": "api", "links": [{"rel": "search", "href": "/search"}]})

    server.special = api
    with pytest.raises(PermanentError, match="more than 500 items"):
        acquire(f"{server.url}/api", tmp_path)
    assert len(server.log) == 3


def test_deep_documents_and_pages_of_text_are_refused(server: FileServer, tmp_path: Path) -> None:
    for text in ("[" * 100_000, "<html>", "[1]", '"x"'):
        (server.folder / "catalog.json").write_text(text)
        with pytest.raises(PermanentError, match="cannot be read as STAC"):
            acquire(f"{server.url}/catalog.json", tmp_path)


def crossing(count: int) -> dict[str, object]:
    """Return an outline that crosses itself some count * count / 6 times."""
    ring = (np.random.default_rng(1).random((count, 2)) * 2 + [LON - 1, LAT - 1]).tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def lying_on_each_other(count: int) -> dict[str, object]:
    parts = [[[[9, 46], [11, 46], [11, 48 + number / 1e6], [9, 48], [9, 46]]] for number in range(count)]
    return {"type": "MultiPolygon", "coordinates": parts}


NESTED = (
    '{"type": "GeometryCollection", "geometries": [' * 400 + '{"type": "Point", "coordinates": [10, 47]}' + "]}" * 400
)

BROKEN = [
    item("b", "b.tif") | {"geometry": crossing(2_000)},
    item("b", "b.tif") | {"geometry": {"type": "LineString", "coordinates": crossing(9_000)["coordinates"][0]}},  # type: ignore[index]
    item("b", "b.tif") | {"geometry": lying_on_each_other(3_000)},
    json.dumps(item("b", "b.tif") | {"geometry": 0}).replace('"geometry": 0', f'"geometry": {NESTED}'),
    item("b", "b.tif") | {"assets": [{"href": "b.tif"}]},
    item("b", "b.tif") | {"geometry": {"type": "Polygon", "coordinates": []}},
    item("b", "b.tif") | {"geometry": {"type": "Polygon", "coordinates": [[[10], [11], [12], [10]]]}},
    item("b", "b.tif") | {"geometry": "POINT (10 47)"},
    item("b", "http://[half/b.tif"),
    "no JSON at all",
    "[]",
    "{}",
    item("b", "b.tif") | {"geometry": {"type": "Polygon", "coordinates": "text"}},
    item("b", "b.tif") | {"geometry": {"type": "Polygon", "coordinates": [[[1e999, 2], [3, 4], [5, 6], [1e999, 2]]]}},
    item("b", "b.tif") | {"assets": "text"},
    item("b", "b.tif") | {"assets": None},
    item("b", "b.tif") | {"properties": "text"},
    item("b", 7),
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_item_is_left_out_with_a_warning(
    tmp_path: Path, broken: object, caplog: pytest.LogCaptureFixture
) -> None:
    write_grey(tmp_path / "a.tif", 90)
    with caplog.at_level(logging.WARNING):
        value, _ = acquire(write_catalog(tmp_path, broken, item("a", "a.tif")), tmp_path)
    assert value == 90.0


def span(first: str, last: str) -> dict[str, object]:
    """Return the properties of an item of a range of days."""
    return {"datetime": None, "start_datetime": f"{first}T00:00:00Z", "end_datetime": f"{last}T00:00:00Z"}


@pytest.mark.parametrize(
    ("properties", "changes", "fits"),
    [
        (span("2010-01-01", "2010-12-31"), {}, False),
        (span("2023-06-01", "2024-02-01"), {}, True),
        ({"datetime": None}, {}, False),
        ({"datetime": "yesterday"}, {}, False),
        ({}, {"max_cloud_cover": 20}, False),
        ({"eo:cloud_cover": "many"}, {"max_cloud_cover": 20}, False),
        ({"eo:cloud_cover": None}, {"max_cloud_cover": 20}, False),
        ({"eo:cloud_cover": 12}, {"max_cloud_cover": 20}, True),
        ({"eo:cloud_cover": 50}, {"max_cloud_cover": 20}, False),
    ],
)  # fmt: skip
def test_items_fit_by_what_they_say(
    tmp_path: Path, properties: dict[str, object], changes: dict[str, object], fits: bool
) -> None:
    write_grey(tmp_path / "a.tif", 90)
    catalog = write_catalog(tmp_path, item("a", "a.tif", **properties))
    value, _ = acquire(catalog, tmp_path, dates=["2024-01-01", "2024-12-31"], **changes)
    assert (value == 90.0) is fits


def test_the_date_of_a_range_is_its_range(tmp_path: Path) -> None:
    write_grey(tmp_path / "a.tif", 90)
    ranged = item("a", "a.tif", **span("2023-06-01", "2024-02-01"))
    assert acquire(write_catalog(tmp_path, ranged), tmp_path)[1] == "2023-06-01/2024-02-01"


def test_unknown_cloud_cover_does_not_count_as_clear(tmp_path: Path) -> None:
    for name, grey in (("unknown", 30), ("half", 60)):
        write_grey(tmp_path / f"{name}.tif", grey)
    items = item("u", "unknown.tif"), item("h", "half.tif", **{"eo:cloud_cover": 50})
    assert acquire(write_catalog(tmp_path, *items), tmp_path, prefer="clearest")[0] == 60.0


def test_a_wrong_asset_key_lists_the_keys(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="'visual'; their assets are: image"):
        acquire(write_catalog(tmp_path, item("a", "a.tif")), tmp_path, asset="visual")


KEY = "k3y-0f-mine-4711"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?api_key={key}", {}),
        ("", {"Authorization": "Bearer {key}"}),
        ("?f=json&api_key={key}", {"X-API-Key": "{key}"}),
    ],
)
def test_a_key_goes_to_the_catalogs_host_only(
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    query: str,
    headers: dict[str, str],
) -> None:
    """An API and its files want the key; a host that an item refers to is not told it; nothing that is kept has it."""
    other_folder, seen = tmp_path / "other", []
    write_grey(other_folder / "b.tif", 30)
    write_grey(server.folder / "a.tif", 90)

    def wanted(request: web.Request) -> bool:
        by_query = request.query.getall("api_key", []) == ([KEY] if query else [])
        return by_query and all(request.headers.get(name) == text.format(key=KEY) for name, text in headers.items())

    with FileServer(other_folder) as other:
        items = [
            item("a", "/a.tif"),
            item("broken", 7),
            item("b", f"{other.url}/b.tif", datetime="2020-05-01T00:00:00Z"),
        ]

        def api(request: web.Request) -> web.StreamResponse | None:
            if not wanted(request):
                return web.Response(status=401)
            if request.path == "/search":
                more = [{"rel": "next", "href": "/page2" + query.format(key=KEY)}]  # repeats what it was sent
                return web.json_response({"features": items[:1], "links": more})
            if request.path == "/page2":
                return web.json_response({"features": items[1:], "links": []})
            if request.path == "/api":
                return web.json_response({"id": "api", "links": [{"rel": "search", "href": "/search"}]})
            return None

        def stranger(request: web.Request) -> None:
            seen.append(str(request.url) + str(dict(request.headers)))

        server.special, other.special = api, stranger
        monkeypatch.setenv("MY_STAC_KEY", KEY)
        named = {
            "key_variable": "MY_STAC_KEY",
            "headers": headers,
            "allowed_hosts": [other.url.removeprefix("http://")],
        }
        with caplog.at_level(logging.DEBUG):
            value, _ = acquire(f"{server.url}/api{query}", tmp_path / "w", **named)
            assert value == 90.0
            bounds = {"dates": ["2020-01-01", "2020-12-31"]}
            assert acquire(f"{server.url}/api{query}", tmp_path / "w", **named, **bounds)[0] == 30.0
        monkeypatch.setenv("MY_STAC_KEY", "wrong")
        with pytest.raises(PermanentError, match="401") as refused:
            acquire(f"{server.url}/api{query}", tmp_path / "w", **named)
    assert seen
    kept = [path.read_bytes() for path in (tmp_path / "w").rglob("*") if path.is_file()]
    said = "\n".join(each.getMessage() for each in caplog.records if each.name != "aiohttp.access")  # the server's own
    told = [said.encode(), str(refused.value).encode(), *kept, *(text.encode() for text in seen)]
    assert not any(KEY.encode() in text for text in told)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"catalog": "https://h.example/stac?api_key={key}"}, "key_variable does not name"),
        ({"catalog": "https://h.example/stac", "key_variable": "K"}, "neither the catalog's query nor the headers"),
        ({"catalog": "https://h.example/{key}/stac", "key_variable": "K"}, "may only be the value of a parameter"),
        ({"catalog": "catalog.json", "key_variable": "K", "headers": {"A": "{key}"}}, "on the web only"),
        ({"catalog": "https://h.example/", "key_variable": "K", "headers": {"A": "Bearer abc"}}, "holds no {key}"),
    ],
)
def test_a_key_without_a_place_is_refused_with_the_configuration(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(problem)):
        StacSource.model_validate({"kind": "stac", "source": "s", "licence": "l", "attribution": "a"} | changes)


def test_a_key_that_is_not_set_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_STAC_KEY", raising=False)
    fields = {"kind": "stac", "source": "s", "licence": "l", "attribution": "a", "key_variable": "MY_STAC_KEY"}
    source = StacSource.model_validate(fields | {"catalog": "https://h.example/stac?api_key={key}"})
    with pytest.raises(PermanentError, match="environment variable MY_STAC_KEY, which is not set"):
        source.check()
