"""Rasters from tile services: the real Swiss tiles, served on loopback with every fault, are assembled byte by byte."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from PIL import Image
from shapely import Polygon
from tile_server import FAULTS, PLACEHOLDER, TileServer, of_folder

from pipeline.errors import PermanentError, TransientError
from pipeline.files import digest_bytes, digest_file
from stages.acquire.mbtiles import MBTilesSource
from stages.acquire.service import TileServiceSource
from stages.acquire.source import Site
from stages.acquire.tiles import TileMatrix
from stages.rasters import open_raster, write_raster

pytestmark = pytest.mark.integration

X, Y, COLUMNS, ROWS, ZOOM = 69030, 46112, 8, 5, 17
WORDS = {"source": "swissimage", "licence": "OGD", "attribution": "© swisstopo"}
QUICK = {"requests_per_second": None, "concurrent": 8, "timeout_s": 0.5, "wait_s": 0.02}


@pytest.fixture
def server(shared_data: Path) -> Iterator[TileServer]:
    with TileServer(of_folder(shared_data / "tiles")) as server:
        yield server


def site_of(x: float, y: float, columns: float, rows: float) -> Site:
    """Return a site over tiles, in tile coordinates of the zoom."""
    grid = TileMatrix(ZOOM, 256).grid
    corners = np.array([[x, y], [x + columns, y], [x + columns, y + rows], [x, y + rows]]) * 256 - 0.5
    return Site("001", "1", Polygon(grid.to_lonlat(corners)), 0.8, "")


SITE = site_of(X, Y, COLUMNS, ROWS)


def source(server: TileServer, **changes: object) -> TileServiceSource:
    fields = {
        "kind": "tiles",
        "url": server.url + "/swissimage/{z}/{x}/{y}.jpg",
        "zoom": ZOOM,
        "rate_limits": QUICK,
        "placeholders": [digest_bytes(PLACEHOLDER)],
    }
    return TileServiceSource.model_validate(fields | WORDS | changes)


def acquire(server: TileServer, workspace: Path, site: Site = SITE, **changes: object) -> Path:
    path = workspace / "raster.tif"
    with source(server, **changes).open(site, workspace) as strips:
        write_raster(path, strips.grid, strips.pixels, {})
    return path


def test_a_raster_is_the_mosaic_of_its_tiles(server: TileServer, tmp_path: Path, shared_data: Path) -> None:
    path = acquire(server, tmp_path)
    with open_raster(path) as raster:
        pixels, _ = raster.read(0, 0, raster.grid.width, raster.grid.height)
        assert (raster.grid.crs, raster.grid.width, raster.grid.height) == ("EPSG:3857", COLUMNS * 256, ROWS * 256)
    tile = Image.open(shared_data / f"tiles/swissimage/{ZOOM}/{X + 3}/{Y + 2}.jpg")
    difference = np.abs(pixels[512:768, 768:1024].astype(int) - np.asarray(tile.convert("RGB")))
    assert difference.max() <= 3  # two decoders


def test_a_window_of_pixels_is_cut_within_the_tiles(server: TileServer, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    with open_raster(acquire(server, whole)) as raster:
        pixels, _ = raster.read(0, 0, raster.grid.width, raster.grid.height)
    with open_raster(acquire(server, part, site_of(X + 0.5, Y + 0.25, 2.25, 1.5))) as raster:
        window, _ = raster.read(0, 0, raster.grid.width, raster.grid.height)
    assert window.shape == (384, 576, 3)
    assert np.array_equal(window, pixels[64:448, 128:704])


def test_every_fault_at_once_changes_no_byte(server: TileServer, tmp_path: Path) -> None:
    expected = digest_file(acquire(server, tmp_path / "calm"))
    names = list(FAULTS)
    paths: dict[str, int] = {}

    def fault(request: web.Request, path: str, k: int) -> object:
        number = paths.setdefault(path, len(paths))
        return FAULTS[names[number % len(names)]](request) if k == 1 and number % 3 != 2 else None

    server.fault = fault
    assert digest_file(acquire(server, tmp_path / "storm")) == expected


def test_a_host_down_for_a_while_is_waited_for(server: TileServer, tmp_path: Path) -> None:
    expected = digest_file(acquire(server, tmp_path / "calm"))
    down_until = time.time() + 2
    server.fault = lambda request, path, k: web.Response(status=503) if time.time() < down_until else None
    before = len(server.times)
    assert digest_file(acquire(server, tmp_path / "down")) == expected
    assert len(server.times) - before < COLUMNS * ROWS + 40


def test_missing_tiles_are_no_data(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, path, k: web.Response(status=404) if path.endswith(f"{X + 1}/{Y}.jpg") else None
    with open_raster(acquire(server, tmp_path)) as raster:
        _, mask = raster.read(0, 0, 512, 256)
    assert mask is not None
    assert mask[:, :256].all()
    assert not mask[:, 256:].any()


def test_what_was_fetched_is_not_asked_for_again(server: TileServer, tmp_path: Path) -> None:
    def fail_late(request: web.Request, path: str, k: int) -> web.Response | None:
        return web.Response(status=503) if path.endswith(f"{Y + ROWS - 1}.jpg") else None

    server.fault = fail_late
    with pytest.raises(TransientError, match="status 503"):
        acquire(server, tmp_path, rate_limits=QUICK | {"attempts": 2})
    assert not (tmp_path / "raster.tif").exists()
    asked = dict(server.asked)
    server.fault = None
    acquire(server, tmp_path)
    again = [path for path in asked if server.asked[path] > asked[path]]
    assert all(path.endswith(f"{Y + ROWS - 1}.jpg") for path in again)
    total = len(server.times)
    acquire(server, tmp_path)
    assert len(server.times) == total


def test_a_torn_cache_is_thrown_away(server: TileServer, tmp_path: Path) -> None:
    expected = digest_file(acquire(server, tmp_path))
    (store,) = (tmp_path / "cache").rglob("*.sqlite")
    store.write_bytes(store.read_bytes()[:5000] + b"garbage" * 1000)
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    assert digest_file(acquire(server, tmp_path)) == expected


def test_the_cache_keeps_to_its_budget(server: TileServer, tmp_path: Path) -> None:
    acquire(server, tmp_path)
    acquire(server, tmp_path, site_of(X + 1, Y, 2, 2), cache_gb=1.0)
    with pytest.raises(PermanentError, match="budget"):
        acquire(server, tmp_path, cache_gb=1e-5)


SCRIPT = """
import json, sys
from pathlib import Path
from typing import Any
from shapely import from_wkt
from stages.acquire.service import TileServiceSource
from stages.acquire.source import Site
from stages.rasters import write_raster
fields, outline, number, workspace = json.loads(sys.argv[1])
source = TileServiceSource.model_validate(fields)
with source.open(Site("001", number, from_wkt(outline), 0.8, ""), Path(workspace)) as strips:
    write_raster(Path(workspace) / f"{number}.tif", strips.grid, strips.pixels, {})
"""


def test_two_workers_and_a_restart_keep_the_limit(server: TileServer, tmp_path: Path) -> None:
    sites = {"1": site_of(X, Y, 6, 5), "2": site_of(X + 6, Y, 6, 5)}
    fields = source(server, rate_limits=QUICK | {"requests_per_second": 20.0}).model_dump(mode="json")

    def start(number: str) -> subprocess.Popen[bytes]:
        task = json.dumps([fields, sites[number].footprint.wkt, number, str(tmp_path)])
        return subprocess.Popen([sys.executable, "-c", SCRIPT, task])

    first, second = start("1"), start("2")
    deadline = time.monotonic() + 300
    while len(server.times) < 25 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.wait(300)
    again = start("1")
    assert [process.wait(300) for process in (second, again)] == [0, 0]
    assert server.most_in_window(1.0) <= 22  # 20, and chance of scheduling
    # Only what the killed worker had not yet stored is asked twice: a second's worth and those under way.
    assert len(server.times) <= 60 + 20 + 8
    for number, site in sites.items():
        expected = digest_file(acquire(server, tmp_path / f"alone{number}", site))
        assert digest_file(tmp_path / f"{number}.tif") == expected


def test_secrets_stay_secret(server: TileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TILE_KEY", "hush-hush-4711")
    keyed = {"url": server.url + "/swissimage/{z}/{x}/{y}.jpg?key={key}", "key_variable": "TEST_TILE_KEY"}
    acquire(server, tmp_path, **keyed)
    server.fault = lambda request, path, k: web.Response(status=403)
    with pytest.raises(PermanentError) as caught:
        acquire(server, tmp_path, site_of(X + 20, Y, 1, 1), **keyed)
    assert "hush" not in repr(caught.value) + source(server, **keyed).model_dump_json()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"hush-hush" not in file.read_bytes()
    monkeypatch.delenv("TEST_TILE_KEY")
    with pytest.raises(PermanentError, match="TEST_TILE_KEY"):
        acquire(server, tmp_path, **keyed)


def test_mbtiles_give_the_same_raster_as_the_service(server: TileServer, tmp_path: Path, shared_data: Path) -> None:
    file = tmp_path / "tiles.mbtiles"
    with sqlite3.connect(file) as database:
        database.execute(
            "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB)"
        )
        for x in range(X, X + COLUMNS):
            for y in range(Y, Y + ROWS):
                body = (shared_data / f"tiles/swissimage/{ZOOM}/{x}/{y}.jpg").read_bytes()
                database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (ZOOM, x, 2**ZOOM - 1 - y, body))
    mbtiles = MBTilesSource.model_validate({"kind": "mbtiles", "path": str(file)} | WORDS)
    with mbtiles.open(SITE, tmp_path) as strips:
        write_raster(tmp_path / "mbtiles.tif", strips.grid, strips.pixels, {})
    assert digest_file(tmp_path / "mbtiles.tif") == digest_file(acquire(server, tmp_path))


def png(size: int, grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (grey, grey, grey)).save(buffer, "PNG")
    return buffer.getvalue()


def write_mbtiles(
    path: Path, tiles: dict[tuple[int, int, int], object], metadata: dict[str, str] | None = None
) -> MBTilesSource:
    """Write tiles by (zoom, column, row as stored) with the tables that MBTiles 1.3 asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        database.executemany("INSERT INTO metadata VALUES (?, ?)", (metadata or {}).items())
        database.execute(
            "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB)"
        )
        database.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", [(*at, body) for at, body in tiles.items()])
    return MBTilesSource.model_validate({"kind": "mbtiles", "path": str(path)} | WORDS)


def greys(source: MBTilesSource, site: Site, workspace: Path) -> np.ndarray:
    with source.open(site, workspace) as strips:
        return np.concatenate([strip[..., 0].copy() for strip in strips.pixels])


@pytest.mark.parametrize("name", ["maps #1/a.mbtiles", "what?/a.mbtiles", "100%/a%20b.mbtiles", "ä {1}/a.mbtiles"])
def test_a_file_of_any_name_is_read_and_no_other_is_made(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "user"
    source = write_mbtiles(folder / name, {(ZOOM, X, 2**ZOOM - 1 - Y): png(256, 90)})
    before = sorted(folder.rglob("*"))
    assert (greys(source, site_of(X, Y, 1, 1), tmp_path) == 90).all()
    assert sorted(folder.rglob("*")) == before


def test_the_scheme_of_a_file_is_obeyed(tmp_path: Path) -> None:
    tiles = {(ZOOM, X, Y): png(256, 90), (ZOOM, X, 2**ZOOM - 1 - Y): png(256, 30)}
    south = write_mbtiles(tmp_path / "tms.mbtiles", tiles)
    north = write_mbtiles(tmp_path / "xyz.mbtiles", tiles, {"scheme": "xyz"})
    assert (greys(south, site_of(X, Y, 1, 1), tmp_path) == 30).all()
    assert (greys(north, site_of(X, Y, 1, 1), tmp_path) == 90).all()


def test_tiles_of_512_px_are_told_by_the_file(tmp_path: Path) -> None:
    source = write_mbtiles(tmp_path / "a.mbtiles", {(ZOOM, X, 2**ZOOM - 1 - Y): png(512, 90)})
    assert greys(source, site_of(X, Y, 1, 1), tmp_path).shape == (512, 512)


@pytest.mark.parametrize(
    ("body", "metadata", "words"),
    [
        (gzip.compress(b"\x1a\x05layer", mtime=0), {}, "vector tiles"),
        (b"\x1a\x05layer", {"format": "pbf"}, "vector tiles"),
        (b"\0\0\0 ftypavif" + bytes(100), {}, "AVIF"),
        ("text", {}, "no picture"),
    ],
)
def test_files_without_pictures_are_named_as_what_they_are(
    tmp_path: Path, body: object, metadata: dict[str, str], words: str
) -> None:
    source = write_mbtiles(tmp_path / "a.mbtiles", {(ZOOM, X, 2**ZOOM - 1 - Y): body}, metadata)
    with pytest.raises(PermanentError, match=words):
        greys(source, site_of(X, Y, 1, 1), tmp_path)


@pytest.mark.parametrize("zoom", ["sixteen", 17.5, -3, 40, None])
def test_zooms_that_are_none_do_not_count(tmp_path: Path, zoom: object) -> None:
    other: Any = {(zoom, X, Y): png(256, 30)}
    source = write_mbtiles(tmp_path / "a.mbtiles", {(ZOOM, X, 2**ZOOM - 1 - Y): png(256, 90)} | other)
    assert (greys(source, site_of(X, Y, 1, 1), tmp_path) == 90).all()
    with pytest.raises(PermanentError, match="holds no tiles of the zooms 0 to 24"):
        greys(write_mbtiles(tmp_path / "b.mbtiles", other), site_of(X, Y, 1, 1), tmp_path)


def test_a_site_across_the_antimeridian_takes_tiles_of_both_edges(server: TileServer, tmp_path: Path) -> None:
    last = 2**ZOOM - 1
    paths: list[str] = []

    def content(path: str) -> bytes:
        paths.append(path)
        return png(256, 60 if f"/{last}/" in path else 120)

    server.content = content
    box = Polygon(np.array([[179.999, -17.0], [-179.999, -17.0], [-179.999, -16.999], [179.999, -16.999]]))
    row = {"point_id": "001", "site_id": "1", "geometry": box.wkb, "gsd": 0.8, "stratum": ""}
    across = Site.from_row(row)
    load = source(server).load(across)
    with open_raster(acquire(server, tmp_path, across)) as raster:
        pixels, mask = raster.read(0, 0, raster.grid.width, raster.grid.height)
        west, _, east, _ = raster.grid.footprint().bounds
    assert mask.all()
    assert (pixels[:, 0] == 60).all()
    assert (pixels[:, -1] == 120).all()
    assert load is not None
    assert load.requests == len(set(paths)) == len(paths) <= 12
    assert east - west < 0.01 or east - west > 359.9


def test_retrying_asks_for_missing_tiles_again(server: TileServer, tmp_path: Path) -> None:
    server.fault = lambda request, path, k: web.Response(status=404)
    with open_raster(acquire(server, tmp_path)) as raster:
        _, mask = raster.read(0, 0, 256, 256)
    assert not mask.any()
    server.fault = None
    acquire(server, tmp_path)
    with open_raster(tmp_path / "raster.tif") as raster:
        _, mask = raster.read(0, 0, 256, 256)
    assert mask.all()


def test_a_damaged_tile_of_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tiles.mbtiles"
    buffer = io.BytesIO()
    Image.new("RGB", (256, 256)).save(buffer, "PNG")
    with sqlite3.connect(file) as database:
        database.execute(
            "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB)"
        )
        where = (ZOOM, X, 2**ZOOM - 1 - Y)
        database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (*where, buffer.getvalue()[:100]))
    mbtiles = MBTilesSource.model_validate({"kind": "mbtiles", "path": str(file)} | WORDS)
    with (
        pytest.raises(PermanentError, match=f"tile {ZOOM}/{X}/{Y}"),
        mbtiles.open(site_of(X, Y, 1, 1), tmp_path) as strips,
    ):
        list(strips.pixels)
