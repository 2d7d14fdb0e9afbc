"""Tie points from and to files of other software, as text."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import PermanentError
from pipeline.workspace import now
from review.documents import distinct
from review.errors import Refused
from review.sites import Site
from stages.tiepoints import MAX_BYTES, SUFFIXES, TiePoint, read_tiepoints, tiepoints_text


def exported(site: Site, points: Sequence[TiePoint], form: Any) -> str:
    """Return points as the content of a `.points`, `.geojson` or `.csv` file. Raises Refused (422).

    Args:
        site: The grid of its visible raster gives ground coordinates, where it has one.
        points: Full-resolution pixels of both rasters.
        form: The suffix with its dot, as a browser sent it: of any type until it is checked here.
    """
    if form not in SUFFIXES:
        raise Refused(422, f"form may be {', '.join(SUFFIXES)}")
    return tiepoints_text(form, points, site.sides["visible"].grid)


def imported(site: Site, name: Any, text: Any, operator: str) -> list[TiePoint]:
    """Return the points of a file that a person chose.

    Args:
        site: Whose rasters place ground and layer coordinates.
        name: Of the file; its suffix says the form.
        text: Its content.
        operator: Whose points they are where the file does not say.

    Raises:
        Refused: 422 where it cannot be read; the line is named.
    """
    if not isinstance(name, str) or not isinstance(text, str) or len(text) > MAX_BYTES:
        raise Refused(422, "give the name and the text of a file")
    suffix = next((each for each in SUFFIXES if name.lower().endswith(each)), None)
    if suffix is None:
        raise Refused(422, f"tie points come as {', '.join(SUFFIXES)}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{suffix}"
        path.write_text(text, encoding="utf-8")
        try:
            found = read_tiepoints(path, site.sides["visible"].grid, site.sides["map"].grid)
        except PermanentError as error:
            raise Refused(422, str(error).replace(str(path), Path(name).name)) from error
    return [replace(p, operator=p.operator or operator, date=p.date or now()[:10]) for p in distinct(found)]
