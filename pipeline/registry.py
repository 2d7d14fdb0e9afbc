"""Registries: what a configuration chooses by name. Names are built in, installed by a package, or `module:NAME`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pipeline.errors import ConfigError
from raster.names import NameFault, installed, is_importable, load, unknown

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
        return list(self._targets())

    def get(self, name: str) -> T:
        """Return what `name` stands for.

        Args:
            name: A name of this registry, or `module:NAME`.

        Raises:
            ConfigError: There is no such name (the nearest spelling is given), or it cannot be imported, or what it
                stands for is of another kind.
        """
        try:
            target = self._targets().get(name, name)
            if not is_importable(target):
                raise unknown(self._noun, name, self.names())
            return self._checked(name, load(self._noun, name, target))
        except NameFault as error:
            raise ConfigError(str(error)) from error

    def _targets(self) -> dict[str, str]:
        return self._builtin | {
            name: target for name, target in installed(self.group).items() if name not in self._builtin
        }

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
