"""Recipes and registries: what fits together is accepted, what does not is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field
from synthetic_recipe import RECIPE, DrawStage, ListStage, PackStage, PublishStage

from pipeline.config import ChosenFrom, config_model, load_config
from pipeline.errors import ConfigError, PipelineError, RecipeError
from pipeline.recipe import Recipe
from pipeline.registry import Registry
from pipeline.stage import RunView

pytestmark = pytest.mark.unit


class SidedStage(ListStage):
    """Works on roles by name."""

    name, roles = "sided", ("left", "right")


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((ListStage, PackStage), "stage 'pack' reads the results of 'draw', which does not come before it"),
        ((DrawStage, ListStage), "stage 'draw' reads the results of 'list'"),
        ((ListStage, ListStage), "two stages named 'list'"),
        ((SidedStage,), "stage 'sided' works on the role 'right', which the recipe lacks. It has: left"),
    ],
)
def test_stages_that_do_not_fit_are_named(stages: tuple[Any, ...], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Recipe("wrong", stages, roles=("left",))


def test_an_optional_stage_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match="no stage 'pubilsh'"):
        Recipe("wrong", RECIPE.stages, optional=frozenset({"pubilsh"}))


def test_what_reads_only_stages_that_are_left_out_is_left_out() -> None:
    recipe = Recipe("r", (ListStage, DrawStage, PackStage, PublishStage), optional=frozenset({"pack"}))
    assert [stage.name for stage in recipe.chosen(["list", "draw", "publish"])] == ["list", "draw"]
    assert [stage.name for stage in recipe.chosen(["list", "draw", "pack", "publish"])][-2:] == ["pack", "publish"]


def test_a_stage_sees_only_what_it_declares(tmp_path: Path) -> None:
    view = RunView(tmp_path, 0, {"list": {}, "draw": {}}).of(PackStage)
    assert view.results.keys() == {"draw"}
    assert view.read("draw") == {}
    with pytest.raises(PipelineError, match="stage 'list' were read, which is not declared"):
        view.read("list")


class Shape(BaseModel):
    """A shape."""

    model_config = ConfigDict(extra="forbid")
    kind: str = Field(description="Which shape.")


class Circle(Shape):
    """Round."""

    radius: float = Field(description="Metres.")


SHAPES: Registry[type[BaseModel]] = Registry(
    "nobody.shapes", Shape, "shape", {"circle": f"{__name__}:Circle"}, classes=True
)


class ShapeParams(BaseModel):
    """One shape of a registry."""

    model_config = ConfigDict(extra="forbid")
    shape: Annotated[Shape, ChosenFrom(SHAPES)] = Field(description="The shape.")


class ShapeStage(ListStage):
    """Takes a shape."""

    name, Params = "shape", ShapeParams


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def shape(folder: Path, given: str) -> Any:
    path = folder / "run.yaml"
    path.write_text(f"name: demo\nstages:\n  shape:\n    shape: {given}\n")
    return load_config(path, Recipe("shapes", (ShapeStage,))).stages[0].params.shape


@pytest.mark.parametrize("kind", ["circle", f"{__name__}:Circle"])
def test_a_registry_gives_what_is_named(tmp_path: Path, kind: str) -> None:
    found = shape(tmp_path, f"{{kind: '{kind}', radius: 2}}")
    assert isinstance(found, Circle) or type(found).__name__ == "Circle"
    assert (found.kind, found.radius) == (kind, 2.0)


@pytest.mark.parametrize(
    ("given", "place", "words"),
    [
        ("{kind: cirlce, radius: 2}", "4:19: stages.shape.shape.kind", "called 'cirlce'; did you mean 'circle'?"),
        ("{radius: 2}", "4:12: stages.shape.shape.kind", "give a name: circle, or module:NAME"),
        ("{kind: circle, radiu: 2}", "4:27: stages.shape.shape.radiu", "did you mean 'radius'?"),
        ("{kind: circle, radius: x}", "4:35: stages.shape.shape.radius", "valid number"),
        ("{kind: 'nowhere:Circle'}", "4:19: stages.shape.shape.kind", "'nowhere' cannot be imported"),
        ("{kind: 'pathlib:Pth'}", "4:19: stages.shape.shape.kind", "did you mean 'Path'?"),
        ("{kind: 'pathlib:Path'}", "4:19: stages.shape.shape.kind", "which is not a subclass of"),
        ("[1]", "4:12: stages.shape.shape", "valid dictionary"),
    ],
)  # fmt: skip
def test_what_a_registry_does_not_have_is_named(tmp_path: Path, given: str, place: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        shape(tmp_path, given)
    assert place in str(raised.value)
    assert words in str(raised.value)


def test_the_schema_holds_every_entry_of_a_registry() -> None:
    schema = config_model(Recipe("shapes", (ShapeStage,))).model_json_schema()
    (circle,) = schema["$defs"]["ShapeParams"]["properties"]["shape"]["anyOf"]
    assert circle["properties"]["radius"]["description"] == "Metres."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: demo\nrecipe: synthetc\n", ":2:9: recipe: no recipe is called 'synthetc'; did you mean 'synthetic'?"),
        ("name: demo\nrecipe: [a]\n", ":2:9: recipe: give the name of a recipe: synthetic"),
        ("name: demo\nrecipe: 'pathlib:Path'\n", ":2:9: recipe: recipe 'pathlib:Path' is"),
    ],
)
def test_a_recipe_that_is_not_there_is_named(tmp_path: Path, text: str, words: str) -> None:
    recipes: Registry[Recipe] = Registry("nobody.recipes", Recipe, "recipe", {"synthetic": "synthetic_recipe:RECIPE"})
    path = tmp_path / "run.yaml"
    path.write_text("name: demo\n")
    assert load_config(path, recipes, "synthetic").resolved["recipe"] == "synthetic"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_config(path, recipes, "synthetic")
    assert words in str(raised.value)
