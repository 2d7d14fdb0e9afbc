"""Names by which a user chooses a source, a matcher, a recipe or an encoder: one grammar for all rooms.

A name is built in, or an entry point that an installed package declares, or `module:NAME`, an object that Python can
import. The registries of the rooms decide what a name stands for; this module finds it and says what is wrong.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

_IMPORTABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class NameFault(Exception):
    """A name stands for nothing; the message says which and why. Registries raise their own error with its message."""


def is_importable(name: str) -> bool:
    """Return whether a name has the form `module:NAME`; the module need not exist.

    Args:
        name: What the user wrote.
    """
    return _IMPORTABLE.fullmatch(name) is not None


def installed(group: str) -> dict[str, str]:
    """Return what installed packages declare, name -> `module:NAME`.

    Args:
        group: Group of entry points, such as "mapdata.matchers".
    """
    return {entry.name: entry.value for entry in sorted(entry_points(group=group))}


def load(noun: str, name: str, target: str) -> Any:
    """Return the object that a name stands for.

    Args:
        noun: What messages call such an object, such as "recipe".
        name: What the user wrote.
        target: `module:NAME` of the object.

    Raises:
        NameFault: The module cannot be imported, or has no such object.
    """
    module_name, _, attribute = target.partition(":")
    try:
        found: Any = import_module(module_name)
    except (ImportError, ValueError) as error:
        raise NameFault(
            f"{noun} {name!r}: the module {module_name!r} cannot be imported ({error}); install its package, or put "
            "the folder that holds it on PYTHONPATH"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = _near(part, dir(found))
            raise NameFault(f"{noun} {name!r}: {module_name} has no {attribute!r}; {near}check the spelling")
        found = getattr(found, part)
    return found


def unknown(noun: str, name: str, known: Sequence[str], forms: Sequence[str] = ("module:NAME",)) -> NameFault:
    """Return the error for a name that nothing is called by.

    Args:
        noun: What messages call such an object.
        name: What the user wrote.
        known: The names that there are.
        forms: Further forms that a name can take.
    """
    choices = ", ".join([*known, *forms])
    return NameFault(f"no {noun} is called {name!r}; {_near(name, [*known, *forms])}there are: {choices}")


def _near(name: str, choices: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, choices, n=1)
    return f"did you mean {near[0]!r}? " if near else ""
