"""What tests of the stages share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """Return a server on loopback of the folder `served`; modules that want another one define their own."""
    folder = tmp_path / "served"
    folder.mkdir()
    with FileServer(folder) as server:
        yield server
