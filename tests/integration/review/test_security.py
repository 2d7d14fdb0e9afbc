"""What the server refuses, over raw sockets: nothing of a client's library may repair a request on its way."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from review_server import Client, Server, serving

from review.errors import ReviewError
from review.serve import Settings, serve

pytestmark = pytest.mark.integration


@pytest.fixture
def server(workspace: Path) -> Iterator[Server]:
    with serving(workspace) as started:
        yield started


def raw(server: Server, *lines: str, body: str = "") -> tuple[int, str]:
    """Send lines as they are; return the status and the whole answer."""
    text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", body])
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(text.encode("latin-1"))
        answer = b""
        while part := connection.recv(65536):
            answer += part
    said = answer.decode("latin-1")
    return int(said.split(" ", 2)[1]), said


def host(server: Server) -> str:
    return f"Host: 127.0.0.1:{server.port}"


def test_a_token_lets_one_browser_in_once(server: Server) -> None:
    path = server.address.removeprefix(server.origin)
    status, said = raw(server, f"GET {path} HTTP/1.1", host(server))
    assert status == 303
    cookie = re.search(r"Set-Cookie: ([^\r]+)", said)
    assert cookie is not None
    assert cookie[1].startswith(f"mapdata-review-{server.port}=")
    assert "HttpOnly" in cookie[1]
    assert "SameSite=Strict" in cookie[1]
    assert raw(server, f"GET {path} HTTP/1.1", host(server))[0] == 401
    assert raw(server, "GET /enter?token= HTTP/1.1", host(server))[0] == 401
    kept = server.workspace / "review/sessions.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    value = cookie[1].partition("=")[2].partition(";")[0]
    assert value not in kept.read_text()


def test_nothing_without_a_cookie_not_even_the_page(server: Server) -> None:
    Client(server.address)
    for path in (
        "/",
        "/main.js",
        "/vendor/ol.js",
        "/api/sites",
        "/api/sites/001/1",
        "/api/pairs",
        "/thumbnail/001/1/map",
    ):
        status, said = raw(server, f"GET {path} HTTP/1.1", host(server))
        assert status == 401, path
        assert "default-src 'none'" in said
    forged = f"Cookie: mapdata-review-{server.port}={'A' * 43}"
    assert raw(server, "GET /api/sites HTTP/1.1", host(server), forged)[0] == 401


def test_foreign_hosts_are_refused_before_anything_else(server: Server) -> None:
    cookie = f"Cookie: {Client(server.address).cookie}"
    for name in (
        "evil.example",
        f"evil.example:{server.port}",
        "127.0.0.1",
        f"127.0.0.1.evil.example:{server.port}",
        "",
    ):
        assert raw(server, "GET /api/sites HTTP/1.1", f"Host: {name}", cookie)[0] in (400, 421), name
    assert raw(server, "GET /api/sites HTTP/1.1", cookie)[0] in (400, 421)
    assert raw(server, "GET /api/sites HTTP/1.1", host(server), "Host: evil.example", cookie)[0] in (400, 421)
    assert raw(server, "GET /api/sites HTTP/1.1", f"Host: localhost:{server.port}", cookie)[0] == 200


def test_writes_of_other_origins_and_forms_are_refused(server: Server) -> None:
    client = Client(server.address)
    cookie = f"Cookie: {client.cookie}"
    put = "PUT /api/pairs HTTP/1.1", host(server), cookie
    shown = client.get("/api/pairs/ids?text=001_1_0000_0000")
    body = json.dumps({"pairs": shown, "verdict": "reject", "reason": "x"})
    kind = "Content-Type: application/json"
    for origin in ([], ["Origin: null"], ["Origin: http://evil.example"], [f"Origin: https://127.0.0.1:{server.port}"]):
        assert raw(server, *put, kind, *origin, body=body)[0] == 403, origin
    own = f"Origin: http://127.0.0.1:{server.port}"
    for form in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        assert raw(server, *put, own, f"Content-Type: {form}", body=body)[0] == 415, form
    assert raw(server, *put, own, body=body)[0] == 415
    assert raw(server, *put, own, kind, body="{")[0] == 400
    assert raw(server, *put, own, kind, body="[" * 100_000)[0] == 400
    assert raw(server, *put, own, kind, body='{"reason": "\\ud800"}')[0] == 400  # half of a surrogate pair
    assert not (server.workspace / "verdicts").exists()
    assert raw(server, *put, own, kind, body=body)[0] == 200
    page = "Sec-Fetch-Site: cross-site"
    assert raw(server, "GET /api/sites HTTP/1.1", host(server), cookie, page)[0] == 403


def test_no_path_leads_out_of_what_the_ledger_lists(server: Server, tmp_path: Path) -> None:
    client = Client(server.address)
    cookie = f"Cookie: {client.cookie}"
    truth = server.workspace / "rasters/001/1/truth.json"
    truth.write_text('{"secret": "truth"}')
    (tmp_path / "outside.png").write_bytes(b"secret of another folder")
    paths = [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/vendor/../../serve.py",
        "/vendor/%2e%2e/%2e%2e/serve.py",
        "/rasters/001/1/truth.json",
        "/api/sites/001%2f1%2f..%2f..%2f/1",
        "/api/sites/../engine",
        "/thumbnail/001/1/truth.json",
        "/thumbnail/001/1/..%2f..%2ftruth.json",
        "/pair/..%2f..%2frasters%2f001%2f1%2ftruth.json/map",
        "/pair/001_1_0000_0000/truth.json",
        "/tiles/001/1/map/0/0/0/truth.json",
        "/tiles/001/1/../0/0/0/0",
        "/tiles/001/1/map/" + "0" * 64 + "/0/0/0",
        "/cut/001/1/map/99999999/0",
        "/cut/001/1/map/-1/0",
        "/%00",
        "/api/sites/001/1%00",
    ]
    for path in paths:
        status, said = raw(server, f"GET {path} HTTP/1.1", host(server), cookie)
        assert status in (400, 404), (path, status)
        assert "secret" not in said
        assert "root:" not in said
    row = client.get("/api/pairs/rows?count=1&text=001_1_0001_0001")[0]
    tile = server.workspace / f"tiles/001/1/map/{row['pair_id']}.png"
    assert client.ask("GET", f"/pair/{row['pair_id']}/map")[0] == 200
    tile.unlink()
    os.symlink(tmp_path / "outside.png", tile)
    status, said = client.ask("GET", f"/pair/{row['pair_id']}/map")
    assert status == 404
    assert "secret" not in str(said)


def test_values_are_checked(server: Server) -> None:
    client = Client(server.address)
    tag = client.get("/api/sites/001/1")["tag"]
    put = "/api/sites/001/1/points"
    for points in (
        "x",
        [1],
        [{}],
        [
            {
                "name": "a",
                "operator": "",
                "date": "",
                "map_x": float("1e999"),
                "map_y": 1,
                "visible_x": 1,
                "visible_y": 1,
            }
        ],
        [{"name": "a\nb", "operator": "", "date": "", "map_x": 1, "map_y": 1, "visible_x": 1, "visible_y": 1}],
        [{"name": "a", "operator": "", "date": "", "map_x": True, "map_y": 1, "visible_x": 1, "visible_y": 1}],
    ):
        assert client.ask("PUT", put, {"points": points}, tag)[0] == 422, points
    assert client.ask("PUT", put, {"points": []})[0] == 428
    assert client.settle("001/1", {"verdict": "rejected"}, tag)[0] == 422
    assert client.ask("PUT", "/api/sites/009/1/points", {"points": []}, tag)[0] == 404
    assert client.ask("PUT", "/api/pairs", {"pairs": {"nothing": ""}, "verdict": "keep"})[0] == 404
    assert client.ask("PUT", "/api/pairs", {"pairs": ["nothing"], "verdict": "keep"})[0] == 422


def test_a_second_server_names_the_first(server: Server) -> None:
    with pytest.raises(
        AssertionError, match=rf"reviewed already by Ada \(process {server.process.pid} on .*{server.port}"
    ):
        Server(server.workspace, operator="Bob")
    with serving(server.workspace, "--read-only", operator="Bob") as looking:
        client = Client(looking.address)
        tag = client.get("/api/sites/001/1")["tag"]
        assert client.ask("PUT", "/api/sites/001/1/points", {"points": []}, tag)[0] == 403


def test_other_machines_only_where_they_are_named(workspace: Path) -> None:
    with pytest.raises(ReviewError, match="--allow-host"):
        serve(Settings(workspace, "Ada", host="0.0.0.0", port=0), print)


def test_an_operator_has_a_name_that_can_be_written_down(workspace: Path, server: Server) -> None:
    client = Client(server.address)
    for name in ("", "  ", "A" * 81, "A\0da", "A\u202eda"):
        assert client.ask("POST", "/api/invite", {"operator": name})[0] == 422, name
        with pytest.raises(ReviewError, match="--operator"):
            serve(Settings(workspace, name, port=0), print)
    assert client.ask("POST", "/api/invite", {"operator": '#1 "Ada", <b>Łukasz</b>'})[0] == 200


def test_what_is_vendored_is_what_its_page_says() -> None:
    import hashlib

    folder = Path(__file__).resolve().parents[3] / "review/page/vendor"
    said = re.findall(r"\| `(\S+)` \|.*`([0-9a-f]{64})` \|", (folder / "README.md").read_text())
    assert [name for name, _ in said] == ["ol.js"]
    for name, digest in said:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
