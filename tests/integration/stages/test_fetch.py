"""Fetching against a real server on loopback that throttles, fails and lies."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from pipeline.errors import PermanentError, TransientError
from pipeline.files import digest_bytes
from stages.fetch.answers import TileCheck
from stages.fetch.client import Client, Politeness, Request, get_all

pytestmark = pytest.mark.integration


def jpeg(seed: int, size: int = 256) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size // 8, size // 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((size, size)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def blank_png(size: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (size, size)).save(buffer, "PNG")
    return buffer.getvalue()


PLACEHOLDER = jpeg(999)
BOMB, LARGE = blank_png(13_500), blank_png(3_000)


class TileServer:
    """Serves jpeg(n) under /tiles/<n>, after what `fault` has to say about the k-th request for it."""

    def __init__(self) -> None:
        self.fault: Callable[[web.Request, int, int], object] | None = None
        self.times: list[float] = []
        self.asked: dict[int, int] = defaultdict(int)
        self.under_way = self.most_under_way = 0
        self.delay = 0.0
        self.agents: set[str] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_get("/tiles/{n}", self._tile)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    async def _tile(self, request: web.Request) -> web.StreamResponse:
        n = int(request.match_info["n"])
        self.times.append(time.time())
        self.agents.add(request.headers["User-Agent"])
        self.asked[n] += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.delay)
            if self.fault is not None:
                answer = self.fault(request, n, self.asked[n])
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer is not None:
                    assert isinstance(answer, web.StreamResponse)
                    return answer
            return web.Response(body=jpeg(n), content_type="image/jpeg")
        finally:
            self.under_way -= 1

    def url(self, n: int) -> str:
        return f"http://127.0.0.1:{self.port}/tiles/{n}?key=SECRET"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def most_in_window(self, seconds: float) -> int:
        times = np.sort(self.times)
        return int(max(np.searchsorted(times, times + seconds) - np.arange(len(times))))


@pytest.fixture
def server() -> Iterator[TileServer]:
    server = TileServer()
    yield server
    server.stop()


CHECK = TileCheck(256, frozenset({digest_bytes(PLACEHOLDER)}))
QUICK = Politeness(
    requests_per_second=None, concurrent=4, timeout_s=0.5, wait_s=0.02, attempts=8, contact="a@b.example"
)


def requests(server: TileServer, count: int) -> list[Request[np.ndarray]]:
    return [Request(server.url(n), f"tile {n}", CHECK.decode, is_absence=CHECK.is_placeholder) for n in range(count)]


def fetch(folder: Path, server: TileServer, count: int, politeness: Politeness = QUICK) -> list[np.ndarray | None]:
    async def run() -> list[np.ndarray | None]:
        async with Client(folder, politeness) as client:
            return await get_all(client, requests(server, count), 8)

    return asyncio.run(run())


def assert_all_right(answers: list[np.ndarray | None]) -> None:
    for n, answer in enumerate(answers):
        assert answer is not None, n
        expected = np.asarray(Image.open(io.BytesIO(jpeg(n))))
        assert np.abs(answer[..., :3].astype(int) - expected).max() <= 3
        assert (answer[..., 3] == 255).all()


async def stall(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(5)
    return web.Response(body=b"late")


async def trickle(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000", "Content-Type": "image/jpeg"})
    await response.prepare(request)
    for _ in range(100):
        await response.write(b"x")
        await asyncio.sleep(0.1)
    return response


async def cut_short(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000", "Content-Type": "image/jpeg"})
    await response.prepare(request)
    await response.write(jpeg(1)[:500])
    assert request.transport is not None
    request.transport.abort()
    return response


def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


FAULTS: dict[str, Callable[[web.Request], object]] = {
    "429": lambda request: web.Response(status=429),
    "429 with Retry-After": lambda request: web.Response(status=429, headers={"Retry-After": "0.2"}),
    "500": lambda request: web.Response(status=500),
    "503": lambda request: web.Response(status=503),
    "reset": reset,
    "stall": stall,
    "slow trickle": trickle,
    "cut short": cut_short,
    "half a picture": lambda request: web.Response(body=jpeg(1)[:700], content_type="image/jpeg"),
    "an HTML page": lambda request: web.Response(text="<html>busy</html>", content_type="text/html"),
    "a page called a picture": lambda request: web.Response(body=b"<html>busy</html>", content_type="image/jpeg"),
    "one pixel": lambda request: web.Response(body=jpeg(1, 8), content_type="image/jpeg"),
    "nothing": lambda request: web.Response(body=b"", content_type="image/jpeg"),
    "the placeholder": lambda request: web.Response(body=PLACEHOLDER, content_type="image/jpeg"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_on_a_third_of_the_requests_changes_nothing(server: TileServer, tmp_path: Path, name: str) -> None:
    server.fault = lambda request, n, k: FAULTS[name](request) if n % 3 == 0 and k == 1 else None
    assert_all_right(fetch(tmp_path, server, 9))
    assert all(count == (2 if n % 3 == 0 else 1) for n, count in server.asked.items())


def test_a_missing_tile_is_a_fact_and_asked_for_once(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, n, k: web.Response(status=404) if n == 1 else None
    answers = fetch(tmp_path, server, 3)
    assert [answer is None for answer in answers] == [False, True, False]
    assert server.asked[1] == 1


def test_a_placeholder_that_stays_is_no_data(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, n, k: web.Response(body=PLACEHOLDER) if n == 1 else None
    assert fetch(tmp_path, server, 2)[1] is None
    assert server.asked[1] == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_final_and_tells_no_secret(server: TileServer, tmp_path: Path, status: int) -> None:
    server.fault = lambda request, n, k: web.Response(status=status)
    with pytest.raises(PermanentError) as caught:
        fetch(tmp_path, server, 1)
    error = caught.value
    assert str(status) in str(error)
    assert "tile 0" in str(error)
    assert "SECRET" not in repr(error)
    assert server.asked[0] == 1


def test_a_host_that_stays_down_ends_as_transient_without_a_storm(
    server: TileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault = lambda request, n, k: web.Response(status=503)
    started = time.time()
    with pytest.raises(TransientError, match="status 503") as caught:
        fetch(tmp_path, server, 4, QUICK.model_copy(update={"attempts": 3}))
    assert "SECRET" not in repr(caught.value) + caplog.text
    # After five failures in a row the gate closes for a second, then two: few requests come through.
    assert len(server.times) <= 5 + 4 * (1 + time.time() - started)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: web.Response(status=302, headers={"Location": "http://other.example/x"}), "redirect"),
        (lambda: web.Response(status=302, headers={"Location": "file:///etc/passwd"}), "file"),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/x"}), "port"),
        (lambda: web.Response(headers={"Content-Disposition": 'attachment; filename="../../x"'}), "path"),
        (lambda: web.Response(body=b"x" * 100, headers={"Content-Encoding": "gzip"}), "gzip"),
        (lambda: web.Response(body=b"x" * (9 << 20)), "body of"),
        (lambda: web.Response(body=BOMB), "bomb"),
        (lambda: web.Response(body=LARGE), "3000 x 3000"),
    ],
)
def test_hostile_answers_are_refused_at_once(
    server: TileServer, tmp_path: Path, answer: Callable[[], web.Response], words: str
) -> None:
    server.fault = lambda request, n, k: answer()
    with pytest.raises(PermanentError) as caught:
        fetch(tmp_path, server, 1)
    assert words in str(caught.value)
    assert server.asked[0] == 1


def test_a_body_without_end_is_cut_off(server: TileServer, tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):  # 10 GB if it were read
            await response.write(b"\0" * (1 << 20))
        return response

    server.fault = lambda request, n, k: endless(request)
    with pytest.raises(PermanentError, match="more than"):
        fetch(tmp_path, server, 1)


def test_a_redirect_within_the_host_is_followed(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, n, k: web.Response(status=302, headers={"Location": "/tiles/7"}) if n == 0 else None
    answers = fetch(tmp_path, server, 1)
    assert answers[0] is not None
    assert server.asked[7] == 1


def test_the_contact_is_named(server: TileServer, tmp_path: Path) -> None:
    fetch(tmp_path, server, 1)
    assert server.agents == {"mapdata/0.1 (a@b.example)"}


WORKER = """
import asyncio, sys
from pathlib import Path
from stages.fetch.answers import TileCheck
from stages.fetch.client import Client, Politeness, Request, get_all

async def main(folder, *urls):
    check = TileCheck(256).decode
    polite = Politeness(requests_per_second=40.0, concurrent=3, wait_s=0.02)
    async with Client(Path(folder), polite) as client:
        await get_all(client, [Request(url, "tile", check) for url in urls], 8)

asyncio.run(main(*sys.argv[1:]))
"""


def test_two_processes_and_a_kill_keep_to_one_limit(server: TileServer, tmp_path: Path) -> None:
    server.delay = 0.02
    halves = [[server.url(n) for n in range(k, 60, 2)] for k in range(2)]

    def start(half: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), *half])

    first, second = start(halves[0]), start(halves[1])
    deadline = time.monotonic() + 60
    while len(server.times) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.wait(20)
    again = start(halves[0])
    assert [process.wait(60) for process in (second, again)] == [0, 0]
    assert set(server.asked) == set(range(60))
    # Requests start 25 ms apart; what arrives within a second may be a few more by chance of scheduling.
    assert server.most_in_window(1.0) <= 43
    # A killed client's connection may still be open at the server when its place is taken again.
    assert server.most_under_way <= 4
