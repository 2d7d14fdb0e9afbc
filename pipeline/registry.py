"""Registries: what a configuration chooses by name. Names are built in, installed by a package, or `module:NAME`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from pipeline.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name: subclasses of a class, or instances of it.

    A name is looked for among those built in, then among the entry points that installed packages declare in `group`.
    A name with a colon is `module:NAME`: the object NAME of a module that can be imported.
    """

    def __init__(self, group: str, kind: type, noun: str, builtin: Mapping[str, str], *, classes: bool = False) -> None:
        """Describe a registry.

        Args:
            group: Group of entry points, such as "my_program.sources".
            kind: What every entry must be: an instance of this class, or a subclass of it where `classes` is true.
            noun: What messages call an entry, such as "recipe".
            builtin: Names that need no other package, each with its "module:NAME". Other packages cannot redefine them.
            classes: Whether entries are classes.
        """
        self.group = group
        self._kind = kind
        self._noun = noun
        self._builtin = dict(builtin)
        self._classes = classes

    def names(self) -> list[str]:
        """Return the names that are built in or installed, in that order."""
        return [*self._builtin, *(name for name in sorted(_installed(self.group)) if name not in self._builtin)]

    def get(self, name: str) -> T:
        """Return what `name` stands for.

        Raises:
            ConfigError: There is no such name (the nearest spelling is given), or it cannot be imported, or what it
                stands for is of another kind.
        """
        if name in self._builtin:
            return self._checked(name, _load(self._noun, name, self._builtin[name]))
        installed = _installed(self.group).get(name)
        if installed is not None:
            return self._checked(name, _load(self._noun, name, installed.value))
        if ":" in name:
            return self._checked(name, _load(self._noun, name, name))
        near = difflib.get_close_matches(name, self.names(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"no {self._noun} is called {name!r}; {hint}There are: {', '.join(self.names())}, and module:NAME"
        )

    def _checked(self, name: str, found: Any) -> T:
        if self._classes:
            fits = isinstance(found, type) and issubclass(found, self._kind) and not inspect.isabstract(found)
            wanted = f"a subclass of {self._kind.__module__}.{self._kind.__qualname__} with all its methods"
        else:
            fits = isinstance(found, self._kind)
            wanted = f"an instance of {self._kind.__module__}.{self._kind.__qualname__}"
        if not fits:
            raise ConfigError(f"{self._noun} {name!r} is {found!r}, which is not {wanted}")
        result: T = found
        return result


@cache
def _installed(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def _load(noun: str, name: str, target: str) -> Any:
    """Return the object that "module:NAME" names."""
    module_name, _, attribute = target.partition(":")
    try:
        module = import_module(module_name)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{noun} {name!r}: the module {module_name!r} cannot be imported ({error}); install its package, or put "
            "the folder that holds it on PYTHONPATH"
        ) from error
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{noun} {name!r}: {module_name} has no {attribute!r}{hint}")
        found = getattr(found, part)
    return found
