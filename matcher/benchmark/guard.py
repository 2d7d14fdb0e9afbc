"""The process between the benchmark and a worker: whatever the matcher started ends with it.

Run as `python guard.py COMMAND...` by `matcher.benchmark.isolation`, by its path, so that it loads the standard library
only. It starts the command in a session of its own, ends as the command ends, and before that ends what is left of it.
A process that left the command's session is found too where the kernel hands orphans to this process (Linux);
elsewhere those of the command's process group are.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the command until it ends or the other side of standard input hangs up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    command = subprocess.Popen(sys.argv[1:], start_new_session=True)
    threading.Thread(target=_end_with_the_other_side, args=(command.pid,), daemon=True).start()
    status = 0
    with suppress(ChildProcessError):
        while (ended := os.wait())[0] != command.pid:
            pass
        status = os.waitstatus_to_exitcode(ended[1])
    _kill_group(command.pid)
    _end_children()
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _end_with_the_other_side(command: int) -> None:
    """Kill the command when nobody can write to its standard input any more."""
    pipe = select.poll()
    pipe.register(0, 0)  # reports the hang-up alone: what is written is the command's to read
    pipe.poll()
    _kill_group(command)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _end_children() -> None:
    """Kill the children of this process, and theirs, which become its own as they are orphaned."""
    with suppress(ChildProcessError):
        while True:
            for child in _children():
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL)
            os.wait()


def _children() -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if int(stat.read_bytes().rpartition(b")")[2].split()[1]) == os.getpid():
                yield int(stat.parent.name)


if __name__ == "__main__":
    main()
