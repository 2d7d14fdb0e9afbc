"""What tests of every room share."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings
from small_demo import small_demo_config
from typer.testing import CliRunner

from mapdata.cli import THREAD_SETTINGS, build_app

os.environ.update(THREAD_SETTINGS)

# A busy machine makes an example slow, not wrong.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real imagery beside the checkout, or skip where it is absent."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data is absent: no ../shared/data beside the project")
    return folder


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of `demo.yaml`, the demo made smaller, and `work`, its finished run: made without a network.

    Whoever changes something takes a copy.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "small-demo"
    # Of the processes that share a run of the tests, the first makes the demo.
    with FileLock(f"{folder}.lock"):
        if not (folder / "work" / "release").is_dir():
            folder.mkdir(exist_ok=True)
            _run_small_demo(folder)
    return folder


def _run_small_demo(folder: Path) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the demo asked for a network connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refused)
        patch.setattr(socket, "getaddrinfo", refused)
        config = small_demo_config(folder)
        arguments = ["run", str(config), "--workers", "0", "--workspace", str(folder / "work")]
        ran = CliRunner().invoke(build_app(), arguments)
    assert ran.exit_code == 0, ran.output
