"""Saving on a disk that is full: it is said, nothing is harmed, and the same is saved once there is room."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from review_server import Client, serving, tie_point
from small_disk import enlarge, make_read_only, tmpfs

pytestmark = pytest.mark.integration


def fill(disk: Path, room: int) -> None:
    """Leave so many bytes on a disk."""
    with (disk / "filler").open("wb") as file:
        left = shutil.disk_usage(disk).free - room
        while left > 0:
            left -= file.write(b"x" * min(left, 1 << 20))


@pytest.mark.parametrize(("count", "room"), [(5, 0), (300, 8192)])
def test_what_cannot_be_saved_is_said_and_is_saved_once_there_is_room(
    workspace: Path, tmp_path: Path, count: int, room: int
) -> None:
    disk, points = tmp_path / "disk", [tie_point(f"p{n}", 2.0 * n, 10.0 + n, 2.0 * n, 11.0 + n) for n in range(count)]
    with tmpfs(disk, "size=256m"):
        root = shutil.copytree(workspace, disk / "w")
        with serving(root) as server:
            client = Client(server.address)
            tag = client.get("/api/sites/001/1")["tag"]
            status, saved = client.ask("PUT", "/api/sites/001/1/points", {"points": points[:4]}, tag)
            assert status == 200
            journal, table = root / "review/journal.jsonl", root / "tiepoints/001/1.csv"
            before = journal.read_bytes(), table.read_bytes()
            fill(disk, room)
            for _ in range(2):
                status, answer = client.ask("PUT", "/api/sites/001/1/points", {"points": points}, saved["tag"])
                assert status in (409, 507)
                assert "no space left" in answer["error"].lower()
                assert str(disk) in answer["error"] or "Make room" in answer["error"]
                assert (journal.read_bytes(), table.read_bytes()) == before
                assert len(client.get("/api/sites/001/1")["document"]["points"]) == 4
            (disk / "filler").unlink()
            status, answer = client.ask("PUT", "/api/sites/001/1/points", {"points": points}, saved["tag"])
            assert status == 200, answer
            server.kill()
        entries = [json.loads(line) for line in journal.read_text().splitlines()]
        assert [entry["number"] for entry in entries] == [*range(1, len(entries) + 1)]
        assert [entry["action"] for entry in entries] == ["outside", "points", "points"]
        with serving(root) as server:
            assert len(Client(server.address).get("/api/sites/001/1")["document"]["points"]) == count


def test_a_disk_that_cannot_be_written_is_said_at_the_start(workspace: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with tmpfs(disk, "size=256m"):
        root = shutil.copytree(workspace, disk / "w")
        enlarge(disk, "512m")
        make_read_only(disk)
        command = [sys.executable, "-m", "mapdata", "review", "--workspace", str(root), "--port", "0"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr
        assert "Read-only file system" in ended.stderr
        assert "--read-only looks without writing" in ended.stderr
        with serving(root, "--read-only") as server:
            client = Client(server.address)
            site = client.get("/api/sites/001/1")
            assert client.ask("PUT", "/api/sites/001/1/points", {"points": []}, site["tag"])[0] == 403
            digest = site["sides"]["map"]["digest"]
            assert client.get(f"/tiles/001/1/map/{digest}/0/0/0")


def test_a_port_that_is_taken_is_said(workspace: Path) -> None:
    with serving(workspace) as server:
        command = [sys.executable, "-m", "mapdata", "review", "--workspace", str(workspace), "--port", str(server.port)]
        ended = subprocess.run([*command, "--read-only"], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"error: cannot listen on 127.0.0.1, port {server.port}: ")
    assert "Give another with --port" in ended.stderr
