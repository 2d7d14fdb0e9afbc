"""The list of digests."""

from __future__ import annotations

import hashlib

import pytest
from blake3 import blake3

from catalog.checksums import digest, multihash, read_checksums, write_checksums
from catalog.errors import CatalogError

pytestmark = pytest.mark.unit


def test_round_trip_is_sorted_and_keeps_spaces(tmp_path):
    digests = {"b/ two  spaces.png": "1" * 64, "a.json": "0" * 64}
    write_checksums(tmp_path / "c.b3", digests)
    assert read_checksums(tmp_path / "c.b3") == digests
    assert (tmp_path / "c.b3").read_text().splitlines()[0] == "0" * 64 + "  a.json"


def test_digest_is_blake3_and_multihash_names_it(tmp_path):
    (tmp_path / "f").write_bytes(b"map")
    assert digest(tmp_path / "f") == blake3(b"map").hexdigest() != hashlib.sha256(b"map").hexdigest()
    assert multihash("ab" * 32) == "1e20" + "ab" * 32  # 0x1e: BLAKE3, 0x20: 32 bytes


@pytest.mark.parametrize("content", ["abc  file\n", "0" * 64 + " file\n", "0" * 64 + "\n"])
def test_a_malformed_line_is_named(tmp_path, content):
    (tmp_path / "c.b3").write_text("1" * 64 + "  ok\n" + content)
    with pytest.raises(CatalogError, match=r"c\.b3, line 2"):
        read_checksums(tmp_path / "c.b3")


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(CatalogError, match="cannot be read"):
        read_checksums(tmp_path / "c.b3")
