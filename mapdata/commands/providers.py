"""`mapdata providers`: the tile services that are known, their terms and their keys."""

from __future__ import annotations

import typer

from mapdata.options import AsJson


def register(app: typer.Typer) -> None:
    """Add `providers`."""
    app.command()(providers)


def providers(as_json: AsJson = False) -> None:
    """List tile services by name: what they show, whether their terms allow bulk downloads, and where keys are read.

    Any service of the package xyzservices is known, too, as `xyz:NAME`, with terms unknown.

    Example: `mapdata providers`
    """
    from pipeline.report import print_json
    from stages.providers import registry

    known = registry()
    if as_json:
        print_json({"providers": [provider.model_dump(mode="json") for provider in known.values()]})
        return
    for name, provider in known.items():
        shows = f"shows: {provider.side}" if provider.side else ""
        key = f"key: environment variable {provider.key_variable}" if provider.key_variable else ""
        facts = (shows, f"bulk downloads: {provider.bulk}", f"licence: {provider.licence}", key, provider.note)
        typer.echo(name)
        for line in ("; ".join(filter(None, facts)), provider.attribution, provider.terms):
            if line:
                typer.echo(f"  {line}")
