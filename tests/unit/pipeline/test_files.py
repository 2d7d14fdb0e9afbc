"""Durable files: whole under their name or not there at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DiskFullError, PermanentError
from pipeline.files import (
    TEMPORARY_PREFIX,
    atomic_path,
    digest_bytes,
    digest_file,
    digest_json,
    read_json,
    sweep_temporary,
    write_bytes,
    write_json,
)

pytestmark = pytest.mark.unit

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_digest_is_blake3_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert digest_file(path) == digest_bytes(b"abc" * 100_000) == blake3(b"abc" * 100_000).hexdigest()
    # BLAKE3 of the empty string, from its published test vectors.
    assert digest_bytes(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_digest_of_json_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert digest_json(value) == digest_json(dict(reversed(value.items())))
    assert digest_json(value) == digest_json(json.loads(json.dumps(value)))


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file.txt"
    write_bytes(path, b"old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"new, but unfinis")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_half()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_full_disk_is_named_whatever_the_library_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_in_vain(error: Exception) -> None:
        with atomic_path(tmp_path / "a.tif"):
            raise error

    full = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr("pipeline.files.shutil.disk_usage", lambda path: full)
    with pytest.raises(DiskFullError, match=r"a\.tif: no space left on its disk \(Write failed"):
        write_in_vain(RuntimeError("Write failed. See previous exception for details."))
    with pytest.raises(PermanentError, match="no CRS"):
        write_in_vain(PermanentError("no CRS"))


def test_a_temporary_file_keeps_the_suffix_and_is_swept(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.tif") as temporary:
        assert temporary.suffix == ".tif"
        assert temporary.name.startswith(TEMPORARY_PREFIX)
        temporary.write_bytes(b"x")
    (tmp_path / "deep" / f"{TEMPORARY_PREFIX}folder").mkdir(parents=True)
    (tmp_path / "deep" / f"{TEMPORARY_PREFIX}folder" / "inside").write_bytes(b"x")
    (tmp_path / "deep" / f"{TEMPORARY_PREFIX}file").write_bytes(b"x")
    assert sweep_temporary(tmp_path) == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.tif"]


def test_json_files_have_the_same_bytes_for_the_same_value(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "a": [1.5, "é"]})
    write_json(tmp_path / "b", {"a": [1.5, "é"], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "c", {"a": float("nan")})
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", "[" * 100_000, "\0", '{"a": [1]}'])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(PermanentError, match=r"a\.json: missing or damaged"):
        read_json(tmp_path / "a.json", lambda value: int(value["a"]))


def test_a_json_file_is_parsed(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 3})
    assert read_json(tmp_path / "a.json", lambda value: int(value["a"])) == 3
