"""The console command `mapdata`: collects the sub-commands of `mapdata.commands`."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import typer

from mapdata import commands


def build_app() -> typer.Typer:
    """Return the command-line application with every sub-command found in `mapdata.commands` registered."""
    app = typer.Typer(
        name="mapdata",
        help="Build, align, publish and benchmark map-visible remote sensing image pairs with ground truth.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    # With a callback, typer keeps sub-commands even when only one is registered.
    app.callback()(lambda: None)
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda found: found.name):
        import_module(f"{commands.__name__}.{module.name}").register(app)
    return app


def main() -> None:
    """Entry point of the console command."""
    build_app()()
