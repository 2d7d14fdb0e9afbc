"""The recipe `landmarks` under `kill -9` of its driver or a worker, again and again: the same release to a byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from file_server import FileServer
from kills import run_under_kills
from osm_squares import osm_squares
from runs import assert_same, assert_verifies, published, start_run
from tile_server import tile_at
from wikimedia import photograph

from pipeline.files import TEMPORARY_PREFIX

pytestmark = pytest.mark.end_to_end

LANDMARKS = 30
DRIVER_KILLS, WORKER_KILLS = 9, 13


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> FileServer:
    """Return a tile service that has any tile."""
    return FileServer(tmp_path_factory.mktemp("tiles"))


def write_config(folder: Path, service: str) -> Path:
    """Write an extract of squares, their photographs and texts, and the configuration that makes landmarks of them."""
    squares = []
    (folder / "texts").mkdir()
    for n in range(LANDMARKS):
        tags = {"wikidata": f"Q{n + 1}", "name": f"Hall {n}", "building": "yes"}
        squares.append((-100 + 0.1 * n, 40 + 0.03 * n, tags))
        photographs = folder / "photographs" / f"Q{n + 1}"
        photographs.mkdir(parents=True)
        for k in range(3):
            (photographs / f"{k}.jpg").write_bytes(photograph(n * 10 + k, (320, 240)))
        lines = [f"{k}.jpg,CC BY 4.0,Ann,https://example.invalid/{n}/{k}.jpg" for k in range(3)]
        (photographs / "attribution.csv").write_text("\n".join(["file,licence,author,source_url", *lines]))
        text = {"title": f"Hall {n}", "sections": {"": "It is a hall."}, "licence": "CC0-1.0", "attribution": "Ann"}
        (folder / "texts" / f"Q{n + 1}.json").write_text(json.dumps(text))
    (folder / "extract.osm").write_text(osm_squares(squares))
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


def test_landmarks_survive_kills_and_any_number_of_workers(tmp_path: Path, tiles: FileServer) -> None:
    def tile(request: web.Request) -> web.StreamResponse:
        return web.Response(body=tile_at(request.path), content_type="image/jpeg")

    tiles.special = tile
    with tiles:
        config = write_config(tmp_path, tiles.url)
        for workers in (0, 1):
            assert start_run(config, tmp_path / f"workers-{workers}", workers).wait(300) == 0
        workspace = tmp_path / "killed"
        killed = run_under_kills(lambda: start_run(config, workspace, 2), workspace, DRIVER_KILLS, WORKER_KILLS, 0.15)
    assert killed >= 20
    expected = published(tmp_path / "workers-0")
    assert sum(path.endswith(".jpg") for path in expected) > 4 * LANDMARKS
    for other in (tmp_path / "workers-1", workspace):
        assert_same(published(other), expected)
    assert not list(workspace.rglob(f"{TEMPORARY_PREFIX}*"))
    assert_verifies(workspace)
