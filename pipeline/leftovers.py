"""Files that units made once and that belong to nothing any more: found, and removed when asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from pipeline.ledger import Ledger
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Leftover:
    """A file of a unit that left the configuration, or that its unit no longer makes."""

    stage: str
    unit: str
    path: str
    size: int


def find_leftovers(workspace: Workspace, ledger: Ledger) -> list[Leftover]:
    """Return the leftovers that are still there. Files that no unit ever made, such as a person's, are none.

    Args:
        workspace: Whose files are looked at; what is gone already is left out.
        ledger: Its record of what units made before, open to read.
    """
    found = []
    for stage, unit, path in ledger.leftovers():
        with suppress(OSError):
            found.append(Leftover(stage, unit, path, (workspace.root / path).stat().st_size))
    return found


def remove_leftovers(workspace: Workspace, ledger: Ledger) -> list[Leftover]:
    """Remove the leftovers and the folders that are empty then. The caller holds the workspace's lock.

    Args:
        workspace: Locked by the caller, so that no run writes meanwhile.
        ledger: Open to write; it forgets the leftovers.

    Returns:
        What was removed.

    Raises:
        WorkspaceError: A file cannot be removed.
    """
    found = find_leftovers(workspace, ledger)
    with workspace.writing():
        for leftover in found:
            path = workspace.root / leftover.path
            path.unlink()
            for folder in path.relative_to(workspace.root).parents[:-1]:
                with suppress(OSError):  # not empty
                    (workspace.root / folder).rmdir()
    ledger.forget_leftovers()
    return found
