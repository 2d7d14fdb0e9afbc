"""The server: put together, started, and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from pipeline.workspace import Workspace
from review.app import Reviews
from review.errors import Refused, ReviewError
from review.gallery import Gallery
from review.guard import SESSION, body_of, cookie_name, guarded, is_loopback
from review.holder import hold
from review.journal import Journal
from review.pairs import Pairs
from review.sessions import Sessions, named
from review.sites import Sites
from review.store import Store
from review.views import Views
from stages.review.verdicts import REASONS

FOLDER = "review"
"""Folder of the workspace for the journal, the lock, sessions and the smaller versions of rasters."""

PAGE = Path(__file__).parent / "page"
MAX_BODY = 20 << 20
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".md": "text/plain",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Settings:
    """What a server is started with.

    Attributes:
        workspace: The folder of the run.
        operator: Whose verdicts the first browser's are.
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        allow_hosts: Names beside those of this machine by which browsers may call it; needed to listen elsewhere.
        read_only: Look, write nothing into the workspace.
    """

    workspace: Path
    operator: str
    host: str = "127.0.0.1"
    port: int = 8765
    allow_hosts: tuple[str, ...] = ()
    read_only: bool = False


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve the page until a signal stops it.

    Args:
        settings: What is served, and where.
        ready: Is called with the address, which lets one browser in.

    Raises:
        ReviewError: Another server has the workspace, it cannot be written, the port is taken, the host is not allowed,
            or the operator has no name.
        WorkspaceError: The folder is no workspace.
    """
    if not is_loopback(settings.host) and not settings.allow_hosts:
        raise ReviewError(
            f"{settings.host} is not this machine alone. Name the hosts by which browsers may call the page, with "
            "--allow-host, and mind that there is no encryption: a tunnel such as `ssh -L` is the better way."
        )
    try:
        operator = named(settings.operator)
    except Refused as refusal:
        raise ReviewError(f"--operator {settings.operator[:100]!r}: {refusal}") from refusal
    workspace = Workspace(settings.workspace)
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(settings))
        port = listener.getsockname()[1]
        shown = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
        address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
        if settings.read_only:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mapdata-review-")))
            journal = None
        else:
            folder = workspace.root / FOLDER
            try:
                stack.enter_context(hold(folder, address, operator))
                journal = Journal(folder / "journal.jsonl")
            except OSError as error:
                raise ReviewError(
                    f"{folder} cannot be written: {error.strerror or error}. Make room or fix its permissions; "
                    "--read-only looks without writing."
                ) from error
            stack.callback(journal.close)
        sessions = Sessions(None if settings.read_only else folder / "sessions.json")
        app = build_app(workspace, folder, journal, sessions, settings, port)
        token = sessions.invite(operator)
        asyncio.run(_run(app, listener, lambda: ready(f"{address}/enter?token={token}")))


def build_app(
    workspace: Workspace, folder: Path, journal: Journal | None, sessions: Sessions, settings: Settings, port: int
) -> web.Application:
    """Return the application of a workspace.

    Args:
        workspace: What is reviewed.
        folder: Where pyramids of tiles are kept: the review folder of the workspace, or a temporary one.
        journal: Where every change is recorded; None makes the server read-only.
        sessions: Who may enter.
        settings: Names of hosts by which browsers may call the page.
        port: Where it is served; browsers keep cookies by host alone, so the port is part of the cookie's name.
    """
    sites = Sites(workspace)
    store = Store(sites, journal)
    reviews = Reviews(sites, store, Views(folder / "pyramids"))
    gallery = Gallery(sites)
    pairs = Pairs(sites, gallery, store)
    app = web.Application(middlewares=[guarded(sessions, port, settings.allow_hosts)], client_max_size=MAX_BODY)
    files = {f"/{path.relative_to(PAGE).as_posix()}": path for path in sorted(PAGE.rglob("*")) if path.is_file()}
    files["/"] = PAGE / "index.html"

    async def page(request: web.Request) -> web.Response:
        path = files[request.path]
        body = await asyncio.to_thread(path.read_bytes)
        headers = {"Cache-Control": "private, max-age=86400" if "vendor" in request.path else "no-cache"}
        return web.Response(body=body, content_type=_TYPES[path.suffix], charset="utf-8", headers=headers)

    async def enter(request: web.Request) -> web.Response:
        cookie = sessions.enter(request.query.get("token", ""))
        if cookie is None:
            raise Refused(401, "this address was used already, or is old: it lets one browser in, once")
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(cookie_name(port), cookie, httponly=True, samesite="Strict", path="/")
        return response

    async def about(request: web.Request) -> web.Response:
        session = request[SESSION]
        at = request.query.get("at", "")
        session.site = at if at in sites.all() else ""
        return web.json_response(
            {
                "operator": session.operator,
                "workspace": workspace.root.name,
                "writable": journal is not None,
                "reasons": REASONS,
                "present": sessions.beside(session),
                "run": (workspace.holder() or {}).get("since"),
            }
        )

    async def invite(request: web.Request) -> web.Response:
        operator = named(str((await body_of(request)).get("operator", "")))
        return web.json_response({"path": f"/enter?token={sessions.invite(operator)}"})

    app.add_routes([web.get("/enter", enter), web.get("/api/about", about), web.post("/api/invite", invite)])
    app.add_routes([*reviews.routes(), *pairs.routes()])
    app.add_routes([web.get(path, page) for path in files])

    async def beside(_: web.Application) -> AsyncIterator[None]:
        # The table of pairs takes seconds to read where there are many: it is there before somebody looks.
        reading = asyncio.create_task(asyncio.to_thread(gallery.prepare))
        yield
        await asyncio.gather(reading, reviews.close(), return_exceptions=True)

    app.cleanup_ctx.append(beside)
    return app


def _listen(settings: Settings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), family=_family(settings.host), backlog=128)
    except OSError as error:
        raise ReviewError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}. Give another with "
            "--port; 0 takes any that is free."
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def _run(app: web.Application, listener: socket.socket, ready: Callable[[], None]) -> None:
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    ready()
    await stopped.wait()
    await runner.cleanup()


def default_operator() -> str:
    """Return the name of the user of this machine."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "operator"
