"""A web server on loopback that serves a folder with range requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from aiohttp import web


class FileServer:
    """Serves a folder with range requests, logs them, and answers what `special` says first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[tuple[str, str]] = []
        self.special: Callable[[web.Request], web.StreamResponse | None] = lambda request: None

    def __enter__(self) -> FileServer:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def answer(request: web.Request) -> web.StreamResponse:
            path = request.match_info["path"]
            if request.method == "GET":
                self.log.append((path, request.headers.get("Range", "")))
            special = self.special(request)
            if special is not None:
                return special
            file = self.folder / path
            return web.FileResponse(file) if file.is_file() else web.Response(status=404)

        async def start() -> None:
            app = web.Application()
            app.router.add_get("/{path:.*}", answer)
            self._runner = runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()

        def serve() -> None:
            self._loop.run_until_complete(start())
            self._loop.run_forever()
            self._loop.run_until_complete(self._runner.cleanup())

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
