"""Fenced blocks of Markdown pages, so that tests can run what a page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

FENCE = re.compile(
    r"^(?:<!-- not run: needs (?P<needs>[a-z -]+) -->\n\n?)?"
    r"```(?P<language>[a-z]+)(?: title=\"(?P<title>[^\"\n]+)\")?\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NEEDS = frozenset({"a network", "a cluster", "real data", "hours", "a new machine"})
"""The only reasons for which a block may be shown and not run."""


@dataclass(frozen=True)
class Fence:
    """A fenced block: language, title (the name of a file that it is the content of), text, and its first line.

    `needs` says why the block is not run; it is empty where it is.
    """

    language: str
    title: str
    text: str
    line: int
    needs: str


def fences(page: Path) -> list[Fence]:
    """Return the fenced blocks of a page in order.

    Raises:
        ValueError: A block is written in a form that would be overlooked, or is exempt for an unknown reason.
    """
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        needs = match["needs"] or ""
        line = text.count("\n", 0, match.start("text")) + 1
        if needs and needs not in NEEDS:
            raise ValueError(f"{page}:{line}: not run for {needs!r}; reasons are {', '.join(sorted(NEEDS))}")
        found.append(Fence(match["language"], match["title"] or "", match["text"], line, needs))
    if len(re.findall("^ *```", text, re.MULTILINE)) != 2 * len(found):
        raise ValueError(f"{page}: a fenced block is indented or has no language, so it would not be run")
    if len(re.findall("^<!-- not run", text, re.MULTILINE)) != sum(bool(fence.needs) for fence in found):
        raise ValueError(f"{page}: a comment `not run` is not followed by a block or has another form")
    return found


def shell(text: str, folder: Path) -> str:
    """Run lines of a shell in `folder`, as a user of an installed checkout does. Return what they print."""
    python_path = os.pathsep.join([str(folder), str(PROJECT)])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": python_path, "OMP_WAIT_POLICY": "passive"}
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert ran.returncode == 0, f"{text}\nended with status {ran.returncode}:\n{ran.stdout[-3000:]}"
    return ran.stdout
