"""What services ask of a client beyond status and rate: pauses in a good answer, bytes a second, tokens, redirects."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from file_server import FileServer

from pipeline.errors import PermanentError
from stages.fetch.client import Client, RateLimits, Request, Response, UnsafeError
from stages.fetch.credentials import bearer_token
from stages.fetch.store import Store, get_stored

pytestmark = pytest.mark.integration

QUICK = RateLimits(requests_per_second=None, concurrent=3, timeout_s=5, attempts=4, wait_s=0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with FileServer(tmp_path / "served") as running:
        yield running


def body_of(response: Response) -> bytes:
    return response.body


def get(folder: Path, *requests: Request[bytes], limits: RateLimits = QUICK, share: str = "") -> list[bytes | None]:
    async def run() -> list[bytes | None]:
        async with Client(folder / "limiters", limits, share=share) as client:
            return list(await asyncio.gather(*(client.get(request) for request in requests)))

    return asyncio.run(run())


def wanting_to_be_left_alone(response: Response) -> float | None:
    return float(response.headers["Retry-After"]) if b"lag" in response.body else None


def test_an_answer_with_status_200_may_ask_to_wait(server: FileServer, tmp_path: Path) -> None:
    times: list[float] = []

    def answer(request: web.Request) -> web.StreamResponse:
        times.append(time.monotonic())
        if len(times) == 1:
            return web.json_response({"error": "lag"}, headers={"Retry-After": "0.5"})
        return web.json_response({"fine": True})

    server.special = answer
    request = Request(f"{server.url}/x", "x", body_of, asks_to_wait=wanting_to_be_left_alone)
    (body,) = get(tmp_path, request)
    assert json.loads(body or b"") == {"fine": True}
    assert times[1] - times[0] >= 0.5


def test_bytes_a_second_hold_over_requests_and_clients(server: FileServer, tmp_path: Path) -> None:
    size, rate = 150_000, 600_000
    server.special = lambda request: web.Response(body=b"x" * size)
    limits = QUICK.model_copy(update={"bytes_per_second": float(rate)})
    started = time.monotonic()
    for number in range(2):  # clients of different processes share the state in the same way: by its file
        requests = [Request(f"{server.url}/{number}/{each}", "x", body_of) for each in range(3)]
        assert [len(body or b"") for body in get(tmp_path, *requests, limits=limits)] == [size] * 3
    assert time.monotonic() - started >= 6 * size / rate * 0.98


def test_one_limiter_may_serve_several_hosts(server: FileServer, tmp_path: Path) -> None:
    with FileServer(tmp_path / "other") as other:
        times: list[float] = []

        def answer(request: web.Request) -> web.StreamResponse:
            times.append(time.monotonic())
            return web.Response(body=b"x")

        server.special = other.special = answer
        limits = QUICK.model_copy(update={"requests_per_second": 10.0})
        requests = [Request(f"{each.url}/{n}", "x", body_of) for n in range(2) for each in (server, other)]
        get(tmp_path, *requests, limits=limits, share="both")
        assert max(times) - min(times) >= 3 * 0.1 * 0.9  # four requests at ten a second, whichever the host


def test_a_token_goes_to_its_host_and_not_along_a_redirect(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "abc-123")
    seen: list[tuple[str, str]] = []
    with FileServer(tmp_path / "other") as other:
        elsewhere = other.url.removeprefix("http://")

        def here(request: web.Request) -> web.StreamResponse:
            seen.append(("here", request.headers.get("Authorization", "")))
            return web.Response(status=302, headers={"Location": f"{other.url}/y"})

        def there(request: web.Request) -> web.StreamResponse:
            seen.append(("there", request.headers.get("Authorization", "")))
            return web.Response(body=b"fine")

        server.special, other.special = here, there
        url = f"{server.url}/x"
        allowed = Request(
            url, "x", body_of, credentials=bearer_token(url, "SERVICE_TOKEN"), redirect_hosts=frozenset({elsewhere})
        )
        assert get(tmp_path, allowed) == [b"fine"]
        assert seen == [("here", "Bearer abc-123"), ("there", "")]
        seen.clear()
        with pytest.raises(UnsafeError, match="a redirect"):
            get(tmp_path, Request(url, "x", body_of, credentials=bearer_token(url, "SERVICE_TOKEN")))
        assert [place for place, _ in seen] == ["here"]


@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "Ümlaut"])
def test_a_token_that_is_none_is_named_and_not_shown(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", value)
    with pytest.raises(PermanentError, match="SERVICE_TOKEN holds no token") as caught:
        bearer_token(server.url, "SERVICE_TOKEN")
    assert not value.strip() or value.strip() not in str(caught.value)
    assert server.log == []


def test_a_packed_answer_is_unpacked_within_its_bound(server: FileServer, tmp_path: Path) -> None:
    server.special = lambda request: web.Response(
        body=gzip.compress(b"\0" * 50_000_000), headers={"Content-Encoding": "gzip"}
    )
    with pytest.raises(UnsafeError, match="unpacks to more than"):
        get(tmp_path, Request(f"{server.url}/x", "x", body_of, max_bytes=1 << 20, headers={"Accept-Encoding": "gzip"}))


def stored(folder: Path, asked: Callable[[], Request[bytes]], times: int) -> list[bytes | None]:
    async def run() -> list[bytes | None]:
        store = Store(folder / "store")
        async with Client(folder / "limiters", QUICK) as client:
            return list(await asyncio.gather(*(get_stored(store, client, "key", asked()) for _ in range(times))))

    return asyncio.run(run())


def test_a_store_asks_once_for_what_many_want(server: FileServer, tmp_path: Path) -> None:
    server.special = lambda request: web.Response(body=b"answer")
    request = Request(f"{server.url}/x", "x", body_of)
    assert stored(tmp_path, lambda: request, 8) == [b"answer"] * 8
    assert stored(tmp_path, lambda: request, 2) == [b"answer"] * 2  # as after a restart
    assert len(server.log) == 1


def test_a_store_keeps_that_there_is_nothing(server: FileServer, tmp_path: Path) -> None:
    request: Request[Any] = Request(f"{server.url}/none", "x", body_of, confirmations=1)
    assert stored(tmp_path, lambda: request, 3) == [None] * 3
    assert len(server.log) == 1
    assert Store(tmp_path / "store").get("key") == (True, None)
    assert Store(tmp_path / "store").get("another") == (False, None)


def test_a_failed_answer_is_not_kept(server: FileServer, tmp_path: Path) -> None:
    server.special = lambda request: web.Response(status=403)
    with pytest.raises(PermanentError, match="refuses"):
        stored(tmp_path, lambda: Request(f"{server.url}/x", "x", body_of), 1)
    assert Store(tmp_path / "store").get("key") == (False, None)
