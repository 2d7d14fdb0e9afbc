"""Configuration: YAML checked by pydantic. An error names file, line, column and field, and guesses what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, create_model

from pipeline.errors import ConfigError
from pipeline.stage import Stage

Location = tuple[str | int, ...]


def _from_config_folder(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return folder / path.expanduser() if folder is not None else path.expanduser()


ConfigPath = Annotated[Path, AfterValidator(_from_config_folder)]
"""A path in a configuration: relative to the folder of the configuration's file."""


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


def config_model(stages: Sequence[type[Stage[Any]]], optional: Sequence[str]) -> type[BaseModel]:
    """Return the model of a configuration for these stages. Those in `optional` run only if the configuration has them.

    A stage that is left out of a configuration is taken with no parameters given.
    """
    fields: dict[str, Any] = {}
    for stage in stages:
        about = (stage.Params.__doc__ or stage.__doc__ or stage.name).strip().splitlines()[0]
        if stage.name in optional:
            fields[stage.name] = (stage.Params | None, Field(None, description=about))
        else:
            fields[stage.name] = (stage.Params, Field({}, validate_default=True, description=about))
    parameters = create_model("Stages", __config__=ConfigDict(extra="forbid"), **fields)
    whole: Any = Field({}, validate_default=True, description="Parameters of each stage.")
    return create_model("Config", __base__=_RunConfig, __doc__=_RunConfig.__doc__, stages=(parameters, whole))


def load_config(path: Path, stages: Sequence[type[Stage[Any]]], optional: Sequence[str] = ()) -> Config:
    """Read and check a configuration. Raises ConfigError with every fault, each with file:line:column and field."""
    tree, value = _read_yaml(path)
    model = config_model(stages, optional)
    try:
        checked = model.model_validate(value, context={"folder": path.absolute().parent})
    except ValidationError as error:
        faults = [_describe(path, tree, model, fault) for fault in error.errors(include_url=False, include_input=False)]
        raise ConfigError("\n".join(faults)) from None
    given: Any = checked
    chosen = [(stage, getattr(given.stages, stage.name)) for stage in stages]
    return Config(
        given.name,
        given.seed,
        [stage(params) for stage, params in chosen if params is not None],
        checked.model_dump(mode="json"),
    )


class _Loader(yaml.SafeLoader):
    """SafeLoader which refuses a key given twice in one mapping, instead of keeping the last silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"field {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> tuple[yaml.Node | None, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read: {reason}. Give the path of a YAML file (see configs/).") from error
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        return tree, loader.construct_document(tree) if tree is not None else None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}{_position(error.problem_mark)}: {error.problem or error}. Mend the YAML.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}. Mend the YAML.") from None


def _position(mark: Any) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""


def _describe(path: Path, tree: yaml.Node | None, model: type[BaseModel], fault: Mapping[str, Any]) -> str:
    location, mark = _locate(tree, fault["loc"], at_key=fault["type"] == "extra_forbidden")
    field = ".".join(map(str, location)) or "the whole file"
    message = str(fault["msg"]).removeprefix("Value error, ")
    guess = ""
    if fault["type"] == "extra_forbidden":
        message = "there is no such field"
        known = _fields_at(model, fault["loc"][:-1])
        guess = _guess(str(fault["loc"][-1]), known) or f"; known here: {', '.join(sorted(known))}"
    elif fault["type"] in ("literal_error", "enum"):
        expected = str(fault.get("ctx", {}).get("expected", ""))
        given = _scalar(tree, location)
        guess = _guess(given, [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]) if given else ""
    elif fault["type"] == "missing":
        message = "this field is required"
    return f"{path}{_position(mark)}: {field}: {message}{guess}"


def _guess(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _locate(tree: yaml.Node | None, parts: Location, *, at_key: bool) -> tuple[Location, Any]:
    """Follow a pydantic location down the YAML tree; the tags of unions, which are no fields, are left out of it.

    Returns the location and the mark of the last node that is there, or of its key.
    """
    node, kept, mark = tree, [], tree.start_mark if tree is not None else None
    for index, part in enumerate(parts):
        child = _child(node, part)
        if child is not None:
            key, node = child
            mark = key.start_mark if at_key and index == len(parts) - 1 else node.start_mark
        if child is not None or not _holds(node, part):
            kept.append(part)
    return tuple(kept), mark


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


def _scalar(tree: yaml.Node | None, parts: Location) -> str:
    node = tree
    for part in parts:
        child = _child(node, part)
        node = child[1] if child else None
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _fields_at(model: type[BaseModel], parts: Location) -> list[str]:
    """Return the names of the fields that the model, or any of a union of models, has at a location."""
    models = [model]
    for part in parts:
        fields = [each.model_fields[part] for each in models if isinstance(part, str) and part in each.model_fields]
        below = [found for field in fields for found in _models_in(field.annotation)]
        # The tag of a union chooses among its models; an index of a list chooses nothing.
        models = below or [each for each in models if _has_tag(each, part)] or models
    return [field for each in models for field in each.model_fields]


def _has_tag(model: type[BaseModel], tag: str | int) -> bool:
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]
