"""What README and documentation show is run: shell commands, Python, and the files that they name."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from documents import PROJECT, Fence, fences, shell
from typer.testing import CliRunner

from mapdata.cli import build_app

pytestmark = pytest.mark.integration

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(path.relative_to(PROJECT)) for path in PROJECT.glob("docs/**/*.md")),
]
WITH_FENCES = [page for page in PAGES if "```" in (PROJECT / page).read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_FENCES)
def test_what_a_page_shows_runs(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    if "datasets" in sys.modules:  # its cache knows a release by its content, and files of it in folders that are gone
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", place / "cache")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(place / "cache"))
    names: dict[str, object] = {"__name__": "page"}
    for fence in fences(PROJECT / page):
        if fence.needs:
            for words in commands(fence):
                if words[0] == "mapdata":
                    assert_accepted(words[1:])
                elif words[0] == "python" and words[1].endswith(".py"):
                    assert_known(words)
        elif fence.title:
            (place / fence.title).parent.mkdir(parents=True, exist_ok=True)
            (place / fence.title).write_text(fence.text, encoding="utf-8")
        elif fence.language == "sh":
            shell(fence.text, place)
        elif fence.language == "python":
            exec(compile("\n" * (fence.line - 1) + fence.text, page, "exec"), names)
        else:
            assert fence.language == "text", f"{page}:{fence.line}: give this block a title, or the language `text`"


def commands(fence: Fence) -> list[list[str]]:
    """Return the words of the commands of a block of shell lines."""
    if fence.language != "sh":
        return []
    lines = (shlex.split(line, comments=True) for line in fence.text.replace("\\\n", " ").splitlines())
    return [words for words in lines if words]


def assert_accepted(arguments: list[str]) -> None:
    """Assert that the command line knows a command and all its options, without running it."""
    asked = CliRunner().invoke(build_app(), [*arguments, "--help"])
    assert asked.exit_code == 0, f"mapdata {shlex.join(arguments)}\n{asked.output}"


def assert_known(words: list[str]) -> None:
    """Assert that a script of the checkout exists and names all the options that it is given."""
    script = (PROJECT / words[1]).read_text(encoding="utf-8")
    options = [word for word in words if word.startswith("--")]
    assert all(f'"{option}"' in script for option in options), shlex.join(words)
