"""The console command `mapdata`: collects the sub-commands of `mapdata.commands`."""

from __future__ import annotations

import os
import pkgutil
import sys
from importlib import import_module
from typing import Annotated

import typer

import mapdata
from mapdata import commands
from raster.disk import problem_of_a_disk

THREAD_SETTINGS = {"OMP_WAIT_POLICY": "passive"}
"""Waiting threads must sleep: spinning, they take the processor from other processes (torch on two threads was measured
six times slower with one other process on two cores)."""


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"mapdata {mapdata.__version__}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """Return the command-line application with every sub-command found in `mapdata.commands` registered."""
    app = typer.Typer(
        name="mapdata",
        help="Build, align, publish and benchmark map-visible remote sensing image pairs with ground truth.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda found: found.name):
        import_module(f"{commands.__name__}.{module.name}").register(app)
    return app


def main() -> None:
    """Entry point of the console command. Errors that a room raises on purpose become one message and an exit status.

    Their base class in each room declares the attribute `exit_status`. What a disk refuses becomes one, too.
    """
    for name, value in THREAD_SETTINGS.items():
        os.environ.setdefault(name, value)  # before torch is imported, which reads it then
    if problem := _problem_of_paths():
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    try:
        build_app()()
    except Exception as error:
        status, message = getattr(error, "exit_status", None), str(error)
        if not isinstance(status, int):
            status, message = 1, problem_of_a_disk(error)
        if not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(status)


def _problem_of_paths() -> str:
    """Return what no command can work with: libraries of images and tables take paths in UTF-8 only."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        return "the current folder has been removed; change to another one"
    for text in (folder, *sys.argv[1:]):
        try:
            text.encode()
        except UnicodeEncodeError:
            shown = text.encode(errors="backslashreplace").decode()
            return f"{shown}: is not UTF-8; rename it, or set the locale to one of UTF-8 if it is"
    return ""


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options of the command itself."""
