"""What every figure is printed with: the machine, the commit and the workload."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


def machine() -> dict[str, Any]:
    """Return the machine: processor, usable cores, memory (GiB), system, Python, and a GPU where torch sees one."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    gpu = _gpu()
    return facts | ({"gpu": gpu} if gpu else {})


def commit() -> str:
    """Return the checked-out commit, with "+changes" where tracked files differ from it; "unknown" without git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def report(name: str, workload: Mapping[str, Any], figures: Mapping[str, Any], *, as_json: bool) -> dict[str, Any]:
    """Print and return one benchmark's figures with its workload, machine and commit.

    `as_json` prints one JSON object and nothing else, a list of plain values on one line; else a readable list.
    """
    entry: dict[str, Any] = {
        "benchmark": name,
        "workload": dict(workload),
        "machine": machine(),
        "commit": commit(),
        "figures": dict(figures),
    }
    if as_json:
        print(re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), json.dumps(entry, indent=1)))
        return entry
    print(f"{name} at commit {entry['commit']}")
    for section in ("workload", "machine", "figures"):
        print(f"  {section}")
        for key, value in entry[section].items():
            print(f"    {key}: {value:.4g}" if isinstance(value, float) else f"    {key}: {value}")
    return entry


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu() -> str | None:
    if find_spec("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
