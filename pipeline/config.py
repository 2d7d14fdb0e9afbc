"""Configuration: YAML checked by pydantic. An error names file, line, column and field, and suggests what was meant."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    create_model,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from pipeline.errors import ConfigError
from pipeline.recipe import Recipe
from pipeline.registry import Registry
from pipeline.stage import Stage
from pipeline.yaml_file import Location, YamlFile, read_yaml

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class ChosenFrom:
    """Annotation of a field whose value is a model of a registry, chosen by the name in the value's own field `kind`.

    `Annotated[Base, ChosenFrom(registry)]` takes instances of Base, and mappings.
    """

    registry: Registry[type[BaseModel]]
    field: str = "kind"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: Any, info: ValidationInfo) -> Any:
            if isinstance(value, source):
                return value
            if not isinstance(value, Mapping):
                raise PydanticCustomError("mapping_type", "Input should be a valid dictionary")
            return self._model(value).model_validate(value, context=info.context)

        return core_schema.with_info_plain_validator_function(validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        models = [self.registry.get(name) for name in self.registry.names()]
        return {"anyOf": [handler(model.__pydantic_core_schema__) for model in models]}

    def _model(self, value: Mapping[str, Any]) -> type[BaseModel]:
        name = value.get(self.field)
        if not isinstance(name, str):
            known = ", ".join(self.registry.names())
            fault = PydanticCustomError("kind_missing", "{text}", {"text": f"give a name: {known}, or module:NAME"})
        else:
            try:
                return self.registry.get(name)
            except ConfigError as error:
                fault = PydanticCustomError("kind_unknown", "{text}", {"text": str(error)})
        raise ValidationError.from_exception_data(
            "kind", [InitErrorDetails(type=fault, loc=(self.field,), input=value.get(self.field))]
        )


class _RunConfig(BaseModel):
    """A run of the pipeline: one dataset."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the dataset; letters, digits, . _ -"
    )
    seed: int = Field(0, ge=0, description="Seed of every random choice of the run.")


@dataclass(frozen=True)
class Config:
    """A checked configuration: the stages it asks for, in the order of the recipe, and its resolved values."""

    name: str
    seed: int
    stages: Sequence[Stage[Any]]
    resolved: Mapping[str, Any]


def config_model(recipe: Recipe) -> type[BaseModel]:
    """Return the model of a configuration of a recipe. Optional stages run only if the configuration has them.

    A stage that is left out of a configuration is taken with no parameters given.
    """
    fields: dict[str, Any] = {}
    for stage in recipe.stages:
        params = stage.params_model(recipe.roles)
        about = (params.__doc__ or stage.__doc__ or stage.name).strip().splitlines()[0]
        if stage.name in recipe.optional:
            fields[stage.name] = (params | None, Field(None, description=about))
        else:
            fields[stage.name] = (params, Field({}, validate_default=True, description=about))
    parameters = create_model("Stages", __config__=ConfigDict(extra="forbid"), **fields)
    whole: Any = Field({}, validate_default=True, description="Parameters of each stage.")
    named: Any = Field(recipe.name, description="Which recipe: a name, or module:NAME.")
    return create_model(
        "Config", __base__=_RunConfig, __doc__=_RunConfig.__doc__, recipe=(str, named), stages=(parameters, whole)
    )


def load_config(path: Path, recipes: Recipe | Registry[Recipe], default: str = "") -> Config:
    """Read and check a configuration.

    Args:
        path: The YAML file.
        recipes: The recipe of every configuration, or the registry in which its field `recipe` is looked up.
        default: Name of the recipe of a configuration without that field.

    Raises:
        ConfigError: With every fault, each with file:line:column and field.
    """
    file = read_yaml(path)
    recipe = recipes if isinstance(recipes, Recipe) else _named_recipe(file, recipes, default)
    checked = _checked(file, config_model(recipe))
    given: Any = checked
    params = {stage.name: getattr(given.stages, stage.name) for stage in recipe.stages}
    chosen = recipe.chosen([name for name, found in params.items() if found is not None])
    return Config(
        given.name,
        given.seed,
        [stage(params[stage.name]) for stage in chosen],
        checked.model_dump(mode="json"),
    )


def read_model(path: Path, model: type[M]) -> M:
    """Read and check a configuration that is no run's, such as that of a training.

    Args:
        path: The YAML file.
        model: What it must hold. Validators find the folder of the file in their context, as `folder`.

    Raises:
        ConfigError: With every fault, each with file:line:column and field.
    """
    return _checked(read_yaml(path), model)


def _checked(file: YamlFile, model: type[M]) -> M:
    try:
        name = file.value.get("name") if isinstance(file.value, dict) else None
        checked = model.model_validate(file.value, context={"folder": file.path.absolute().parent, "name": name})
    except ValidationError as error:
        faults = _of_one_branch(file, model, error.errors(include_url=False, include_input=False))
        said = {_describe(file, model, fault): fault for fault in faults}
        # A field with a slip of the pen is not also missing.
        meant = {(*fault["loc"][:-1], word) for text, fault in said.items() for word in _MEANT.findall(text)}
        kept = [text for text, fault in said.items() if fault["type"] != "missing" or fault["loc"] not in meant]
        raise ConfigError("\n".join(kept)) from None
    # "inf" and "nan" are numbers to pydantic, and so is what is too large for one.
    for location in _not_finite(checked):
        parts, where = file.locate(location)
        raise ConfigError(f"{where}: {'.'.join(map(str, parts))}: this is no number; give one, or leave the field out")
    return checked


def _not_finite(value: Any, at: Location = ()) -> Iterator[Location]:
    """Yield where a checked configuration has numbers that are infinite or none."""
    if isinstance(value, float) and not math.isfinite(value):
        yield at
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    for part, each in value.items() if isinstance(value, Mapping) else ():
        yield from _not_finite(each, (*at, part))


_MEANT = re.compile(r"there is no such field; did you mean '(.*)'\?$")


_STRUCTURE = ("missing", "extra_forbidden")


def _of_one_branch(file: YamlFile, model: type[BaseModel], faults: Iterable[Any]) -> list[Any]:
    """Return the faults of the alternative that was meant, where a value may be one of several models.

    pydantic gives the faults of every alternative. Meant is the one whose fields were given, as far as that tells.
    """
    kept: list[Any] = []
    branches: dict[Location, dict[str | int, list[Any]]] = {}
    for fault in faults:
        loc: Location = fault["loc"]
        at = _branch_at(file.value, loc)
        if at is None or loc[at] in _fields_at(file, model, loc[:at]):
            kept.append(fault)
        else:
            found = branches.setdefault(loc[:at], {}).setdefault(loc[at], [])
            found.append({**fault, "loc": (*loc[:at], *loc[at + 1 :])})
    for alternatives in branches.values():
        meant, *others = alternatives.values()
        for each in others:
            meant = each if _misfits(each) < _misfits(meant) else meant
        kept += meant
    return kept


def _misfits(faults: Sequence[Any]) -> tuple[int, int]:
    return sum(fault["type"] in _STRUCTURE for fault in faults), len(faults)


def _branch_at(value: Any, loc: Location) -> int | None:
    """Return which part of a location names an alternative and no key of the file; None if every part is a key."""
    for index, part in enumerate(loc):
        try:
            value = value[part]
        except (LookupError, TypeError):
            # pydantic names an alternative with a validator of its own "function-after[...]".
            return index if index < len(loc) - 1 or "[" in str(part) else None
    return None


def _named_recipe(file: YamlFile, recipes: Registry[Recipe], default: str) -> Recipe:
    name = file.value.get("recipe", default) if isinstance(file.value, dict) else default
    where = file.locate(("recipe",))[1]
    if not isinstance(name, str):
        raise ConfigError(f"{where}: recipe: give the name of a recipe: {', '.join(recipes.names())}, or module:NAME")
    try:
        return recipes.get(name)
    except ConfigError as error:
        raise ConfigError(f"{where}: recipe: {error}") from None


def _describe(file: YamlFile, model: type[BaseModel], fault: Mapping[str, Any]) -> str:
    location, where = file.locate(fault["loc"], at_key=fault["type"] in ("extra_forbidden", "invalid_key"))
    field = ".".join(map(str, location)) or "the whole file"
    message = str(fault["msg"]).removeprefix("Value error, ")
    guess = ""
    if fault["type"] == "extra_forbidden":
        message = "there is no such field"
        known = _fields_at(file, model, fault["loc"][:-1])
        guess = _guess(str(fault["loc"][-1]), known) or f"; known here: {', '.join(sorted(known))}"
    elif fault["type"] in ("literal_error", "enum"):
        expected = str(fault.get("ctx", {}).get("expected", ""))
        given = file.scalar(location)
        guess = _guess(given, [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]) if given else ""
    elif fault["type"] == "missing":
        message = "this field is required"
    elif fault["type"] == "string_type" and (word := file.scalar(location)):
        message, guess = f"{word} is read as {_kind_of(file, location)}", f"; put quotes round it: '{word}'"
    return f"{where}: {field}: {message}{guess}"


def _kind_of(file: YamlFile, location: Location) -> str:
    """Return what YAML makes of the word at a location."""
    value = file.value
    for part in location:
        value = value[part]
    kinds = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    return kinds.get(type(value), "a date" if hasattr(value, "isoformat") else "no text")


def _guess(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _fields_at(file: YamlFile, model: type[BaseModel], parts: Location) -> list[str]:
    """Return the names of the fields that the model, or any of a union of models, has at a location."""
    models = [model]
    for index, part in enumerate(parts):
        fields = [each.model_fields[part] for each in models if isinstance(part, str) and part in each.model_fields]
        below = [found for field in fields for found in _models_in(field.annotation)]
        for registry in (each for field in fields for each in field.metadata if isinstance(each, ChosenFrom)):
            below = [registry.registry.get(file.scalar((*parts[: index + 1], registry.field)))]
        # The tag of a union chooses among its models; an index of a list chooses nothing.
        models = below or [each for each in models if _has_tag(each, part)] or models
    return [field for each in models for field in each.model_fields]


def _has_tag(model: type[BaseModel], tag: str | int) -> bool:
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]
