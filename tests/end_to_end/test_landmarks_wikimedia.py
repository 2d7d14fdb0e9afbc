"""Real sources in a whole run: Wikidata, Wikipedia, Commons and a tile service on loopback, killed in the middle.

The server's own log is the proof: nothing is asked twice, and all limits hold over two workers and a restart.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from runs import assert_same, assert_verifies, published, said_by, start_run
from wikimedia import Asked, WikimediaServer, small_world

pytestmark = pytest.mark.end_to_end

LANDMARKS, PHOTOGRAPHS = 6, 8
BYTES_PER_SECOND = 25e6 / 8


def write_config(folder: Path, server: WikimediaServer, extract: str) -> Path:
    (folder / "extract.osm").write_text(extract)
    wikimedia = server.settings()
    aerial = {
        "kind": "tiles", "url": f"http://{server.api}/tiles/{{z}}/{{x}}/{{y}}.jpg", "year": 2024, "licence": "CC0-1.0",
        "attribution": "loopback", "rate_limits": {"requests_per_second": None},
    }  # fmt: skip
    stages = {
        "select": {"sources": {"extract": {"kind": "osm", "path": "extract.osm"}}},
        "resolve": {"source": {"kind": "wikidata", "wikimedia": wikimedia}},
        "ground": {"source": {"kind": "commons", "wikimedia": wikimedia}},
        "text": {"source": {"kind": "wikipedia", "wikimedia": wikimedia}},
        "aerial": {"source": aerial, "size": 64},
        "index": {"source": aerial, "size": 64, "points": 3},
        "split": {"query_share": 0.3},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"recipe": "landmarks", "name": "loopback", "seed": 1, "stages": stages}))
    return path


def test_a_run_of_real_sources_keeps_the_limits_and_ends_the_same_after_a_kill(tmp_path: Path) -> None:
    world, extract = small_world(LANDMARKS, PHOTOGRAPHS)
    with WikimediaServer(world, maxlag=(3, 9), throttled=(5, 21)) as server:
        config = write_config(tmp_path, server, extract)
        killed, alone = tmp_path / "killed", tmp_path / "alone"
        run = start_run(config, killed, 2)
        while len(server.asked("file")) < LANDMARKS * PHOTOGRAPHS // 2:
            assert run.poll() is None, said_by(killed).read_text()
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        killed_at = time.monotonic()
        assert start_run(config, killed, 2).wait(240) == 0, said_by(killed).read_text()
        log = list(server.log)
        assert_limits_kept(server, log, killed_at)
        assert start_run(config, alone, 0).wait(240) == 0, said_by(alone).read_text()
    assert_same(published(killed), published(alone))
    images = pq.read_table(killed / "release" / "manifest.parquet").to_pylist()
    ground = [row for row in images if row["modality"] == "ground" and row["verdict"] == "accepted"]
    assert len(ground) == LANDMARKS * PHOTOGRAPHS + 3  # of the specimens: moved, without author, with markup
    assert all(row["image_licence"] == "CC-BY-SA-4.0" and row["page_url"] and row["image_source"] for row in ground)
    assert sum("author not stated" in row["image_attribution"] for row in ground) == 1
    assert all(row["author"] or "author not stated" in row["image_attribution"] for row in ground)
    landmarks = pq.read_table(killed / "release" / "landmarks.parquet").to_pylist()
    assert {row["state"] for row in landmarks} == {"Nebraska"}
    assert_verifies(killed)


def assert_limits_kept(server: WikimediaServer, log: list[Asked], killed_at: float) -> None:
    """Check the log of a run that was killed once."""
    given = Counter(each.address for each in log if each.given)
    # What was under way when everything was killed reached nobody, and is asked again: at most what may be under way.
    lost = {each.address for each in log if each.given and each.started < killed_at < (each.ended or killed_at) + 0.5}
    assert {address for address, count in given.items() if count > 1} <= lost
    assert len(lost) <= 5
    assert max(given.values()) <= 2
    assert 1 <= server.most["file"] <= 2
    assert 1 <= server.most["api"] <= 3
    assert all("https://mapdata.invalid/contact" in each.agent for each in log)
    assert server.asked("foreign") == []
    assert Counter(each.status for each in log if each.kind == "file")[429] == 2
    files = [each for each in log if each.kind == "file" and each.bytes]
    for part in (
        [each for each in files if each.ended <= killed_at],
        [each for each in files if each.started > killed_at],
    ):
        first, last = min(each.started for each in part), max(each.ended for each in part)
        burst = 2 * max(each.bytes for each in part)  # two may begin before the first byte is counted
        assert sum(each.bytes for each in part) <= BYTES_PER_SECOND * (last - first) + burst
    _assert_pauses_are_kept(log)


def _assert_pauses_are_kept(log: list[Asked]) -> None:
    """After "wait a second", nothing begins for a second, but for what another process had begun to send."""
    api = [each for each in log if each.kind == "api"]
    for busy in (each for each in api if not each.given and each.ended):
        early = [each for each in api if busy.ended + 0.1 < each.started < busy.ended + 0.9]
        assert early == []
