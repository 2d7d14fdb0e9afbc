"""A file of the benchmark's levels is read as strictly as a configuration."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from raster.levels import LEVELS, Levels
from stages.benchmark import BenchmarkParams, BenchmarkStage, levels_of

pytestmark = pytest.mark.unit

BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi"))
PROJECT = Path(__file__).resolve().parents[3]


def test_the_published_levels_are_those_of_the_code() -> None:
    assert levels_of(PROJECT / "configs/benchmark-levels.yaml") == levels_of(None) == LEVELS


def test_levels_stay_the_same_on_their_way_to_the_matchers_process() -> None:
    assert Levels.model_validate(Levels(levels=LEVELS).model_dump()).levels == LEVELS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("levels:\n  easy: {rotation_deg: 010, scale: 1.1, shift: 0, perspective: 0}", "2:24: .*YAML reads 010 as 8"),
        ("levels:\n  easy: {patch: 1:30, amplitude: 0, angle_deg: 0}", "2:17: .*YAML reads 1:30 as 90"),
        ("levels: {easy: {rotation: 1}}", "1:17: levels.easy.rotation: there is no such field"),
        ("levels: {easy: {patch: .nan, amplitude: 0, angle_deg: 0}}", "1:24: levels.easy.patch"),
        ("levels:\n  easy: null\n  easy: null", "3:3: field 'easy' is given twice"),
        ("levels: 3", "1:9: levels: "),
        ("levels: {}", "1:9: levels: "),
        ("- a", "1:1: the whole file"),
        ("levels: {", "1:10: "),
        (BOMB, "more than 1,000,000 values"),
        ("levels: {easy: {rotation_deg: .inf, scale: 1, shift: 0, perspective: 0}}", "levels.easy.rotation_deg"),
        ("levels: {easy: {rotation_deg: 1, scale: .inf, shift: 0, perspective: 0}}", "levels.easy.scale"),
    ],
)
def test_a_file_that_is_none_of_levels_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "levels.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"levels\.yaml:.*{message}"):
        levels_of(path)
    (problem,) = BenchmarkStage(BenchmarkParams.model_validate({"levels_file": path})).problems({})
    assert problem.startswith("levels_file: ")
