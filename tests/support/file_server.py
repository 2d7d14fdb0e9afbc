"""A web server on loopback that serves a folder with range requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from loopback import Loopback


class FileServer(Loopback):
    """Serves a folder with range requests, logs them, and answers what `special` says first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self._answer)
        self.folder = folder
        self.log: list[tuple[str, str]] = []
        self.special: Callable[[web.Request], web.StreamResponse | None] = lambda request: None

    def __enter__(self) -> FileServer:
        super().__enter__()
        return self

    @property
    def url(self) -> str:
        return f"http://{self.hosts[0]}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if request.method == "GET":
            self.log.append((path, request.headers.get("Range", "")))
        special = self.special(request)
        if special is not None:
            return special
        file = self.folder / path
        return web.FileResponse(file) if file.is_file() else web.Response(status=404)
