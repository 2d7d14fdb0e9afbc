"""Which code a process runs: the version of a stage, and a digest of every package that the stage may use.

A cluster may have workers of several installations. What they make must not depend on which of them made it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.files import digest_bytes, digest_json
from pipeline.stage import Stage

_SOURCES = (".py", ".json", ".yaml", ".safetensors")


@dataclass(frozen=True)
class Code:
    """What a unit expects of the process that does it.

    Attributes:
        stage: "module:Class" of the stage.
        version: Its version.
        packages: Digest of the sources of each package, by name.
    """

    stage: str
    version: int
    packages: Mapping[str, str]

    @classmethod
    def of(cls, stage: Stage[Any]) -> Code:
        """Return the code that this process runs for a stage."""
        kind = type(stage)
        modules = {kind.__module__, *_modules_in(stage.params)}
        packages = {name for module in modules for name in packages_of(module)}
        return cls(f"{kind.__module__}:{kind.__qualname__}", stage.version, digests_of(sorted(packages)))

    def differences(self) -> list[str]:
        """Return how the code of this process differs from what is expected; empty if it does not."""
        here = digests_of(self.packages)
        differing = [
            f"package {name} is {'missing' if not here[name] else 'another one'}"
            for name, digest in self.packages.items()
            if here[name] != digest
        ]
        if not differing:
            return []
        version = _version_here(self.stage)
        if version != self.version:
            differing.insert(0, f"stage {self.stage} has version {version}, the run has {self.version}")
        return differing


@cache
def packages_of(module: str) -> tuple[str, ...]:
    """Return the packages that code of `module` may use: its own and the engine's, and those that lie beside them.

    Of what is installed among other packages, only the packages themselves.
    """
    own = {module.partition(".")[0], __name__.partition(".")[0]}
    found = set(own)
    for name in own:
        place = _place(name)
        if place is not None and place.is_dir() and "site-packages" not in place.parts:
            found |= {path.parent.name for path in place.parent.glob("*/__init__.py")}
    return tuple(sorted(found))


def digests_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the digest of each package's sources, "" for one that is not there.

    Read once a process: what is imported later than a file was changed must not pass for what was imported before.
    """
    return {name: _digest_of(name) for name in packages}


@cache
def _digest_of(package: str) -> str:
    place = _place(package)
    if place is None:
        return ""
    files = sorted(path for path in place.rglob("*") if path.suffix in _SOURCES) if place.is_dir() else [place]
    return digest_json([(path.relative_to(place.parent).as_posix(), digest_bytes(path.read_bytes())) for path in files])


def _place(package: str) -> Path | None:
    """Return the folder of a package, or the file of a module."""
    loaded = sys.modules.get(package)
    origin = getattr(loaded, "__file__", None)
    if origin is None:
        try:
            spec = find_spec(package)
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec is not None else None
    if origin is None or not Path(origin).exists():
        return None
    path = Path(origin)
    return path.parent if path.name == "__init__.py" else path


def _modules_in(value: Any) -> Iterator[str]:
    """Yield the modules of the models in a stage's params: other packages may have made them."""
    if isinstance(value, BaseModel):
        yield type(value).__module__
        value = list(vars(value).values())
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _modules_in(each)


def _version_here(stage: str) -> object:
    module, _, name = stage.partition(":")
    try:
        found = __import__(module, fromlist=["*"])
        for part in name.split("."):
            found = getattr(found, part)
        return getattr(found, "version", "unknown")
    except Exception:  # whatever other code does when it is imported
        return "unknown"
