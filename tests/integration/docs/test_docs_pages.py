"""What README and documentation show is run: shell commands, Python, and the files that they name."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
import typer
from documents import PROJECT, Fence, fences, shell

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
    names: dict[str, object] = {"__name__": "page"}
    for fence in fences(PROJECT / page):
        if fence.needs:
            for arguments in commands(fence):
                parsed(arguments)
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
    """Return the arguments of the `mapdata` commands of a block of shell lines."""
    if fence.language != "sh":
        return []
    lines = (shlex.split(line, comments=True) for line in fence.text.replace("\\\n", " ").splitlines())
    return [words[1:] for words in lines if words and words[0] == "mapdata"]


def parsed(arguments: list[str]) -> click.Context:
    """Parse a command's arguments as the command line does, without running it."""
    command, name = typer.main.get_command(build_app()), "mapdata"
    context = None
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        if not isinstance(command, click.Group):
            return context
        name, command, arguments = command.resolve_command(context, [*context.protected_args, *context.args])
