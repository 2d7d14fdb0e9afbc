"""What stands on a terminal in the end, when workers write to it while bars are drawn."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).resolve().parents[3]
RUN = """
import os, sys, time
from pathlib import Path
from pipeline.ledger import State
from pipeline.planning import StagePlan
from pipeline.progress import reporter
from pipeline.stage import Unit

units = [Unit("draw", str(index), "key", {}) for index in range(4)]
with reporter(Path(sys.argv[1])) as progress:
    for stage in ("draw", "pack"):
        progress.stage_begins(stage, StagePlan(units, units, units, 0))
        for unit in units:
            os.write(2, f"worker: {stage} {unit.name} looks odd\\n".encode())
            time.sleep(0.15)
            progress.unit_ended(unit, State.DONE)
"""


def screen(stream: str) -> list[str]:
    """Return the lines that a terminal shows of what was written to it."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[\??[\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", stream):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b") and part[-1] in "AK":
            row = row - int(part[2:-1] or 1) if part[-1] == "A" else row
            lines[row] = "" if part[-1] == "K" else lines[row]
        elif part != "\r" and not part.startswith("\x1b"):
            lines[row] += part
    return lines


def test_a_bar_stands_once_and_each_line_of_a_worker_too(tmp_path: Path) -> None:
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], env=environment, stderr=its_end) as running:
        os.close(its_end)
        written = b""
        with suppress(OSError):  # which says that the other end is closed
            while part := os.read(terminal, 65536):
                written += part
    os.close(terminal)
    assert running.returncode == 0, written
    shown = screen(written.decode())
    for stage in ("draw", "pack"):
        (bar,) = [line for line in shown if line.startswith(stage)]
        assert "4/4 units" in bar
        for index in range(4):
            assert sum(f"worker: {stage} {index} looks odd" in line for line in shown) == 1
