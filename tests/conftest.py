"""What tests of every room share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mapdata.cli import THREAD_SETTINGS

os.environ.update(THREAD_SETTINGS)

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real imagery beside the checkout, or skip where it is absent."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data is absent: no ../shared/data beside the project")
    return folder
