"""A real tile server on loopback that keeps a log and, if told to, throttles, fails and lies."""

from __future__ import annotations

import asyncio
import io
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from aiohttp import web
from loopback import Loopback
from PIL import Image

Answer = web.StreamResponse | None
Fault = Callable[[web.Request, str, int], object]


def jpeg(seed: int, size: int = 256) -> bytes:
    """Return a made-up tile."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size // 8, size // 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((size, size)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def tile_at(path: str) -> bytes:
    """Return the made-up tile of a path: any path has one, no two the same."""
    return jpeg(sum(ord(letter) * 31**n for n, letter in enumerate(path)) % 10**9)


def blank_png(size: int) -> bytes:
    """Return a black picture of any size in few bytes."""
    buffer = io.BytesIO()
    Image.new("1", (size, size)).save(buffer, "PNG")
    return buffer.getvalue()


PLACEHOLDER = jpeg(999)


def of_folder(folder: Path) -> Callable[[str], bytes | None]:
    """Return a content that serves the files of a folder, such as `swissimage/17/69024/46109.jpg`."""

    def content(path: str) -> bytes | None:
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    return content


class TileServer(Loopback):
    """Serves `content(path)`, 404 where that is None, after what `fault(request, path, k)` answers to the k-th asking.

    A context manager. `times` logs the arrival of every request, `asked` counts them by path.
    """

    def __init__(self, content: Callable[[str], bytes | None]) -> None:
        super().__init__(self._answer)
        self.content = content
        self.fault: Fault | None = None
        self.delay_s = 0.0
        self.times: list[float] = []
        self.asked: dict[str, int] = defaultdict(int)
        self.agents: set[str] = set()
        self.most_under_way = self._under_way = 0

    def __enter__(self) -> TileServer:
        super().__enter__()
        return self

    @property
    def url(self) -> str:
        return f"http://{self.hosts[0]}"

    def most_in_window(self, seconds: float) -> int:
        """Return the greatest number of requests that arrived within any span of so many seconds."""
        times = np.sort(self.times)
        return int(max(np.searchsorted(times, times + seconds) - np.arange(len(times))))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.times.append(time.time())
        self.agents.add(request.headers.get("User-Agent", ""))
        self.asked[path] += 1
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            await asyncio.sleep(self.delay_s)
            if self.fault is not None:
                answer = self.fault(request, path, self.asked[path])
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer is not None:
                    assert isinstance(answer, web.StreamResponse)
                    return answer
            body = self.content(path)
            return web.Response(status=404) if body is None else web.Response(body=body, content_type="image/jpeg")
        finally:
            self._under_way -= 1


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
    await response.write(PLACEHOLDER[:500])
    assert request.transport is not None
    request.transport.abort()
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(10_000):  # 10 GB if it were read
        await response.write(b"\0" * (1 << 20))
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
    "half a picture": lambda request: web.Response(body=PLACEHOLDER[:700], content_type="image/jpeg"),
    "an HTML page": lambda request: web.Response(text="<html>busy</html>", content_type="text/html"),
    "a page called a picture": lambda request: web.Response(body=b"<html>busy</html>", content_type="image/jpeg"),
    "one pixel": lambda request: web.Response(body=jpeg(1, 8), content_type="image/jpeg"),
    "nothing": lambda request: web.Response(body=b"", content_type="image/jpeg"),
    "the placeholder": lambda request: web.Response(body=PLACEHOLDER, content_type="image/jpeg"),
}
"""What a service may do wrong for a while, by name."""
