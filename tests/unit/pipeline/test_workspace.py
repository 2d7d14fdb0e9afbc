"""The workspace: its layout, its lock, and who may write outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import workspace as module
from pipeline.errors import TransientError, WorkspaceError
from pipeline.files import write_json
from pipeline.workspace import Workspace, working_for

pytestmark = pytest.mark.unit


def test_a_second_holder_is_told_who_has_it(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "w", create=True)
    assert place.holder() is None
    with place.lock("a run of the first"):
        held = place.holder()
        assert held is not None
        assert held["purpose"] == "a run of the first"
        with (
            pytest.raises(WorkspaceError, match=rf"in use by a run of the first \(process {held['pid']} on ") as raised,
            Workspace(tmp_path / "w").lock("a second"),
        ):
            pass
        assert "--workspace" in str(raised.value)
    with place.lock("a third"):
        pass
    assert place.holder() is None


def test_a_folder_that_is_no_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="is not a workspace"):
        Workspace(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"), [({"layout": 99}, "has layout 99"), ({}, "cannot be read"), ([], "cannot be read")]
)
def test_another_layout_is_refused(tmp_path: Path, content: object, words: str) -> None:
    write_json(tmp_path / "engine" / "workspace.json", content)
    with pytest.raises(WorkspaceError, match=words):
        Workspace(tmp_path)


def test_a_mark_that_is_nested_too_deeply_is_told(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine/workspace.json").write_text("[" * 100_000)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        Workspace(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "w").write_text("a file")
    with pytest.raises(WorkspaceError, match=r"w cannot be written: (Not a directory|File exists).*--workspace"):
        Workspace(tmp_path / "w", create=True)


def test_workers_may_write_for_the_latest_run_only(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "w", create=True)
    place.hand_over("first")
    with working_for(place.root, "first"), working_for(place.root, "first"):
        pass
    place.hand_over("second")
    with pytest.raises(TransientError, match="taken over"), working_for(place.root, "first"):
        pass
    with working_for(place.root, "second"):
        pass


def test_a_run_waits_for_the_workers_of_an_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HAND_OVER_SECONDS", 0.2)
    place = Workspace(tmp_path / "w", create=True)
    place.hand_over("first")
    with working_for(place.root, "first"), pytest.raises(WorkspaceError, match="workers of an earlier run still write"):
        place.hand_over("second")
    place.hand_over("second")


def test_a_worker_without_the_workspace_says_so(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="does not see the workspace"), working_for(tmp_path / "w", "first"):
        pass
