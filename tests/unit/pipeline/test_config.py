"""Configurations: every fault is named with file, line, column and field."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from synthetic_recipe import RECIPE, ListStage

from pipeline.config import config_model, load_config
from pipeline.errors import ConfigError
from pipeline.recipe import Recipe

pytestmark = pytest.mark.unit

OPTIONAL = Recipe("synthetic", RECIPE.stages, optional=frozenset({"publish"}))

VALID = """\
name: demo
seed: 7
stages:
  list: {count: 3}
  draw:
    size: 10
    faults:
      - {drawing: "001", kind: transient, times: 2}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_a_valid_configuration_gives_the_stages_their_params(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, VALID), RECIPE)
    assert (config.name, config.seed) == ("demo", 7)
    assert [stage.name for stage in config.stages] == ["list", "draw", "pack", "publish"]
    assert config.stages[0].params.count == 3
    assert config.stages[2].params.batch == 4, "a stage that is left out has its defaults"
    assert config.stages[1].params.scratch == Path("scratch"), "a default is not relative to the file"
    assert config.resolved["stages"]["pack"] == {"batch": 4}


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, VALID + "    scratch: here/there\n"), RECIPE)
    assert config.stages[1].params.scratch == tmp_path / "here" / "there"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (VALID.replace("seed: 7", "seeds: 7"), "2:1: seeds", "no such field; did you mean 'seed'?"),
        (VALID.replace("size: 10", "sise: 10"), "6:5: stages.draw.sise", "did you mean 'size'?"),
        (VALID.replace("times", "tmies"), "8:43: stages.draw.faults.0.tmies", "did you mean 'times'?"),
        (VALID.replace("  draw:", "  drwa:"), "5:3: stages.drwa", "did you mean 'draw'?"),
        (VALID.replace("size: 10", "xyzzy: 1"), "6:5: stages.draw.xyzzy", "known here: faults, scratch, seconds, size"),
        (VALID.replace("size: 10", "size: 0"), "6:11: stages.draw.size", "greater than or equal to 1"),
        (VALID.replace("size: 10", "size: ten"), "6:11: stages.draw.size", "valid integer"),
        (VALID.replace("kind: transient", "kind: transiet"), "8:32: stages.draw.faults.0.kind", "'transient'?"),
        (VALID.replace("name: demo\n", ""), "1:1: name", "required"),
        (VALID.replace('drawing: "001", ', ""), "8:9: stages.draw.faults.0.drawing", "required"),
        (VALID + "name: again\n", "9:1", "field 'name' is given twice"),
        ("name: demo\nstages: {list: }\n", "2:15: stages.list", "valid dictionary"),
        ("name: [1, 2\nseed: 3\n", "2:", "Fix the YAML"),
        ("- a\n- b\n", "1:1: the whole file", "valid dictionary"),
        ("", ": the whole file", "valid dictionary"),
        (VALID.replace("name: demo", "name: a/b"), "1:7: name", "match pattern"),
    ],
)
def test_a_fault_is_named_with_its_place_and_a_remedy(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_config(path, RECIPE)
    assert f"{path}" in str(raised.value)
    assert place in str(raised.value)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("name: demo\n? [a, b]\n: 1\n", ":2:3:", "a key must be a word"),
        ("name: demo\n? {a: b}\n: 1\n", ":2:3:", "a key must be a word"),
        ("name: demo\nseed: 2026-02-31\n", ":2:7:", "not a valid timestamp"),
        (f"name: demo\nseed: {'9' * 5000}\n", ":2:7:", "not a valid int"),
        ("name: demo\nseed: !!int abc\n", ":2:7:", "not a valid int"),
        ("name: demo\nseed: !!binary éé\n", ":2:7:", "failed to convert base64"),
        ("name: demo\nseed: !!python/object:os.system x\n", ":2:7:", "could not determine a constructor"),
        ("name: demo\nseed: *nothing\n", ":2:7:", "found undefined alias"),
        ("name: demo\nseed: 1\n---\nname: other\n", ":3:1:", "another document"),
        ("name: demo\n\tseed: 1\n", ":2:1:", "cannot start any token"),
        ("name: de\0mo\n", ":1:9:", "special characters are not allowed"),
        ("name: demo\nstages: " + "[" * 3000, ":2:1:", "too deeply nested"),
        ("name: demo\nstages: &a {list: *a}\n", ":2:9:", "an alias refers to what contains it"),
        ("a: &a [1]\n" + "".join(f"{k}: &{k} [{', '.join([f'*{p}'] * 40)}]\n" for p, k in pairwise("abcdefg")),
         ":1:1:", "more than 1,000,000 values"),
        ("1: 2\nname: demo\n", ":1:1: 1", "Keys should be strings"),
        ("name: demo\nstages: {list: {1: 2}}\n", ":2:17: stages.list.1", "Keys should be strings"),
        ("{{name: demo}}\n", ":1:2:", "a key must be a word"),
        ("name: !!set {a, b}\n", ":1:7: name", "valid string"),
        ("name: demo\nseed: .nan\n", ":2:7: seed", "finite number"),
        ("name: demo\nseed: 1e400\n", ":2:7: seed", "valid integer"),
        ("just words\n", ":1:1: the whole file", "valid dictionary"),
    ],
)  # fmt: skip
def test_yaml_of_any_shape_gives_file_and_line(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(text.encode())
    with pytest.raises(ConfigError) as raised:
        load_config(path, RECIPE)
    message = str(raised.value)
    assert f"{path}{place}" in message
    assert words in message


@pytest.mark.parametrize(("content", "line"), [(b"name: \xff\n", 1), (b"\x80", 1), (b"a: 1\n\nb: \xc3(", 3)])
def test_other_encodings_give_file_and_line(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"run\.yaml:{line}:1: .*not UTF-8"):
        load_config(path, RECIPE)


SIGNS = st.text(st.sampled_from("ab:-?[]{}&*!|>'\"#% \n\t,0.~<e"), max_size=60)


@given(SIGNS | st.text(max_size=40) | st.binary(max_size=40))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_ends_in_anything_but_a_config_or_a_message(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        load_config(path, RECIPE)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", tmp_path, Path("/dev/zero"), Path("a\0b")):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(path, RECIPE)
    (tmp_path / "huge.yaml").write_bytes(b"#" * 10_000_001)
    with pytest.raises(ConfigError, match="larger than"):
        load_config(tmp_path / "huge.yaml", RECIPE)


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, VALID.replace("seed: 7", "seed: -1").replace("size: 10", "sise: 10")), RECIPE)
    assert len(str(raised.value).splitlines()) == 2


def test_values_are_not_repeated_in_messages(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, VALID.replace("size: 10", "size: s3cr3t")), RECIPE)
    assert "s3cr3t" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_config(tmp_path / "none.yaml", RECIPE)


def test_an_optional_stage_runs_only_if_the_configuration_has_it(tmp_path: Path) -> None:
    path = write(tmp_path, "name: demo\n")
    assert [stage.name for stage in load_config(path, OPTIONAL).stages] == ["list", "draw", "pack"]
    path = write(tmp_path, "name: demo\nstages: {publish: {}}\n")
    assert [stage.name for stage in load_config(path, OPTIONAL).stages][-1] == "publish"


def test_the_schema_describes_every_field() -> None:
    def described(node: dict[str, object]) -> None:
        for field in node.get("properties", {}).values():
            assert "description" in field or "$ref" in field, field

    schema = config_model(OPTIONAL).model_json_schema()
    described(schema)
    for definition in schema["$defs"].values():
        if definition["title"] != "Fault":
            described(definition)
    assert schema["additionalProperties"] is False


class Circle(BaseModel):
    """Round."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["circle"] = Field(description="Which shape.")
    radius: float = Field(description="Metres.")


class Square(BaseModel):
    """Not round."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["square"] = Field(description="Which shape.")
    radii: float = Field(description="Of its corners, metres.")


class ShapesParams(BaseModel):
    """Shapes of two kinds."""

    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]] = Field(description="The shapes.")


class ShapesStage(ListStage):
    """Takes a list of shapes."""

    name, version, Params = "shapes", 1, ShapesParams


def test_a_stage_that_cannot_be_left_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":1:1: stages\.shapes\.shapes: this field is required"):
        load_config(write(tmp_path, "name: demo\n"), Recipe("shapes", (ShapesStage,)))


def test_a_guess_comes_from_the_kind_that_was_chosen(tmp_path: Path) -> None:
    text = "name: demo\nstages:\n  shapes:\n    shapes:\n      - {kind: circle, radiu: 1}\n"
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, text), Recipe("shapes", (ShapesStage,)))
    (unknown,) = str(raised.value).splitlines()  # and not that `radius` is missing: it is there, with a slip
    assert "5:24: stages.shapes.shapes.0.radiu: there is no such field; did you mean 'radius'?" in unknown
