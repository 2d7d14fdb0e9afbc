"""Freed memory stays with the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

# As tiles are made: some images at a time, let go together, and again.
_CHURN = """
import resource
import numpy as np
from stages.memory import keep_freed_memory

{keep}

def churn():
    for _ in range(50):
        images = [np.ones((512, 512, 3), np.uint8) for _ in range(6)]
        del images

churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(keep: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", _CHURN.format(keep=keep)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="says how glibc holds on to memory")
def test_images_are_made_of_memory_that_was_freed_before() -> None:
    assert _faults("") > 1000
    assert _faults("keep_freed_memory()") < 100
