"""The notebooks run from a finished demo, from top to bottom."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import pytest
from documents import PROJECT
from nbclient import NotebookClient

pytestmark = pytest.mark.integration

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs], "a notebook is kept without its outputs"
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(place)}})
    client.execute()
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "error:" not in printed, printed


def test_there_are_two() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"consume-a-release", "add-a-matcher"}
