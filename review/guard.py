"""What every request must pass, in this order: the host it names, the origin and kind of a write, the session."""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from pipeline.errors import PipelineError
from raster.disk import problem_of_a_disk
from raster.errors import RasterError
from raster.strict_json import parse_json
from review.errors import Refused
from review.sessions import Session, Sessions

SESSION: web.RequestKey[Session] = web.RequestKey("session", Session)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_READS = ("GET", "HEAD")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger("mapdata.review")


def cookie_name(port: int) -> str:
    """Return the name of the cookie: browsers share cookies among the ports of a host, so the name has the port."""
    return f"mapdata-review-{port}"


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that a request brings. Raises Refused (400) where it is none, or holds what is no text."""
    try:
        value = await request.json(loads=parse_json)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair could be neither journaled nor written
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise Refused(400, "the body must be a JSON object")
    return value


def is_loopback(host: str) -> bool:
    """Return whether an address or name to listen on is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def guarded(sessions: Sessions, port: int, allowed: tuple[str, ...]) -> Middleware:
    """Return the middleware.

    Args:
        sessions: Who may come in.
        port: On which the server listens.
        allowed: Host names beside those of this machine that requests may name.
    """
    hosts = {f"{name}:{port}" for name in (*_LOCAL, *allowed)}
    if port == 80:
        hosts |= {*_LOCAL, *allowed}

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await _checked(request, handler)
        except Refused as refusal:
            response = web.json_response({"error": str(refusal), **refusal.more}, status=refusal.status)
        except web.HTTPException as error:
            response = web.json_response({"error": error.reason}, status=error.status)
        except (PipelineError, RasterError) as error:
            response = web.json_response({"error": str(error)}, status=409)
        except OSError as error:
            log.exception("%s %s", request.method, request.path)
            what = problem_of_a_disk(error) or str(error.strerror)
            response = web.json_response({"error": f"the server cannot read or write: {what}"}, status=507)
        except Exception as error:
            # A page that is answered nothing it can read would take the server for gone, and ask for ever.
            log.exception("%s %s", request.method, request.path)
            response = web.json_response({"error": f"the server failed: {error!r}"}, status=500)
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = request.headers.getall("Host", [])
        if len(named) != 1 or named[0].lower() not in hosts:
            raise Refused(421, "this server does not answer to that host name")
        if request.method not in _READS:
            origin = urlsplit(request.headers.get("Origin", ""))
            if origin.scheme != "http" or origin.netloc.lower() != named[0].lower():
                raise Refused(403, "writes come from this server's own page only")
            if request.content_type != "application/json":
                raise Refused(415, "only JSON is taken")
        elif request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and request.path != "/enter":
            raise Refused(403, "another site's page asked for this")
        if request.path == "/enter":
            return await handler(request)
        session = sessions.of(request.cookies.get(cookie_name(port), ""))
        if session is None:
            raise Refused(401, "come in by the address that `mapdata review` prints: it works once")
        request[SESSION] = session
        return await handler(request)

    return guard
