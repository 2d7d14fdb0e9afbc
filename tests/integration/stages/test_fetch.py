"""Fetching against a real server on loopback that throttles, fails and lies."""

from __future__ import annotations

import asyncio
import gzip
import io
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from aiohttp import web
from PIL import Image
from tile_server import FAULTS, PLACEHOLDER, TileServer, blank_png, endless, jpeg
from tls_server import self_signed_server

from pipeline.errors import PermanentError, TransientError
from pipeline.files import digest_bytes
from stages.fetch.client import Client, RateLimits, Request, Response
from stages.fetch.rate_limiter import RateLimiter
from stages.fetch.responses import TileDecoder

pytestmark = pytest.mark.integration


BOMB, LARGE = blank_png(13_500), blank_png(3_000)


@pytest.fixture
def server() -> Iterator[TileServer]:
    with TileServer(lambda path: jpeg(int(path))) as server:
        yield server


CHECK = TileDecoder(256, frozenset({digest_bytes(PLACEHOLDER)}))
QUICK = RateLimits(
    requests_per_second=None, concurrent=4, timeout_s=0.5, wait_s=0.02, attempts=8, contact="a@b.example"
)


def decode(response: Response) -> np.ndarray:
    return CHECK.decode(response.body)


def requests(server: TileServer, count: int) -> list[Request[np.ndarray]]:
    return [
        Request(f"{server.url}/{n}?key=SECRET", f"tile {n}", decode, is_absence=CHECK.is_placeholder)
        for n in range(count)
    ]


def fetch(folder: Path, server: TileServer, count: int, rate_limits: RateLimits = QUICK) -> list[np.ndarray | None]:
    async def run() -> list[np.ndarray | None]:
        async with Client(folder, rate_limits) as client:
            return list(await asyncio.gather(*map(client.get, requests(server, count))))

    return asyncio.run(run())


def assert_all_right(answers: list[np.ndarray | None]) -> None:
    for n, answer in enumerate(answers):
        assert answer is not None, n
        expected = np.asarray(Image.open(io.BytesIO(jpeg(n))))
        assert np.abs(answer[..., :3].astype(int) - expected).max() <= 3
        assert (answer[..., 3] == 255).all()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_on_a_third_of_the_requests_changes_nothing(server: TileServer, tmp_path: Path, name: str) -> None:
    server.fault = lambda request, path, k: FAULTS[name](request) if int(path) % 3 == 0 and k == 1 else None
    assert_all_right(fetch(tmp_path, server, 9))
    assert all(count == (2 if int(n) % 3 == 0 else 1) for n, count in server.asked.items())


def test_a_missing_tile_is_a_fact_once_the_service_says_so_twice(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, path, k: web.Response(status=404) if path == "1" else None
    answers = fetch(tmp_path, server, 3)
    assert [answer is None for answer in answers] == [False, True, False]
    assert server.asked["1"] == 2


def test_a_tile_missing_for_a_moment_is_fetched(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, path, k: web.Response(status=404) if path == "1" and k == 1 else None
    assert_all_right(fetch(tmp_path, server, 3))


@pytest.mark.parametrize(
    "encoding", ["gzip", "x-gzip", "deflate", "br", "zstd", "identity", "aws-chunked", "gzip, aws-chunked"]
)
def test_packed_bodies_are_unpacked(server: TileServer, tmp_path: Path, encoding: str) -> None:
    pack = {
        "gzip": gzip.compress,
        "x-gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": partial(pyarrow.compress, codec="brotli", asbytes=True),
        "zstd": partial(pyarrow.compress, codec="zstd", asbytes=True),
    }.get(encoding.split(",")[0], bytes)
    server.fault = lambda request, path, k: web.Response(
        body=pack(jpeg(int(path))), headers={"Content-Encoding": encoding}
    )
    assert_all_right(fetch(tmp_path, server, 2))


@pytest.mark.parametrize("codec", ["gzip", "brotli", "zstd"])
def test_a_packed_bomb_is_refused(server: TileServer, tmp_path: Path, codec: str) -> None:
    bomb = pyarrow.compress(bytes(64 << 20), codec=codec, asbytes=True)
    header = {"brotli": "br"}.get(codec, codec)
    server.fault = lambda request, path, k: web.Response(body=bomb, headers={"Content-Encoding": header})
    with pytest.raises(PermanentError, match="unpacks to more than"):
        fetch(tmp_path, server, 1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\0\0\0 ftypavif" + bytes(100), "AVIF"),
        (b"II*\0" + bytes(100), "TIFF"),
        (gzip.compress(b"\x1a\x05layer", mtime=0), "vector tile"),
        (jpeg(1, 512), "tile_size: 512"),
    ],
)
def test_tiles_that_are_not_read_are_refused_at_once(
    server: TileServer, tmp_path: Path, body: bytes, words: str
) -> None:
    server.fault = lambda request, path, k: web.Response(body=body)
    with pytest.raises(PermanentError, match=words):
        fetch(tmp_path, server, 1)
    assert server.asked["0"] == 1


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(np.tile(ramp, (256, 1))).save(buffer, "PNG")
    assert np.array_equal(TileDecoder(256).decode(buffer.getvalue())[0, :, 0], ramp // 257)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with self_signed_server(tmp_path) as port:

        async def run() -> object:
            async with Client(tmp_path, QUICK) as client:
                return await client.get(Request(f"https://127.0.0.1:{port}/?key=SECRET", "tile 0", decode))

        with pytest.raises(PermanentError, match="certificate") as caught:
            asyncio.run(run())
    assert "SECRET" not in str(caught.value)


def test_a_clock_set_back_does_not_keep_the_limiter_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    limiter = RateLimiter(tmp_path, "host", 50.0, 2)

    async def run() -> None:
        async with asyncio.timeout(60), limiter.slot():
            pass

    monkeypatch.setattr("stages.fetch.rate_limiter.time.time", lambda: now + 3600)
    limiter.pause(0.2)
    monkeypatch.undo()
    asyncio.run(run())


def test_a_placeholder_that_stays_is_no_data(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, path, k: web.Response(body=PLACEHOLDER) if path == "1" else None
    assert fetch(tmp_path, server, 2)[1] is None
    assert server.asked["1"] == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_final_and_tells_no_secret(server: TileServer, tmp_path: Path, status: int) -> None:
    server.fault = lambda request, path, k: web.Response(status=status)
    with pytest.raises(PermanentError) as caught:
        fetch(tmp_path, server, 1)
    error = caught.value
    assert str(status) in str(error)
    assert "tile 0" in str(error)
    assert "SECRET" not in repr(error)
    assert server.asked["0"] == 1


def test_a_host_that_stays_down_ends_as_transient_without_a_storm(
    server: TileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault = lambda request, path, k: web.Response(status=503)
    started = time.time()
    with pytest.raises(TransientError, match="status 503") as caught:
        fetch(tmp_path, server, 4, QUICK.model_copy(update={"attempts": 3}))
    assert "SECRET" not in repr(caught.value) + caplog.text
    # After five failures in a row the limiter closes for a second, then two: few requests come through.
    assert len(server.times) <= 5 + 4 * (1 + time.time() - started)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: web.Response(status=302, headers={"Location": "http://other.example/x"}), "redirect"),
        (lambda: web.Response(status=302, headers={"Location": "file:///etc/passwd"}), "file"),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/x"}), "port"),
        (lambda: web.Response(status=302, headers={"Location": "http://[half"}), "malformed"),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:port/x"}), "malformed"),
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
    server.fault = lambda request, path, k: answer()
    with pytest.raises(PermanentError) as caught:
        fetch(tmp_path, server, 1)
    assert words in str(caught.value)
    assert server.asked["0"] == 1


def test_a_body_without_end_is_cut_off(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, path, k: endless(request)
    with pytest.raises(PermanentError, match="more than"):
        fetch(tmp_path, server, 1)


def test_a_redirect_within_the_host_is_followed(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, path, k: (
        web.Response(status=302, headers={"Location": "/7"}) if path == "0" else None
    )
    answers = fetch(tmp_path, server, 1)
    assert answers[0] is not None
    assert server.asked["7"] == 1


def test_the_contact_is_named(server: TileServer, tmp_path: Path) -> None:
    fetch(tmp_path, server, 1)
    assert server.agents == {"mapdata/0.1 (a@b.example)"}


WORKER = """
import asyncio, sys
from pathlib import Path
from stages.fetch.responses import TileDecoder
from stages.fetch.client import Client, RateLimits, Request

async def main(folder, *urls):
    decoder = TileDecoder(256)
    limits = RateLimits(requests_per_second=40.0, concurrent=3, wait_s=0.02)
    async with Client(Path(folder), limits) as client:
        requests = [Request(url, "tile", lambda response: decoder.decode(response.body)) for url in urls]
        await asyncio.gather(*map(client.get, requests))

asyncio.run(main(*sys.argv[1:]))
"""


def test_two_processes_and_a_kill_keep_to_one_limit(server: TileServer, tmp_path: Path) -> None:
    server.delay_s = 0.02
    halves = [[f"{server.url}/{n}?key=SECRET" for n in range(k, 60, 2)] for k in range(2)]

    def start(half: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), *half])

    first, second = start(halves[0]), start(halves[1])
    deadline = time.monotonic() + 300
    while len(server.times) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.wait(300)
    again = start(halves[0])
    assert [process.wait(300) for process in (second, again)] == [0, 0]
    assert set(server.asked) == {str(n) for n in range(60)}
    # Requests start 25 ms apart; what arrives within a second may be a few more by chance of scheduling.
    assert server.most_in_window(1.0) <= 43
    # A killed client's connection may still be open at the server when its place is taken again.
    assert server.most_under_way <= 4
