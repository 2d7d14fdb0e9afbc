"""Folders swapped in whole, also where the system cannot exchange two names."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import swap

pytestmark = pytest.mark.unit


def _folder(path: Path, text: str) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "file").write_text(text)
    return path


def _text(path: Path) -> str:
    return (path / "inner" / "file").read_text()


@pytest.mark.parametrize("can_exchange", [True, False])
def test_replaces_what_was_there(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(swap, "_exchange", lambda first, second: False)
    place = tmp_path / "release"
    swap.swap_in(_folder(tmp_path / "new", "one"), place)
    assert _text(place) == "one"
    swap.swap_in(_folder(tmp_path / "new", "two"), place)
    assert _text(place) == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_recovers_the_old_one_after_a_kill_between_two_renames(tmp_path):
    place = _folder(tmp_path / "release", "old")
    place.rename(tmp_path / ".old-release")
    swap.recover(place)
    assert _text(place) == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_removes_the_old_one_after_a_kill_behind_both_renames(tmp_path):
    place = _folder(tmp_path / "release", "new")
    _folder(tmp_path / ".old-release", "old")
    swap.recover(place)
    assert _text(place) == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_recovering_nothing_does_nothing(tmp_path):
    swap.recover(tmp_path / "release")
    assert list(tmp_path.iterdir()) == []
