"""The console command `mapdata`: collects the sub-commands of `mapdata.commands`."""

from __future__ import annotations

import os
import pkgutil
import sys
from importlib import import_module

import typer

from mapdata import commands

EXIT_STATUS = {
    ("pipeline.errors", "ConfigError"): 2,
    ("pipeline.errors", "WorkspaceError"): 2,
    ("pipeline.errors", "PipelineError"): 1,
    ("matcher.errors", "InputError"): 2,
    ("matcher.errors", "MatcherUnavailable"): 2,
    ("matcher.errors", "MatcherError"): 1,
    ("catalog.errors", "CatalogError"): 1,
}
"""Foreseen errors by module and name, the more special first."""

PATIENCE = {"OMP_WAIT_POLICY": "passive"}
"""Threads that wait must sleep: spinning, they take the processor from whatever runs beside (torch on two threads was
measured six times slower with one other process on two cores)."""


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
    """Entry point of the console command. Foreseen errors of every room become one message and an exit status."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)  # before torch is imported, which reads it then
    try:
        build_app()()
    except Exception as error:
        status = _exit_status(error)
        if status is None:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(status)


def _exit_status(error: Exception) -> int | None:
    """Return the exit status of a foreseen error, else None. The module of an error that was raised is imported."""
    for (module, name), status in EXIT_STATUS.items():
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return status
    return None
