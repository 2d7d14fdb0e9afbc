"""`mapdata gallery`: a contact sheet of the map styles beside the simulated image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `gallery`."""
    app.command()(gallery)


def gallery(out: Annotated[Path, typer.Option(help="JPEG file to write.")] = Path("gallery.jpg")) -> None:
    """Draw synthetic scenes in every map style, each beside the simulated image of the same ground.

    Example: `mapdata gallery --out gallery.jpg`
    """
    from cartography.gallery import contact_sheet, encode
    from pipeline.files import write_bytes

    data = encode(contact_sheet())
    write_bytes(out, data)
    typer.echo(f"{out}: {len(data) / 1000:.0f} kB")
