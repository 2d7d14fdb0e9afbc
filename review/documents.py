"""What people say of a raster pair: tie points and verdict, as one document with a tag for each state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.errors import PermanentError
from pipeline.files import digest_file, digest_json, write_saved
from review.errors import Refused
from review.sites import Site
from stages.align import tiepoint_files
from stages.review.verdicts import (
    SiteVerdict,
    digest_of_points,
    read_site_verdict,
    site_file,
    site_verdict_from_json,
    write_site_verdict,
)
from stages.tiepoints import MAX_POINTS, TiePoint, read_site_tiepoints, tiepoints_text

_PLACES = ("map_x", "map_y", "visible_x", "visible_y")
_TEXTS = ("name", "operator", "date")
_LONGEST_TEXT = 200
REPLACED = ".replaced"
"""Suffix of files of tie points whose points a save has taken over into the site's CSV."""


@dataclass(frozen=True)
class Document:
    """Tie points and verdict of a raster pair."""

    points: tuple[TiePoint, ...] = field(default=())
    verdict: SiteVerdict | None = None

    @property
    def tag(self) -> str:
        """The state's tag, as HTTP has it (ETag): the same content has the same tag."""
        return digest_json(self.to_json())[:32]

    @property
    def digest_of_points(self) -> str:
        """Digest of the points, as verdicts name it."""
        return digest_of_points([asdict(point) for point in self.points])

    def to_json(self) -> dict[str, Any]:
        """Return the document as JSON."""
        verdict = asdict(self.verdict) if self.verdict is not None else None
        return {"points": [asdict(point) for point in self.points], "verdict": verdict}

    def with_verdict(self, verdict: SiteVerdict | None) -> Document:
        """Return it with another verdict."""
        return replace(self, verdict=verdict)

    @classmethod
    def from_json(cls, value: Any) -> Document:
        """Read what `to_json` wrote. Raises Refused (422)."""
        if not isinstance(value, dict):
            raise Refused(422, "a document has points and a verdict")
        try:
            given = value.get("verdict")
            verdict = site_verdict_from_json(given, "the verdict") if given is not None else None
        except PermanentError as error:
            raise Refused(422, str(error)) from error
        return cls(tuple(points_from_json(value.get("points"))), verdict)


def points_from_json(value: Any) -> list[TiePoint]:
    """Return tie points of JSON. Raises Refused (422) naming the point and what is wrong with it."""
    if not isinstance(value, list) or len(value) > MAX_POINTS:
        raise Refused(422, f"points must be a list of at most {MAX_POINTS}")
    points, names = [], set()
    for number, entry in enumerate(value, 1):
        if not isinstance(entry, dict) or set(entry) != {*_PLACES, *_TEXTS}:
            raise Refused(422, f"point {number} must have {', '.join((*_TEXTS, *_PLACES))}")
        for key in _PLACES:
            if not isinstance(entry[key], int | float) or isinstance(entry[key], bool) or not math.isfinite(entry[key]):
                raise Refused(422, f"point {number}: {key} must be a finite number")
        for key in _TEXTS:
            if not isinstance(entry[key], str) or len(entry[key]) > _LONGEST_TEXT:
                raise Refused(422, f"point {number}: {key} must be a text of at most {_LONGEST_TEXT} characters")
            if " ".join(entry[key].split()) != entry[key]:
                raise Refused(422, f"point {number}: {key} must be one line, without double spaces")
        if not entry["name"] or entry["name"] in names:
            raise Refused(422, f"point {number}: its name must be there, and no other point's")
        names.add(entry["name"])
        map_x, map_y, visible_x, visible_y = (float(entry[key]) for key in _PLACES)
        points.append(TiePoint(entry["name"], map_x, map_y, visible_x, visible_y, entry["operator"], entry["date"]))
    return points


def read_document(root: Path, site: Site) -> Document:
    """Read what is on disk. Raises Refused (409) where a file cannot be read; it names the file.

    Args:
        root: Folder of the workspace.
        site: Its grids turn ground coordinates of tie points into pixels.

    Returns:
        Points of all the site's files together, each place once; no verdict where nobody has judged.
    """
    try:
        grids = site.sides["visible"].grid, site.sides["map"].grid
        points = distinct(read_site_tiepoints(tiepoint_files(root, site.name), *grids))
        return Document(tuple(points), read_site_verdict(site_file(root, site.name)))
    except PermanentError as error:
        raise Refused(409, str(error)) from error


def write_document(root: Path, site: Site, document: Document) -> None:
    """Write tie points and verdict; what did not change keeps its file as it is.

    Points go into the site's CSV. Other files of tie points, which a person put there, get the suffix `.replaced`.

    Args:
        root: Folder of the workspace.
        site: Whose files they are.
        document: The whole state: points that it lacks are deleted, and so is the verdict where it is None.

    Raises:
        Refused: (409) A file that is there cannot be read; nothing is written then.
    """
    before = read_document(root, site)
    base = root / "tiepoints" / site.name
    table = base.with_name(base.name + ".csv")
    if before.points != document.points:
        if document.points:
            write_saved(table, tiepoints_text(".csv", document.points).encode())
        else:
            table.unlink(missing_ok=True)
        for path in tiepoint_files(root, site.name):
            if path != table:
                path.rename(path.with_name(path.name + REPLACED))
    if before.verdict != document.verdict:
        path = site_file(root, site.name)
        if document.verdict is None:
            path.unlink(missing_ok=True)
        else:
            write_site_verdict(path, document.verdict)


def digest_of_alignment(site: Site) -> str:
    """Return the digest of the present `alignment.json`, empty where there is none."""
    if site.alignment is None or not site.alignment[0].is_file():
        return ""
    return digest_file(site.alignment[0])


def distinct(points: Sequence[TiePoint]) -> list[TiePoint]:
    """Give points whose name another has a number: a name says which is meant. Texts have at most the length that
    `points_from_json` takes."""
    names: set[str] = set()
    found = []
    for point in points:
        name, number = point.name[:_LONGEST_TEXT].rstrip(), 2
        while name in names:
            name, number = f"{point.name[: _LONGEST_TEXT - 8].rstrip()} {number}", number + 1
        names.add(name)
        operator, date = (text[:_LONGEST_TEXT].rstrip() for text in (point.operator, point.date))
        found.append(replace(point, name=name, operator=operator, date=date))
    return found
