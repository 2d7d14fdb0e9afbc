"""Releases read from a web server with ranges and from an S3 server, both on loopback, as little trusted as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import torch
from aiohttp import web
from file_server import FileServer
from fsspec.implementations.local import LocalFileSystem

from catalog import publish as publishing
from catalog.build import build_release
from catalog.checksums import files_below
from catalog.dataset import open_dataset
from catalog.errors import CatalogError
from catalog.model import Format
from catalog.pairs import SCHEMA
from catalog.publish import publish_release
from catalog.remote import RemoteFolder

pytestmark = pytest.mark.integration

SHARD = "mapdata.zarr/visible/c/0/0/0/0"


@pytest.fixture
def server(whole_release: Path) -> Iterator[FileServer]:
    with FileServer(whole_release) as running:
        yield running


def test_a_web_server_gives_the_same_pairs_by_ranges_of_the_store(server: FileServer, whole_release: Path) -> None:
    near, far = (open_dataset(place, "test", dtype=torch.uint8) for place in (whole_release, server.url))
    assert far.table.equals(near.table)
    server.log.clear()
    for expected, found in zip((near[4], near[9]), far.__getitems__([4, 9]), strict=True):
        assert found["pair_id"] == expected["pair_id"]
        for side in ("map", "visible"):
            assert torch.equal(found[side], expected[side])
    asked = [header for path, header in server.log if path == SHARD]
    assert asked
    assert all(asked)  # never the whole shard
    assert "bytes=-1604" in asked  # its index


def test_a_web_server_gives_the_same_pairs_of_the_folders(server: FileServer, whole_release: Path) -> None:
    far = open_dataset(server.url, layout="folders", dtype=torch.uint8)
    assert torch.equal(far[3]["map"], open_dataset(whole_release, dtype=torch.uint8)[3]["map"])


def test_forked_workers_read_from_afar(server: FileServer) -> None:
    far = open_dataset(server.url, "test")
    far[0]  # a connection of this process, which forked workers must not use
    loader = torch.utils.data.DataLoader(far, batch_size=8, num_workers=1, multiprocessing_context="fork", timeout=120)
    assert [name for batch in loader for name in batch["pair_id"]] == far.table["pair_id"].to_pylist()


def test_an_answer_longer_than_asked_for_is_refused(server: FileServer) -> None:
    far = open_dataset(server.url, "test")
    served: list[int] = []

    class Endless(web.StreamResponse):
        async def prepare(self, request: web.BaseRequest) -> web.AbstractStreamWriter | None:
            writer = await super().prepare(request)
            for _ in range(64):
                await self.write(bytes(2**20))
                served.append(1)
            return writer

    server.special = lambda request: Endless(status=206) if request.path.endswith(SHARD) else None
    with pytest.raises(CatalogError, match="sent more than the"):
        far[0]
    assert len(served) < 32


@pytest.mark.parametrize(
    "name", ["../release.json", "/etc/passwd", "a?b", "a%2e%2e/b", "https://elsewhere.org/x", "a\0"]
)
def test_a_name_that_leads_elsewhere_is_never_asked_for(server: FileServer, name: str) -> None:
    with pytest.raises(CatalogError, match="no plain file inside the release"):
        RemoteFolder(server.url).read(name, 10)
    assert server.log == []


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@h.example/r", "s3://AKIA:hunter2@bucket/r", "https://h.example/r?sig=hunter2"]
)
def test_an_address_with_credentials_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(CatalogError, match="from the environment") as refused:
        open_dataset(url)
    assert "hunter2" not in str(refused.value)


def test_what_is_not_there_or_too_large_is_named(server: FileServer) -> None:
    with pytest.raises(CatalogError, match=r"/nothing/release\.json: is not there"):
        open_dataset(f"{server.url}/nothing")
    with pytest.raises(CatalogError, match="has more than 10 bytes"):
        RemoteFolder(server.url).read("release.json", 10)
    with pytest.raises(CatalogError, match="cannot be opened here"):
        open_dataset("gopher://example.org/release")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Serve an empty bucket by moto, whose S3 knows ranges and multipart uploads."""
    server_module = pytest.importorskip("moto.server", reason="needs the extra `interop`")
    pytest.importorskip("s3fs", reason="needs the extra `interop`")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.get_host_and_port()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        fsspec.filesystem("s3").mkdir("data-of-maps")
        yield "s3://data-of-maps"
    server.stop()


@pytest.fixture(scope="module")
def small_release(tmp_path_factory: pytest.TempPathFactory, make_contents) -> Path:
    """A release of few files, as each is a request or more."""
    contents, root = make_contents(tmp_path_factory.mktemp("small"), "npy")
    build_release(SCHEMA, contents, root, root / "release", [Format.ZARR])
    return root / "release"


def test_a_release_goes_to_a_bucket_and_is_read_from_it(
    bucket: str, small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, journal, names = f"{bucket}/release", tmp_path / "journal", files_below(small_release)
    copy, copied = publishing._copy, []

    def break_off(file: Path, *arguments: object) -> None:
        if len(copied) == 5:
            raise OSError("the line is cut")
        copied.append(file)
        copy(file, *arguments)

    monkeypatch.setattr(publishing, "_copy", break_off)
    monkeypatch.setattr(publishing, "_TRANSFERS", 1)
    with pytest.raises(OSError, match="the line is cut"):
        publish_release(small_release, url, journal)
    with pytest.raises(CatalogError, match=r"checksums\.b3: is not there"):
        RemoteFolder(url).read("checksums.b3", 1_000)  # the mark of a whole release
    monkeypatch.undo()
    told: list[tuple[int, int]] = []
    done = publish_release(small_release, url, journal, lambda *amounts: told.append(amounts))
    assert (done.files, done.kept) == (len(names) - 5, 5)
    assert told[-1][0] == told[-1][1] == sum((small_release / name).stat().st_size for name in names)
    assert publish_release(small_release, url, journal).files == 0
    assert differing(url, small_release) == []
    far, near = (open_dataset(place, "test", dtype=torch.uint8) for place in (url, small_release))
    assert torch.equal(far[5]["visible"], near[5]["visible"])


def differing(url: str, release: Path) -> list[str]:
    """Return the files of which there is something else at an address."""
    there = RemoteFolder(url)
    return [name for name in files_below(release) if there.read(name, 2**24) != (release / name).read_bytes()]


def test_nothing_is_published_over_something_else(bucket: str, small_release: Path, tmp_path: Path) -> None:
    system = fsspec.filesystem("s3")
    system.pipe_file(f"{bucket}/other/note.txt", b"a note")
    with pytest.raises(CatalogError, match=r"holds note\.txt, which is not of this release"):
        publish_release(small_release, f"{bucket}/other", tmp_path / "journal")
    system.pipe_file(f"{bucket}/older/checksums.b3", b"another")
    with pytest.raises(CatalogError, match="holds another release"):
        publish_release(small_release, f"{bucket}/older", tmp_path / "journal")
    with pytest.raises(CatalogError, match="name a bucket"):
        publish_release(small_release, "https://example.org/release", tmp_path / "journal")
    (tmp_path / "file").write_bytes(b"a note")
    with pytest.raises(CatalogError, match="is a file; name a folder"):
        publish_release(small_release, (tmp_path / "file").as_uri(), tmp_path / "journal")


def test_a_mounted_folder_takes_a_release(small_release: Path, tmp_path: Path) -> None:
    target = tmp_path / "share/release"
    publish_release(small_release, target.as_uri(), tmp_path / "journal")
    assert files_below(target) == files_below(small_release)
    assert differing(target.as_uri(), small_release) == []


def test_a_copy_that_was_spoilt_on_the_way_is_named(
    small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(system: LocalFileSystem, source: str, target: str) -> None:
        system.pipe_file(target, b"something else")

    monkeypatch.setattr(LocalFileSystem, "put_file", spoil)
    with pytest.raises(CatalogError, match="has not the content of the release"):
        publish_release(small_release, (tmp_path / "share").as_uri(), tmp_path / "journal")
