"""The key that a catalog wants goes to its host, and is neither told nor kept."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web
from file_server import FileServer
from pydantic import ValidationError
from stranger_catalog import acquire, item, write_grey

from pipeline.errors import PermanentError
from stages.acquire.stac import StacSource

pytestmark = pytest.mark.integration


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


@pytest.mark.parametrize("absolute", [False, True])
def test_a_key_in_the_path_goes_to_the_catalogs_host_only(
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    absolute: bool,
) -> None:
    """Links of the service repeat the key that it was asked with, or not; nothing that is told or kept has it."""
    other_folder, seen = tmp_path / "other", []
    key = "k3y of mine/4711"
    write_grey(other_folder / "b.tif", 30)
    write_grey(server.folder / "a.tif", 90)
    start = f"/v1/{quote(key, safe='')}"
    with FileServer(other_folder) as other:
        link = f"{server.url}{start}" if absolute else "."
        documents = {
            f"{start}/catalog.json": {
                "id": "catalog",
                "links": [{"rel": "item", "href": f"{link}/{name}.json"} for name in ("a", "b", "broken", "gone")],
            },
            f"{start}/a.json": item("a", f"{link}/a.tif"),
            f"{start}/broken.json": item("broken", 7),
            f"{start}/b.json": item("b", f"{other.url}/{{key}}/b.tif", datetime="2020-05-01T00:00:00Z"),
        }

        def catalog(request: web.Request) -> web.StreamResponse:
            path = request.rel_url.raw_path
            if path == f"{start}/a.tif":
                return web.FileResponse(server.folder / "a.tif")
            return web.json_response(documents[path]) if path in documents else web.Response(status=404)

        def stranger(request: web.Request) -> web.StreamResponse:
            seen.append(request.rel_url.raw_path + str(dict(request.headers)))
            return web.FileResponse(other_folder / "b.tif")

        server.special, other.special = catalog, stranger
        monkeypatch.setenv("MY_STAC_KEY", key)
        named = {"key_variable": "MY_STAC_KEY", "allowed_hosts": [other.url.removeprefix("http://")]}
        address = f"{server.url}/v1/{{key}}/catalog.json"
        with caplog.at_level(logging.DEBUG):
            assert acquire(address, tmp_path / "w", **named)[0] == 90.0
            bounds = {"dates": ["2020-01-01", "2020-12-31"]}
            assert acquire(address, tmp_path / "w", **named, **bounds)[0] == 30.0
        monkeypatch.setenv("MY_STAC_KEY", "wrong")
        with pytest.raises(PermanentError, match="does not exist") as refused:
            acquire(address, tmp_path / "w", **named)
    assert seen
    assert "/v1/{key}/gone.json does not exist" in caplog.text
    kept = [path.read_bytes() for path in (tmp_path / "w").rglob("*") if path.is_file()]
    said = "\n".join(each.getMessage() for each in caplog.records if each.name != "aiohttp.access")  # the server's own
    told = [said.encode(), str(refused.value).encode(), *kept, *(text.encode() for text in seen)]
    assert not any(form.encode() in text for text in told for form in (key, quote(key, safe="")))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"catalog": "https://h.example/stac?api_key={key}"}, "key_variable does not name"),
        ({"catalog": "https://h.example/stac", "key_variable": "K"}, "neither the catalog's URL nor the headers"),
        ({"catalog": "https://h.example/v{key}/stac", "key_variable": "K"}, "may only be a whole part"),
        ({"catalog": "https://{key}.h.example/stac", "key_variable": "K"}, "may only be a whole part"),
        ({"catalog": "https://h.example/stac#{key}", "key_variable": "K"}, "may only be a whole part"),
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
