"""`mapdata config`: the schema of configurations, and a check of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `config schema` and `config check`."""
    family = typer.Typer(no_args_is_help=True, help="Describe or check a run's configuration.")
    family.command("schema")(schema)
    family.command("check")(check)
    app.add_typer(family, name="config")


def schema(recipe: Annotated[str, typer.Option(help="Name of a recipe, or module:NAME.")] = "mapdata") -> None:
    """Print the JSON schema of the configurations of a recipe, every field described.

    Example: `mapdata config schema > mapdata.schema.json`
    """
    from mapdata.recipes import RECIPES
    from pipeline.config import config_model

    typer.echo(json.dumps(config_model(RECIPES.get(recipe)).model_json_schema(), indent=1))


def check(
    config: Annotated[Path, typer.Argument(help="The YAML file of the run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the resolved configuration as JSON.")] = False,
) -> None:
    """Check a configuration without running anything; a fault is shown with file, line, column and field.

    Example: `mapdata config check configs/demo.yaml`
    """
    from mapdata.recipes import load_recipe

    loaded = load_recipe(config)
    if as_json:
        typer.echo(json.dumps(loaded.resolved, indent=1))
    else:
        typer.echo(f"{config}: valid; stages: {', '.join(stage.name for stage in loaded.stages)}")
