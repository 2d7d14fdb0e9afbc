"""Releases of strangers: verification answers whatever they hold, and reading one reaches nothing outside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import zarr

from catalog.checksums import digest, read_checksums, write_checksums
from catalog.dataset import open_dataset
from catalog.errors import CatalogError
from catalog.manifest import read_manifest, write_manifest
from catalog.pairs import SCHEMA
from catalog.verify import verify_apart, verify_release

pytestmark = pytest.mark.integration

L = "MapData/001/1/L/001_1_0000_0000.png"
MEMORY = 2**31  # bytes; what a release of 48 pairs needs many times over


@pytest.fixture(scope="module")
def pristine(whole_release) -> Path:
    return whole_release


@pytest.fixture
def release(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "release"))


def _seal(release: Path, *names: str) -> None:
    digests = read_checksums(release / "checksums.b3")
    write_checksums(release / "checksums.b3", digests | {name: digest(release / name) for name in names})


def _replace(release: Path, name: str, make: Callable[[Path], object]) -> None:
    path = release / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)


@pytest.mark.parametrize(
    "name",
    [
        "release.json",
        "manifest.parquet",
        "checksums.b3",
        "croissant.json",
        "stac/catalog.json",
        "stac/pairs.parquet",
        "stac/items/001_1.json",
        "stac/items",
        L,
        "mapdata.zarr/map/zarr.json",
        "mapdata.zarr/map/c/0/0/0/0",
        "extra",
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to(path),  # a loop
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/etc"),
        lambda path: path.mkdir(),
    ],
    ids=["pipe", "loop", "device", "folder outside", "folder"],
)
def test_a_special_file_anywhere_is_a_problem_and_never_read(release, name, make):
    _replace(release, name, make)
    if name == "extra" and (release / "extra").is_dir() and not (release / "extra").is_symlink():
        return  # an empty folder is no file
    assert verify_release(release)


def test_nested_json_is_a_problem(release):
    for name in ("release.json", "stac/items/001_1.json", "stac/collection.json", "croissant.json"):
        for text in ("[" * 10**6, '{"a":' * 10**6, "[" * 900 + "]" * 900):
            before = (release / name).read_bytes()
            (release / name).write_text(text)
            _seal(release, name)
            assert any(problem.path == name for problem in verify_release(release)), (name, text[:3])
            (release / name).write_bytes(before)


def test_a_value_nested_below_the_limit_of_the_parser_is_a_problem(release):
    name = "stac/items/001_1.json"
    value: object = 1
    for _ in range(500):
        value = {"geometry": value}
    item = json.loads((release / name).read_text())
    (release / name).write_text(json.dumps(item | {"geometry": value}))
    _seal(release, name)
    assert any(problem.path == name for problem in verify_release(release))


def _manifest_of_one_row_repeated(release: Path, rows: int) -> None:
    """Write a small file that decompresses to very much: one long value, repeated by run lengths."""
    table = read_manifest(SCHEMA, release).slice(0, 1)
    value = pa.array(["x" * 100_000])
    columns = {}
    for field in SCHEMA.manifest:
        one = value if field.name == "map_source" else table[field.name].combine_chunks()
        columns[field.name] = one.take(pa.array(np.zeros(rows, np.int8))) if field.name != "map_source" else None
    columns["map_source"] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), value)
    pq.write_table(pa.table(columns), release / "manifest.parquet", compression="zstd", store_schema=False)


def test_a_decompression_bomb_is_refused_within_the_memory_bound(release):
    _manifest_of_one_row_repeated(release, 200_000)  # 20 GB of text
    assert (release / "manifest.parquet").stat().st_size < 5e6
    _seal(release, "manifest.parquet")
    command = (
        "import resource, sys; from pathlib import Path; from catalog.verify import verify_apart\n"
        f"found = verify_apart(Path(sys.argv[1]), {MEMORY}); assert found; print(*found)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", command, str(release)], capture_output=True, text=True, check=True)
    assert "manifest.parquet" in done.stdout or "broke off" in done.stdout
    assert int(done.stdout.splitlines()[-1]) * 1024 < 2 * MEMORY


def test_a_table_that_claims_a_billion_rows_is_refused(release, monkeypatch):
    monkeypatch.setattr("raster.untrusted._ROWS", 47)
    assert any("claims 48 rows" in problem.what for problem in verify_release(release))
    with pytest.raises(CatalogError, match="claims 48 rows"):
        open_dataset(release)


def test_a_store_that_claims_a_billion_pairs_is_refused(release):
    for name in ("pair_id", "map"):
        path = release / "mapdata.zarr" / name / "zarr.json"
        value = json.loads(path.read_text())
        value["shape"][0] = 10**9
        path.write_text(json.dumps(value))
        _seal(release, f"mapdata.zarr/{name}/zarr.json")
    found = {problem.path for problem in verify_apart(release, MEMORY)}
    assert {"mapdata.zarr/pair_id", "mapdata.zarr/map"} <= found


def test_names_that_steer_a_terminal_are_shown_harmless(release):
    (release / "a\x1b[2Jb\udcff").write_text("x")
    (problem,) = verify_apart(release)
    assert problem.path == "a\\x1b[2Jb\\udcff"
    assert str(problem).isprintable()


@pytest.mark.parametrize("name", ["extra.bin", L])
def test_a_file_of_holes_is_a_problem_and_never_read(release, name):
    with (release / name).open("wb") as file:
        file.truncate(2**43)
    digests = read_checksums(release / "checksums.b3")
    write_checksums(release / "checksums.b3", {name: "0" * 64} | digests)
    assert any(problem.path == name and "8796093022208 bytes" in problem.what for problem in verify_release(release))


def test_a_store_whose_metadata_are_endless_is_not_opened(release):
    place = release / "mapdata.zarr/zarr.json"
    place.write_text(place.read_text()[:-1] + "," + '"attributes": [' + "[]," * 7_000_000 + "[]]}")
    with pytest.raises(CatalogError, match=r"zarr\.json has more than"):
        open_dataset(release, layout="zarr")[0]


def test_many_problems_end(release, monkeypatch):
    monkeypatch.setattr("catalog.verify._MOST", 10)
    for index in range(20):
        (release / f"extra{index}").write_text("x")
    assert len(verify_release(release)) == 10


@pytest.mark.parametrize("layout", ["folders", "zarr"])
def test_the_process_apart_says_what_verification_says(release, layout):
    assert verify_apart(release) == []
    (release / (L if layout == "folders" else "mapdata.zarr/map/c/0/0/0/0")).write_bytes(b"x")
    assert verify_apart(release) == verify_release(release) != []


def _point_outside(release: Path, target: str | None) -> None:
    table = read_manifest(SCHEMA, release)
    paths = pc.if_else(pc.is_null(table["map_path"]), None, pa.scalar(target, pa.string()))
    table = table.set_column(table.column_names.index("map_path"), table.schema.field("map_path"), paths)
    write_manifest(table, release / "manifest.parquet")


@pytest.mark.parametrize(
    "target", ["/etc/hostname", "../outside.png", "MapData/../../outside.png", "a\0b", "loop", "pipe"]
)
def test_a_dataset_reads_nothing_outside_its_release(release, target):
    shutil.copy(release / L, release.parent / "outside.png")
    (release / "loop").symlink_to("loop")
    os.mkfifo(release / "pipe")
    _point_outside(release, target)
    with pytest.raises(CatalogError, match="verify"):
        open_dataset(release)[0]
    assert any(problem.path == "manifest.parquet" for problem in verify_release(release))


@pytest.mark.parametrize("index", [-1, 45, 2**31 - 1, None])
def test_a_dataset_takes_no_image_of_a_position_that_is_none(release, index):
    table = read_manifest(SCHEMA, release)
    at, kind = table.column_names.index("zarr_index"), table.schema.field("zarr_index")
    write_manifest(
        table.set_column(at, kind, pa.array([index] * table.num_rows, kind.type)), release / "manifest.parquet"
    )
    with pytest.raises(CatalogError, match="verify the release"):
        open_dataset(release, layout="zarr")[0]


def test_a_dataset_asks_for_no_file_that_is_not_named(release):
    _point_outside(release, None)
    with pytest.raises(CatalogError, match="names no file"):
        open_dataset(release)[0]


def test_a_dataset_follows_no_link_out_of_its_release(release):
    shutil.copy(release / L, release.parent / "outside.png")
    _replace(release, L, lambda path: path.symlink_to(release.parent / "outside.png"))
    with pytest.raises(CatalogError, match="no plain file inside the release"):
        open_dataset(release)[0]
    shard = "mapdata.zarr/map/c/0/0/0/0"
    shutil.copy(release / shard, release.parent / "shard")
    _replace(release, shard, lambda path: path.symlink_to(release.parent / "shard"))
    with pytest.raises(CatalogError, match="no plain file"):
        open_dataset(release, layout="zarr")[0]


def test_a_release_that_is_itself_reached_by_a_link_opens(release):
    (release.parent / "link").symlink_to(release)
    assert len(open_dataset(release.parent / "link")) == 30
    assert verify_release(release.parent / "link") == []
    assert zarr.open_group(release.parent / "link/mapdata.zarr", mode="r")["map"].shape[0] == 45


def _refused_within_memory(release: Path, code: str) -> str:
    """Run code that opens a release `r` in a process of bounded memory; return the error that it prints."""
    command = (
        "import resource, sys, torch; from pathlib import Path\n"
        "from catalog.dataset import open_dataset; from catalog.errors import CatalogError\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY},) * 2); r = Path(sys.argv[1])\n"
        f"try: {code}\nexcept CatalogError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", command, str(release)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_dataset_does_not_unpack_a_table_of_a_long_text_repeated(release):
    _manifest_of_one_row_repeated(release, 200_000)
    assert "manifest.parquet" in _refused_within_memory(release, "open_dataset(r)")


def test_a_dataset_decodes_no_image_of_another_size(release):
    (release / L).write_bytes(_blank_png(100, 90))
    with pytest.raises(CatalogError, match="the manifest says 64 px; verify the release"):
        open_dataset(release)[0]
    (release / L).write_bytes(_blank_png(9_000, 9_000))
    assert "verify the release" in _refused_within_memory(release, "open_dataset(r)[0]")


def _blank_png(width: int, height: int) -> bytes:
    """A grey picture of one colour: some kilobytes for a gigabyte."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)

    packer, rows = zlib.compressobj(9), b""
    for _ in range(height):
        rows += packer.compress(bytes(width + 1))
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows + packer.flush()) + chunk(b"IEND", b"")


@pytest.mark.parametrize("claims_its_size", [True, False])
def test_a_dataset_unpacks_no_zstd_bomb(release, claims_its_size):
    """The first chunk of a shard becomes a frame of four gigabytes, which says so or does not."""
    shard = release / "mapdata.zarr/map/c/0/0/0/0"
    content = shard.read_bytes()
    stream = pa.BufferOutputStream()
    if claims_its_size:
        bomb = pa.Codec("zstd").compress(bytes(2**20), asbytes=True) * 4096
    else:
        with pa.CompressedOutputStream(stream, "zstd") as packed:
            for _ in range(4096):
                packed.write(bytes(2**20))
        bomb = stream.getvalue().to_pybytes()
    index_bytes = 16 * 100 + 4
    index = np.frombuffer(content[-index_bytes:-4], "<u8").reshape(100, 2).copy()
    index[:45] = 0, len(bomb)
    packed_index = index.tobytes()
    shard.write_bytes(bomb + packed_index + google_crc32c.value(packed_index).to_bytes(4, "little"))
    assert "verify the release" in _refused_within_memory(release, "open_dataset(r, layout='zarr')[0]")


@pytest.mark.parametrize("claim", [("shape", [45, 20000, 20000, 3]), ("chunk_shape", None), ("codec", "gzip")])
def test_a_dataset_reads_no_array_that_claims_more_than_the_manifest(release, claim):
    path = release / "mapdata.zarr/map/zarr.json"
    value = json.loads(path.read_text())
    what, wanted = claim
    sharding = value["codecs"][0]["configuration"]
    if what == "shape":
        value["shape"] = wanted
    elif what == "codec":
        sharding["codecs"][1] = {"name": wanted, "configuration": {"level": 1}}
    else:
        sharding["chunk_shape"] = value["chunk_grid"]["configuration"]["chunk_shape"]
    path.write_text(json.dumps(value))
    with pytest.raises(CatalogError, match="map"):
        open_dataset(release, layout="zarr")[0]
