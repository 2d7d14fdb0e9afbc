"""One grammar of names in every registry: the same names are found, and the same faults are told in the same words."""

import sys
import types
from collections.abc import Callable

import pytest

from mapdata.recipes import RECIPES
from matcher.errors import MatcherUnavailable
from matcher.registry import check_name
from pipeline.errors import ConfigError
from raster.names import NameFault, is_importable, load
from stages.acquire import SOURCES

pytestmark = pytest.mark.unit

REGISTRIES: list[tuple[Callable[[str], object], type[Exception]]] = [
    (check_name, MatcherUnavailable),
    (RECIPES.get, ConfigError),
    (SOURCES.get, ConfigError),
]


@pytest.mark.parametrize(("look_up", "error"), REGISTRIES)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("absent_package:Thing", r"the module 'absent_package' cannot be imported \(No module named"),
        ("pathlib:Pth", r"pathlib has no 'Pth'; did you mean 'Path'\?"),
        ("pathlib:Path.exsts", r"pathlib has no 'Path.exsts'; did you mean 'exists'\?"),
        *((name, "no .* is called") for name in ("", ":", "a:", ":B", "a/b:C", "a.:B", ".a:B", "a:B:C", "nonsense")),
    ],
)
def test_a_fault_is_told_alike_everywhere(
    look_up: Callable[[str], object], error: type[Exception], name: str, fault: str
) -> None:
    with pytest.raises(error, match=fault):
        look_up(name)


@pytest.mark.parametrize("name", ["module:Class", "package.module:Class", "package.module:CLASS.method", "_a1:_b2"])
def test_names_of_objects(name: str) -> None:
    assert is_importable(name)


def test_a_nested_object_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("somebodys")
    module.Outer = types.SimpleNamespace(inner=5)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somebodys", module)
    assert load("thing", "somebodys:Outer.inner", "somebodys:Outer.inner") == 5
    with pytest.raises(NameFault, match=r"thing 'x': somebodys has no 'Outer\.iner'; did you mean 'inner'"):
        load("thing", "x", "somebodys:Outer.iner")
