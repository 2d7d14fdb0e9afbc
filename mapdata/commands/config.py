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

    Names of matchers and sources, files, bands, contacts, and values left from an example are looked at; nothing is
    fetched. What a run will need besides, such as keys, is listed. Exit status 1 if something is wrong.

    Example: `mapdata config check configs/demo.yaml`
    """
    from mapdata.recipes import load_recipe
    from pipeline.forecast import problems

    loaded = load_recipe(config)
    found = problems(loaded.stages, loaded.seed)
    for problem in found:
        typer.echo(f"{config}: {problem}", err=True)
    if found:
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(loaded.resolved, indent=1))
    else:
        for need in (each for stage in loaded.stages for each in stage.needs()):
            typer.echo(f"needed before a run: {need}")
        typer.echo(f"{config}: valid; stages: {', '.join(stage.name for stage in loaded.stages)}")
