"""The server of the review page as a process of its own, and a client without a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Server:
    """The command `mapdata review` as a process; `address` lets one browser in, `origin` is where it listens."""

    def __init__(self, workspace: Path, *options: str, port: int = 0, operator: str = "Ada") -> None:
        self.workspace = workspace
        command = [sys.executable, "-m", "mapdata", "review", "--workspace", str(workspace), "--port", str(port)]
        self.process = subprocess.Popen(
            [*command, "--operator", operator, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(r"open (http://\S+)", line)
        if found is None:
            raise AssertionError(line + self.process.communicate()[1])
        self.address = found[1]
        self.origin = self.address.partition("/enter")[0]
        self.port = int(self.origin.rpartition(":")[2])

    def kill(self) -> None:
        """End it as nothing can prepare for."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode


@contextmanager
def serving(workspace: Path, *options: str, port: int = 0, operator: str = "Ada") -> Iterator[Server]:
    """Serve a workspace for a while."""
    server = Server(workspace, *options, port=port, operator=operator)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


class Client:
    """A client without a browser: the cookie, and requests with the headers that the page sends."""

    def __init__(self, address: str) -> None:
        self.origin = address.partition("/enter")[0]
        opener = urllib.request.build_opener(_NoRedirect)
        with pytest.raises(urllib.error.HTTPError) as answer:
            opener.open(address)
        assert answer.value.code == 303, answer.value.read()
        self.cookie = str(answer.value.headers["Set-Cookie"]).partition(";")[0]

    def ask(self, method: str, path: str, body: Any = None, tag: str = "") -> tuple[int, Any]:
        """Send a request; return status and JSON, or bytes of what is no JSON."""
        headers = {"Cookie": self.cookie}
        if method != "GET":
            headers |= {"Origin": self.origin, "Content-Type": "application/json"}
        if tag:
            headers["If-Match"] = f'"{tag}"'
        data = None if method == "GET" else json.dumps(body if body is not None else {}).encode()
        request = urllib.request.Request(self.origin + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, _content(response)
        except urllib.error.HTTPError as error:
            return error.code, _content(error)

    def settle(self, name: str, verdict: dict[str, Any] | None, tag: str) -> tuple[int, Any]:
        """Give a verdict on a raster pair, on the alignment that it has."""
        body = {"verdict": verdict, "alignment": self.get(f"/api/sites/{name}/tag")["alignment"]}
        return self.ask("PUT", f"/api/sites/{name}/verdict", body, tag)

    def get(self, path: str) -> Any:
        """Return what a path gives; it must be there."""
        status, value = self.ask("GET", path)
        assert status == 200, value
        return value


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _content(response: Any) -> Any:
    data = response.read()
    return json.loads(data) if "json" in response.headers.get("Content-Type", "") else data


def tie_point(name: str, map_x: float, map_y: float, visible_x: float, visible_y: float, operator: str = "Ada") -> Any:
    """Return a tie point as JSON."""
    places = {"map_x": map_x, "map_y": map_y, "visible_x": visible_x, "visible_y": visible_y}
    return {"name": name, "operator": operator, "date": "2026-11-29T08:00:00Z", **places}


def chromium() -> str:
    """Return the path of a browser, or skip the test with a word."""
    pytest.importorskip("playwright", reason="no playwright: the page is not tested in a browser")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no browser: install chromium, or name one in CHROMIUM")
    return found
