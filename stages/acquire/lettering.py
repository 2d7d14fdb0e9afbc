"""What a drawn map says of its lettering: the fonts that it depends on, and the names that they cannot write."""

from __future__ import annotations

import logging
import unicodedata

from cartography.mapnik_renderer import MapnikRenderer

_SHOWN = 3

_log = logging.getLogger(__name__)


def lettering_notes(renderer: MapnikRenderer, where: str) -> tuple[str, ...]:
    """Return, and log as a warning, what a map does not show for want of letters; nothing where it shows all names.

    Args:
        renderer: The renderer of the whole map.
        where: How the message calls the map.
    """
    names = renderer.unwritable_names
    if not names:
        return ()
    scripts = sorted({_script(character) for name in names for character in name if character.isalpha()})
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    note = (
        f"{where}: {len(names)} names are left out, as no installed font has all of their letters "
        f"({', '.join(scripts) or 'symbols'}): {shown}; `pip install 'mapdata[fonts]'` adds scripts"
    )
    _log.warning(note)
    return (note,)


def _script(character: str) -> str:
    """Return the first word of a character's name in Unicode, which is its script."""
    return unicodedata.name(character, "unknown").split()[0].capitalize()
