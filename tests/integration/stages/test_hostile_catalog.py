"""A catalog of a stranger, served on loopback: what it may refer to, and how much it may take."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from aiohttp import web
from file_server import FileServer
from stranger_catalog import SECRET, acquire, item, write_catalog, write_grey

from pipeline.errors import PermanentError
from stages.acquire import stac_catalog
from stages.fetch.reach import Reach
from stages.fetch.responses import UnsafeResponse

pytestmark = pytest.mark.integration


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
