"""Reading JSON that may come from anyone: bounded in size and nesting, and refused in words.

Python's reader has no bounds of its own. What is nested deeply ends in a RecursionError, either there or in whatever
handles the value later, and a pipe in place of a file is waited for without end.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

MAX_BYTES = 2**27
"""Size of the largest file that is read."""
MAX_DEPTH = 100
"""Lists and objects inside each other; GeoJSON and STAC need a dozen."""


class JsonError(ValueError):
    """A text is no JSON, or is larger or more deeply nested than what is read. The message says what is wrong."""


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Args:
        text: Of any origin; bytes are UTF-8, UTF-16 or UTF-32.

    Raises:
        JsonError: It is no JSON, or nested more than `MAX_DEPTH` deep.
    """
    too_deep = f"nested more than {MAX_DEPTH} deep"
    try:
        value = json.loads(text)
    except RecursionError:
        raise JsonError(too_deep) from None
    except ValueError as error:
        raise JsonError(f"no JSON: {error}") from None
    if _brackets(text) > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise JsonError(too_deep)
    return value


def read_json(path: Path, most_bytes: int = MAX_BYTES) -> Any:
    """Return the value of a JSON file.

    Args:
        path: The file, of any origin.
        most_bytes: Size of the largest one that is read.

    Raises:
        OSError: It cannot be opened.
        JsonError: It is no plain file or too large, or see `parse_json`. Callers add the file's name and the remedy.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise JsonError("no plain file")
    if status.st_size > most_bytes:
        raise JsonError(f"{status.st_size:,} bytes, at most {most_bytes:,} are read")
    return parse_json(path.read_bytes())


def _brackets(text: str | bytes) -> int:
    """Return how many lists and objects begin at most in a text: those of texts in it count, too."""
    return text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        parents = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [child for parent in parents for child in parent]
    return any(isinstance(each, dict | list) for each in level)
