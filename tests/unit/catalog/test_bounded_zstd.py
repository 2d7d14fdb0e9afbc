"""The codec within bounds beside zarr's own: in several threads, and for arrays of text."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from catalog.bounded_zstd import bounded_zstd

pytestmark = pytest.mark.unit


def test_threads_that_meet_leave_the_configuration_as_it_was() -> None:
    before = zarr.config.get("codecs.zstd")
    first_entered, second_entered = threading.Event(), threading.Event()

    def enter_first() -> None:
        with bounded_zstd():
            first_entered.set()
            second_entered.wait(0.3)  # in vain, if they take turns

    first = threading.Thread(target=enter_first)
    first.start()
    first_entered.wait()
    with bounded_zstd():
        second_entered.set()
        first.join()
    assert zarr.config.get("codecs.zstd") == before


def test_text_of_any_length_is_read_whole() -> None:
    words = np.array([letter * 400 for letter in "abc"], dtype=object)
    store = MemoryStore()
    zarr.create_array(store, shape=(3,), chunks=(3,), dtype="str")[:] = words
    with bounded_zstd():
        array = zarr.open_array(store, mode="r")
    assert list(array[:]) == list(words)


def test_a_chunk_of_more_than_it_says_is_refused() -> None:
    store = MemoryStore()
    zarr.create_array(store, shape=(4096,), chunks=(4096,), dtype="uint8", name="a")[:] = 1
    document = zarr.open_array(store, path="a", mode="r").metadata.to_dict()
    assert document["shape"] == (4096,)
    small = zarr.create_array(store, shape=(16,), chunks=(16,), dtype="uint8", name="b")
    small[:] = 2
    key = next(key for key in store._store_dict if key.startswith("a/c/"))
    store._store_dict["b" + key[1:]] = store._store_dict[key]
    with bounded_zstd():
        array = zarr.open_array(store, path="b", mode="r")
    with pytest.raises(ValueError, match="does not unpack to its 16 bytes"):
        array[:]
