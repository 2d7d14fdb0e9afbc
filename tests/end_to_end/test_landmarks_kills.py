"""The recipe `landmarks` under `kill -9` of its driver or a worker, again and again: the same release to a byte."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from aiohttp import web
from file_server import FileServer
from kills import run_under_kills

from pipeline.files import TEMPORARY_PREFIX

pytestmark = pytest.mark.end_to_end

LANDMARKS = 30
DRIVER_KILLS, WORKER_KILLS = 9, 13


def picture(seed: int, width: int, height: int) -> bytes:
    """Return a JPEG that is like no other seed's."""
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 16, width // 16, 3), np.uint8)
    done, code = cv2.imencode(".jpg", cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    assert done
    return bytes(code.tobytes())


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> FileServer:
    """Return a tile service that has any tile."""
    return FileServer(tmp_path_factory.mktemp("tiles"))


def write_config(folder: Path, service: str) -> Path:
    """Write an extract of squares, their photographs and texts, and the configuration that makes landmarks of them."""
    nodes, ways = [], []
    (folder / "texts").mkdir()
    for n in range(LANDMARKS):
        lon, lat = -100 + 0.1 * n, 40 + 0.03 * n
        corners = ((0, 0), (0.001, 0), (0.001, 0.001), (0, 0.001))
        ids = [n * 10 + k + 1 for k in range(4)]
        for k, (dx, dy) in zip(ids, corners, strict=True):
            nodes.append(f'<node id="{k}" lat="{lat + dy:.6f}" lon="{lon + dx:.6f}" version="1"/>')
        refs = "".join(f'<nd ref="{each}"/>' for each in [*ids, ids[0]])
        tags = f'<tag k="wikidata" v="Q{n + 1}"/><tag k="name" v="Hall {n}"/><tag k="building" v="yes"/>'
        ways.append(f'<way id="{n + 1}" version="1">{refs}{tags}</way>')
        photographs = folder / "photographs" / f"Q{n + 1}"
        photographs.mkdir(parents=True)
        for k in range(3):
            (photographs / f"{k}.jpg").write_bytes(picture(n * 10 + k, 320, 240))
        lines = [f"{k}.jpg,CC BY 4.0,Ann,https://example.invalid/{n}/{k}.jpg" for k in range(3)]
        (photographs / "attribution.csv").write_text("\n".join(["file,licence,author,source_url", *lines]))
        text = {"title": f"Hall {n}", "sections": {"": "It is a hall."}, "licence": "CC0-1.0", "attribution": "Ann"}
        (folder / "texts" / f"Q{n + 1}.json").write_text(json.dumps(text))
    (folder / "extract.osm").write_text(f'<osm version="0.6">{"".join(nodes)}{"".join(ways)}</osm>')
    aerial = {
        "kind": "tiles", "url": f"{service}/{{z}}/{{x}}/{{y}}.jpg", "year": 2024, "licence": "CC0-1.0",
        "attribution": "loopback", "rate_limits": {"requests_per_second": None},
    }  # fmt: skip
    stages = {
        "select": {"sources": {"extract": {"kind": "osm", "path": "extract.osm"}}},
        "resolve": {"source": {"kind": "given"}},
        "ground": {"source": {"kind": "folder", "path": "photographs"}},
        "outdoor": {"classifier": {"kind": "colour-rule"}},
        "text": {"source": {"kind": "files", "path": "texts"}},
        "aerial": {"source": aerial, "size": 64},
        "index": {"source": aerial, "size": 64, "points": 20},
        "split": {"query_share": 0.2},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"recipe": "landmarks", "name": "killed", "seed": 1, "stages": stages}))
    return path


def start(config: Path, workspace: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mapdata", "run", str(config), "--workspace", str(workspace)]
    return subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def published(workspace: Path) -> Mapping[str, bytes]:
    """Return the files of the release and of its page by path."""
    return {
        path.relative_to(workspace).as_posix(): path.read_bytes()
        for part in ("release", "release-page")
        for path in (workspace / part).rglob("*")
        if path.is_file()
    }


def test_landmarks_survive_kills_and_any_number_of_workers(tmp_path: Path, tiles: FileServer) -> None:
    def tile(request: web.Request) -> web.StreamResponse:
        seed = sum(ord(letter) * 31**n for n, letter in enumerate(request.path)) % 10**9
        return web.Response(body=picture(seed, 256, 256), content_type="image/jpeg")

    seed = random.randrange(10_000)
    print(f"random seed {seed}")
    moments = random.Random(seed)
    tiles.special = tile
    with tiles:
        config = write_config(tmp_path, tiles.url)
        for workers in (0, 1):
            assert start(config, tmp_path / f"workers-{workers}", workers).wait(300) == 0
        victims = ["driver"] * DRIVER_KILLS + ["worker"] * WORKER_KILLS
        moments.shuffle(victims)
        workspace = tmp_path / "killed"
        killed = run_under_kills(lambda: start(config, workspace, 2), workspace, victims, moments, 0.15)
    print(f"{killed} kills")
    assert killed >= 20
    expected = published(tmp_path / "workers-0")
    assert sum(path.endswith(".jpg") for path in expected) > 4 * LANDMARKS
    for other in (tmp_path / "workers-1", workspace):
        made = published(other)
        assert made.keys() == expected.keys()
        assert [path for path in made if made[path] != expected[path]] == []
    assert not list(workspace.rglob(f"{TEMPORARY_PREFIX}*"))
    verified = subprocess.run([sys.executable, "-m", "mapdata", "verify", "--workspace", str(workspace)], check=False)
    assert verified.returncode == 0
