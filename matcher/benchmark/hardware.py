"""Naming the hardware and the code that figures were measured with."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path


def describe_hardware(device: str, threads: int) -> str:
    """Return the processor, the threads it was given, and the GPU where `device` means one.

    Args:
        device: As for `load_matcher`; all but "cpu" means the GPU, if there is one.
        threads: CPU threads that the matcher was given.
    """
    text = f"{_processor()}, {threads} {'thread' if threads == 1 else 'threads'}"
    if device == "cpu":
        return text
    import torch  # slow to import, and only a GPU needs it

    return f"{text}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else text


def describe_commit() -> str:
    """Return the commit of this checkout, with "+changes" where files of it were changed; "" where there is none."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # an environment may lie within somebody else's checkout
        changes = "+changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "--short=12", "HEAD") + changes
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
