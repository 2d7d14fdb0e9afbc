"""The recipes that configurations can name: those of this package, those that other packages install, `module:NAME`."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Config, load_config
from pipeline.recipe import Recipe
from pipeline.registry import Registry

DEFAULT = "mapdata"
"""The recipe of a configuration that names none."""

RECIPES: Registry[Recipe] = Registry(
    "mapdata.recipes",
    Recipe,
    "recipe",
    {"mapdata": "mapdata.recipes.pairs:RECIPE", "landmarks": "mapdata.recipes.landmarks:RECIPE"},
)

LOCK_FILE = Path(__file__).resolve().parents[2] / "requirements.lock"
"""The pinned environment; there in a checkout only."""


def load_recipe(path: Path) -> Config:
    """Read the configuration of a run, of whichever recipe.

    Args:
        path: YAML file; paths in it are relative to its folder. Without `recipe` it is of the recipe `DEFAULT`.

    Raises:
        ConfigError: The file cannot be read or something in it is wrong; file, line, column and field are named.
    """
    return load_config(path, RECIPES, DEFAULT)
