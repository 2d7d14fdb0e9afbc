"""Progress inside a unit: what its code tells is what others read; nothing is left of it afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import unit_progress
from pipeline.progress import PlainReporter
from pipeline.unit_progress import FOLDER, UnitProgress, current_progress, forget_standings, read_standings, telling

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_progress, "_WRITE_EVERY_SECONDS", 0.0)


def test_what_a_unit_tells_is_read_elsewhere_and_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    with telling(tmp_path, "draw", "001/1"):
        progress = current_progress()
        progress.begin(10, "pictures")
        progress.advance(4, known=True)
        progress.advance()
        progress.waits("waits for host:80: status 503, attempt 2 of 8")
        (found,) = read_standings(tmp_path)
        assert (found.stage, found.unit, found.done, found.total) == ("draw", "001/1", 5, 10)
        assert found.rate > 0
        assert found.seconds_left == pytest.approx(5 / found.rate)  # the four that were known took no time
        assert str(found).startswith("5/10 pictures, ")
        assert str(found).endswith("; waits for host:80: status 503, attempt 2 of 8")
        progress.advance()
        assert "503" not in str(read_standings(tmp_path)[0])
    assert read_standings(tmp_path) == []
    current_progress().begin(1, "pictures")  # outside of a unit it goes nowhere
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_what_cannot_be_written_or_read_stops_nobody(tmp_path: Path) -> None:
    UnitProgress(tmp_path / "absent", "draw", "1").begin(3, "pictures")
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text('{"stage": 1}')
    assert read_standings(tmp_path) == []
    forget_standings(tmp_path)
    assert list(folder.iterdir()) == []


def test_plain_lines_name_some_units_and_count_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "engine").mkdir()
    for index in range(11):
        UnitProgress(tmp_path, "draw", f"{index:02d}").begin(5, "pictures")
    PlainReporter().units_stand(read_standings(tmp_path))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "draw 00: 0/5 pictures, 0.0/s"
    assert len(lines) == 9
    assert lines[-1] == "... and 3 more units, see status"
