"""Files read by ranges from servers that answer with other ranges than those asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from file_server import FileServer

from pipeline.errors import PermanentError, TransientError
from stages.fetch.blocking import BlockingClient
from stages.fetch.client import RateLimits, Request
from stages.fetch.reach import Reach
from stages.fetch.remote_file import RemoteFile

pytestmark = pytest.mark.integration

BLOCK = 1 << 14
CONTENT = np.random.default_rng(3).integers(0, 256, 5 * BLOCK + 700, np.uint8).tobytes()
Answer = Callable[[int, int], web.Response]


def part(first: int, last: int) -> web.Response:
    last = min(last, len(CONTENT) - 1)
    told = {"Content-Range": f"bytes {first}-{last}/{len(CONTENT)}"}
    return web.Response(status=206, body=CONTENT[first : last + 1], headers=told)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with FileServer(tmp_path) as server:
        yield server


@pytest.fixture
def client(server: FileServer, tmp_path: Path) -> Iterator[BlockingClient]:
    limits = RateLimits(requests_per_second=None, timeout_s=3.0, wait_s=0.01, attempts=2)
    with BlockingClient(tmp_path / "limiters", limits, Reach(server.hosts)) as client:
        yield client


def answer_ranges(server: FileServer, answer: Answer) -> None:
    def special(request: web.Request) -> web.Response:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
        assert found
        return answer(int(found[1]), int(found[2]))

    server.special = special


@pytest.mark.parametrize(
    "answer",
    [
        part,
        lambda first, last: part(first, min(last, first + BLOCK - 1)),
        lambda first, last: part(first, min(last, first + 3 * BLOCK // 2)),
        lambda first, last: part(first, last + BLOCK),
        lambda first, last: web.Response(body=CONTENT),
    ],
    ids=["as asked", "a block at a time", "a block and a half at a time", "more", "everything"],
)
def test_every_byte_is_the_files(server: FileServer, client: BlockingClient, answer: Answer) -> None:
    answer_ranges(server, answer)
    file = RemoteFile(client, f"{server.url}/a.tif", "a")
    file.seek(BLOCK - 5)
    assert file.read() == CONTENT[BLOCK - 5 :]
    file.seek(0)
    assert file.read(3 * BLOCK) == CONTENT[: 3 * BLOCK]
    assert file.error is None


@pytest.mark.parametrize(
    "answer",
    [
        lambda first, last: part(0, BLOCK - 1),
        lambda first, last: part(first, min(last, first + 9_999)),
        lambda first, last: part(first + BLOCK, last + BLOCK),
        lambda first, last: web.Response(status=206, body=CONTENT[first : last + 1]),
        lambda first, last: web.Response(body=CONTENT[:BLOCK]) if first else part(first, first + BLOCK - 1),
    ],
    ids=["always the first block", "less than a block", "the next block", "no range told", "a file that ends early"],
)
def test_bytes_of_another_place_are_never_taken(server: FileServer, client: BlockingClient, answer: Answer) -> None:
    """Nothing is raised within GDAL, which would print it: the file ends, and says why."""
    answer_ranges(server, answer)
    file = RemoteFile(client, f"{server.url}/a.tif", "a")
    data = file.read()
    assert data == b""
    assert isinstance(file.error, PermanentError | TransientError)
    assert file.read(12) == b""


def test_a_part_that_nobody_asked_for_is_no_document(server: FileServer, client: BlockingClient) -> None:
    server.special = lambda request: web.Response(status=206, body=b"{}", headers={"Content-Range": "bytes 0-1/900"})
    with pytest.raises(TransientError, match="nobody asked for"):
        client.get(Request(f"{server.url}/a.json", "a", lambda response: response.body))
