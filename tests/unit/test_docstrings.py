"""The reference is generated from docstrings: what takes two parameters or more explains them under `Args:`."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = sorted(path.parent for path in PROJECT.glob("*/__init__.py") if path.parent.name != "tests")
COMMANDS = PROJECT / "mapdata" / "commands"
"""Commands explain their parameters by `help=`, which `--help` shows."""

EXPLAINED_BY_TYPE = {PROJECT / "cartography/procedural/zones.py"}
"""Every public function is of one type, which explains the parameters once."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Classes = Mapping[str, ast.ClassDef]


def unexplained(tree: ast.Module, classes: Classes) -> Iterator[str]:
    """Yield the public functions and methods of a module with two parameters or more and no `Args:`.

    A method that a base class of the project or a protocol of its module declares is explained there.
    """
    protocols = [each for each in tree.body if isinstance(each, ast.ClassDef) and is_protocol(each)]
    for node in tree.body:
        if isinstance(node, Function):
            yield from [node.name] if lacks_args(node) else []
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            above = [*bases(node, classes), *(each for each in protocols if each is not node)]
            inherited = {each.name for base in above for each in base.body if isinstance(each, Function)}
            for method in node.body:
                if isinstance(method, Function) and method.name not in inherited and lacks_args(method):
                    yield f"{node.name}.{method.name}"


def lacks_args(function: Function) -> bool:
    given = function.args
    names = [
        each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs) if each.arg not in ("self", "cls")
    ]
    is_public = not function.name.startswith("_")
    return is_public and len(names) > 1 and "Args:" not in (ast.get_docstring(function) or "")


def is_protocol(node: ast.ClassDef) -> bool:
    return any("Protocol" in ast.unparse(base) for base in node.bases)


def bases(node: ast.ClassDef, classes: Classes) -> Iterator[ast.ClassDef]:
    for base in node.bases:
        plain = base.value if isinstance(base, ast.Subscript) else base
        name = plain.attr if isinstance(plain, ast.Attribute) else plain.id if isinstance(plain, ast.Name) else ""
        if name in classes and classes[name] is not node:
            yield classes[name]
            yield from bases(classes[name], classes)


def test_public_functions_explain_their_parameters() -> None:
    trees = {path: ast.parse(path.read_text()) for room in ROOMS for path in sorted(room.rglob("*.py"))}
    classes = {node.name: node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)}
    found = [
        f"{path.relative_to(PROJECT)}: {name}"
        for path, tree in trees.items()
        if COMMANDS not in path.parents and path not in EXPLAINED_BY_TYPE
        for name in unexplained(tree, classes)
    ]
    assert not found, "these docstrings need an Args section:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def f(a, b):\n    '''Add.'''", ["f"]),
        ("def f(a, *, b):\n    '''Add.'''", ["f"]),
        ("def f(a, b):\n    '''Add.\n\n    Args:\n        a: One.\n        b: Two.\n    '''", []),
        ("def f(a):\n    '''Double.'''\ndef _g(a, b): ...", []),
        ("class C:\n    def f(self, a, b):\n        '''Add.'''", ["C.f"]),
        ("class B:\n    def f(self, a, b):\n        '''Args:'''\nclass C(B):\n    def f(self, a, b): ...", []),
    ],
)
def test_the_rule_itself(code: str, names: list[str]) -> None:
    tree = ast.parse(code)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    assert list(unexplained(tree, classes)) == names
