"""The project's texts use the terms of the field, so that an engineer can search for what they name.

Read are names, docstrings, comments and strings of the Python sources, and all lines of configurations, build files
and documents. A name counts as its words: `learned_field` and `LearnedField` are both "learned field".
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).resolve().parents[2]


class Term(NamedTuple):
    """A word that must not be used, what to write instead, and where the rule holds (everywhere by default)."""

    pattern: str
    instead: str
    folders: tuple[str, ...] = ("",)


_MATCHING = ("matcher/", "stages/align/", "benchmarks/", "README.md", "docs/", "configs/")
_FETCHING = ("stages/fetch/", "stages/acquire/", "stages/providers/", "configs/")

TERMS = (
    Term(r"motions?", "transformation or homography"),
    Term(r"(rough |coarse )?poses?", "initial hypothesis", _MATCHING),
    Term(r"merits?", "hypothesis score"),
    Term(r"last words?", "final refinement"),
    Term(r"learned fields?|field loss|field net(work)?", "feature map"),
    Term(r"(?<!degrees of )freedoms?|least free|freest", "degrees of freedom or lowest-order model"),
    Term(r"prices?|priced", "complexity penalty"),
    Term(r"sure|surer|surest", "reliable or highest-confidence"),
    Term(r"halves apart", "split-half consistency"),
    Term(r"second starts?", "perturbed-restart test"),
    Term(r"(?<!building )leans?|leant|leaning", "building lean or relief displacement"),
    Term(r"islands?", "small connected components", _MATCHING),
    Term(r"peak returns?|returning windows?", "forward-backward error", _MATCHING),
    Term(r"lonely|lonesome", "unmatched"),
    Term(r"belongs? together", "negative pairs"),
    Term(r"(two|three|four|\d+|all|the|these|of) draws|--draw|draws a pair", "random seed", _MATCHING),
    Term(r"invents?|invented|inventing|invention", "synthetic"),
    Term(r"gates?", "rate limiter", _FETCHING),
    Term(r"in (its|their|the host's) turn|(its|next|whose) turn", "slot", _FETCHING),
    Term(r"patience|patient(ly)?", "breaker threshold or time limit"),
    Term(r"politeness|polite|politely", "rate limits"),
    Term(r"handed|hands? on", "propagated estimates"),
    Term(r"mend|mends|mended|mending", "fix or repair"),
    Term(r"sound|sounder|soundly", "valid"),
    Term(r"dear|dearer|dearest|dearly", "expensive"),
    Term(r"hesitates?|hesitating|hesitant", "slow"),
)

ALLOWED = {
    # A park's gate on a drawn map.
    ("cartography/procedural/zones.py", "rate limiter"),
    # Configurations of earlier versions name the field so.
    ("stages/acquire/service.py", "rate limits"),
    ("stages/acquire/stac.py", "rate limits"),
    ("tests/unit/stages/test_url_templates.py", "rate limits"),
    ("CHANGELOG.md", "rate limits"),
}
"""(file, replacement of the rule): uses of a word in its ordinary sense."""

PENDING: tuple[str, ...] = ()
"""Rooms whose texts are not revised yet; to be empty."""

_NOT_OURS = ("work", "build", "site", "out", "shared")
_SUFFIXES = (".py", ".yaml", ".yml", ".md", ".toml", ".sh")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")


def files() -> list[str]:
    """Return the project's own texts, relative to its root."""
    tops = [path for path in PROJECT.iterdir() if not path.name.startswith(".") and path.name not in _NOT_OURS]
    paths = [*tops, *(path for top in tops if top.is_dir() for path in top.rglob("*")), *PROJECT.glob(".ci/*")]
    texts_of_ours = [path for path in paths if path.is_file() and (path.suffix in _SUFFIXES or path.name == "Makefile")]
    names = [path.relative_to(PROJECT).as_posix() for path in texts_of_ours if "__pycache__" not in path.parts]
    own = [name for name in names if name != "tests/unit/test_vocabulary.py" and ".egg-info/" not in name]
    return sorted(name for name in own if not name.startswith(PENDING))


def texts(name: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of what people read in a file: of Python, names, comments and strings."""
    content = (PROJECT / name).read_text(encoding="utf-8")
    if not name.endswith(".py"):
        yield from enumerate(content.splitlines(), 1)
        return
    strings = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], _WORDS.sub(" ", token.string)
        elif token.type == tokenize.COMMENT or token.type in strings:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, _WORDS.sub(" ", line) if line.isidentifier() else line


def violations(name: str, lines: Iterator[tuple[int, str]]) -> list[str]:
    """Return a message for every old term in a file."""
    found = []
    rules = [
        (re.compile(rf"(?<![\w-])(?:{term.pattern})(?![\w-])", re.IGNORECASE), term.instead)
        for term in TERMS
        if name.startswith(term.folders) and (name, term.instead) not in ALLOWED
    ]
    for line, text in lines:
        for pattern, instead in rules:
            found += [f"{name}:{line}: {match[0]!r}: write {instead!r}" for match in pattern.finditer(text)]
    return found


def test_the_texts_use_the_terms_of_the_field() -> None:
    found = [message for name in files() for message in violations(name, texts(name))]
    assert not found, "\n".join(["terms that a reader cannot look up:", *found])


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("rough pose", "initial hypothesis"),
        ("the last word", "final refinement"),
        ("pairs that do not belong together", "negative pairs"),
        ("a dear call", "expensive"),
        ("an invented world", "synthetic"),
    ],
)
def test_old_terms_are_found(text: str, instead: str) -> None:
    (message,) = violations("matcher/any.py", iter([(7, text)]))
    assert message.startswith("matcher/any.py:7")
    assert instead in message


def test_ordinary_words_are_left_alone() -> None:
    text = "degrees of freedom; measure, ensure, promotion, building lean, commend; dearth"
    assert violations("matcher/any.py", iter([(1, text)])) == []


def test_the_files_of_all_rooms_are_read() -> None:
    assert {name.split("/")[0] for name in files()} >= {"cartography", "stages", "benchmarks", "tests"}
