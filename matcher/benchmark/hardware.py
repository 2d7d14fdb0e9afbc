"""Naming the hardware that figures were measured on."""

from __future__ import annotations

import platform
from pathlib import Path


def describe_hardware(device: str, threads: int) -> str:
    """Return the processor, the threads it was given, and the GPU where `device` means one."""
    text = f"{_processor()}, {threads} {'thread' if threads == 1 else 'threads'}"
    if device == "cpu":
        return text
    import torch  # slow to import, and only a GPU needs it

    return f"{text}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else text


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
