"""YAML files whose values remember where they stand: every fault can be named with file, line and column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

Location = tuple[str | int, ...]

MAX_BYTES = 10_000_000
MAX_VALUES = 1_000_000
MAX_DEPTH = 100
"""Aliases counted as often as they are used: a few lines of them can stand for more than fits into memory."""

_READ_AS_OTHERS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "null", "float", "timestamp"))
"""What YAML makes of keys such as yes, no, on, ~ and 2024-01-01."""


@dataclass(frozen=True)
class YamlFile:
    """A YAML file that was read: its value, and the tree of nodes that it was made of (None: the file is empty)."""

    path: Path
    tree: yaml.Node | None
    value: Any

    def locate(self, parts: Location, *, at_key: bool = False) -> tuple[Location, str]:
        """Follow a location down the tree. Parts that are no keys (the tags of unions) are left out of it.

        Args:
            parts: Keys and indices.
            at_key: Whether the place of the last key is wanted instead of that of its value.

        Returns:
            The location, and the place of its last node that is there, as "file:line:column".
        """
        node, kept, mark = self.tree, [], self.tree.start_mark if self.tree is not None else None
        for index, part in enumerate(parts):
            child = _child(node, part)
            if child is not None:
                key, node = child
                mark = key.start_mark if at_key and index == len(parts) - 1 else node.start_mark
            if child is not None or not _holds(node, part):
                kept.append(part)
        return tuple(kept), place(self.path, mark)

    def scalar(self, parts: Location) -> str:
        """Return the text at a location, "" if there is none."""
        node = self.tree
        for part in parts:
            child = _child(node, part)
            node = child[1] if child else None
        return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def read_yaml(path: Path) -> YamlFile:
    """Read a YAML file.

    Raises:
        ConfigError: It cannot be read, is no YAML, or is larger or more deeply nested than any configuration. The
            message names file, line and column.
    """
    text = _read_text(path)
    loader = None
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        if tree is None:
            return YamlFile(path, None, None)
        _check_size(path, tree)
        return YamlFile(path, tree, loader.construct_document(tree))
    except yaml.MarkedYAMLError as error:
        words = error.problem or error.context or str(error)
        raise ConfigError(f"{place(path, error.problem_mark or error.context_mark)}: {words}. Fix the YAML.") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise ConfigError(f"{path}:{line}:{column}: {error.reason}. Fix the YAML.") from None
    except RecursionError:
        line = loader.line + 1 if loader is not None else 1
        raise ConfigError(f"{path}:{line}:1: too deeply nested for a configuration. Fix the YAML.") from None


def place(path: Path, mark: Any) -> str:
    """Return "file:line:column" of a mark of PyYAML, or the file alone if there is none.

    Args:
        path: The file, shown as given.
        mark: A `yaml.Mark`, whose line and column count from 0; None where PyYAML gave none.

    Returns:
        With line and column counted from 1.
    """
    return f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)


def _read_text(path: Path) -> str:
    wanted = "Give the path of a YAML file (see configs/)."
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: cannot be read: not a file. {wanted}")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: cannot be read: larger than {MAX_BYTES:,} bytes. {wanted}")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}:1: cannot be read: not UTF-8 ({error.reason}). {wanted}") from None
    except (OSError, ValueError) as error:  # a path with a null character is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read: {reason}. {wanted}") from error


class _Loader(yaml.SafeLoader):
    """SafeLoader with a bound on nesting, which refuses a key given twice in one mapping instead of keeping the last.

    Values that PyYAML cannot convert (the 31st of February, an integer of 5,000 digits) become errors with their place.
    """

    _depth = 0

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Refuse what YAML 1.1 counts in another base without saying so: 010 is 8 in it, and 1:30 is 90."""
        value = super().construct_yaml_int(node)
        text = node.value.replace("_", "").lstrip("+-")
        if ":" in text or (text.isdigit() and int(text) != abs(value)):
            raise ValueError(f"YAML reads {node.value} as {value}")
        return int(value)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """Refuse numbers of base 60, as 1:30.5 is one."""
        value = super().construct_yaml_float(node)
        if ":" in node.value:
            raise ValueError(f"YAML reads {node.value} as {value}")
        return float(value)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RecursionError
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
            if key.tag in _READ_AS_OTHERS:
                kind = key.tag.rpartition(":")[2]
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is read as {kind}; put quotes round it", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"field {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, OverflowError, LookupError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"not a valid {kind} ({str(error) or type(error).__name__}); quote it if it is text",
                node.start_mark,
            ) from None  # fmt: skip


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def _check_size(path: Path, tree: yaml.Node) -> None:
    """Refuse trees that contain themselves, or stand for too many values by aliases of aliases."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) in open_nodes:
            raise ConfigError(f"{place(path, node.start_mark)}: an alias refers to what contains it. Fix the YAML.")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            children = (
                [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
            )
            sizes[id(node)] = 1 + sum(size(child) for child in children)
            open_nodes.remove(id(node))
        return sizes[id(node)]

    if size(tree) > MAX_VALUES:
        raise ConfigError(f"{place(path, tree.start_mark)}: more than {MAX_VALUES:,} values. Fix the YAML.")


def _holds(node: yaml.Node | None, tag: str | int) -> bool:
    """Tell whether one of a mapping's values is this tag."""
    return isinstance(node, yaml.MappingNode) and any(
        isinstance(value, yaml.ScalarNode) and value.value == tag for _, value in node.value
    )


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
