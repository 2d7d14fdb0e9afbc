"""Digests of the code that each stage runs, and the record of them in `stages/sources.json`.

Comments, docstrings and layout do not count. The code of a stage is that of its module (all of it, if it is a package)
and of all that it imports, at whatever place, from this project; but the engine's, which makes no pixel.

`python tests/support/stage_sources.py` writes the record anew. First bump `version` of the stages whose results change.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
RECORD = PROJECT / "stages" / "sources.json"
ROOMS = ("cartography", "catalog", "matcher", "raster", "retrieval", "stages")


def current() -> dict[str, Any]:
    """Return what the record should hold now: versions and digests of stages, digests of modules."""
    from mapdata.recipes import RECIPES

    stages: dict[str, Any] = {}
    for recipe in RECIPES.names():
        for stage in RECIPES.get(recipe).stages:
            modules = sorted(sources_of(stage.__module__))
            digest = _digest([(module, digest_of(module)) for module in modules])
            stages[f"{stage.__module__}:{stage.__name__}"] = {"version": stage.version, "digest": digest}
    return {"modules": {module: digest_of(module) for module in sorted(_files())}, "stages": stages}


def sources_of(module: str) -> set[str]:
    """Return the modules that the code of a module may run, itself among them."""
    found: set[str] = set()
    waiting = [name for name in _files() if name == module or name.startswith(f"{module}.")]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imported(name)
    return found


@cache
def digest_of(module: str) -> str:
    """Return the digest of what a module does."""
    return _digest(_plain(_tree(module)))


@cache
def _files() -> dict[str, Path]:
    paths = [path for room in ROOMS for path in (PROJECT / room).rglob("*.py")]
    return {".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_files()[module].read_text(encoding="utf-8"))


@cache
def _imported(module: str) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    # Importing a module runs the packages that hold it.
    with_parents = {".".join(name.split(".")[: depth + 1]) for name in names for depth in range(name.count(".") + 1)}
    return frozenset(with_parents & _files().keys())


def _plain(node: Any) -> Any:
    """Return a syntax tree as nested lists, without docstrings, places and whatever is empty."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    return [type(node).__name__, *_fields(node)]


def _fields(node: ast.AST) -> Iterator[Any]:
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            value = [each for each in value if not _is_text(each)]
        if value not in (None, []):
            yield [name, _plain(value)]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _digest(value: Any) -> str:
    return blake2b(json.dumps(value).encode(), digest_size=10).hexdigest()


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    RECORD.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n")
    print(f"{RECORD.relative_to(PROJECT)} written")
