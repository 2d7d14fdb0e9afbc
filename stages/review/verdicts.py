"""Verdicts of people, as files of the workspace: of raster pairs in JSON, of pairs of tiles in CSV.

`verdicts/<point>/<site>.json` holds one `SiteVerdict`, `verdicts/<point>/<site>.tiles.csv` one `TileVerdict` a line.
Each names the digest of what was judged, and lapses when that changes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.errors import PermanentError
from pipeline.files import digest_bytes, write_saved
from raster.strict_json import JsonError, parse_json

FOLDER = "verdicts"
MAX_BYTES = 16 << 20
MAX_TEXT = 2000
REASONS = (
    "wrong place",
    "map out of date",
    "image out of date",
    "cloud or snow",
    "no common structure",
    "poor image",
    "poor map",
    "other",
)
"""Why a person rejects; `other` needs a note."""


@dataclass(frozen=True)
class SiteVerdict:
    """What a person says of a raster pair.

    Attributes:
        verdict: `accepted` or `rejected`.
        operator: Who says so.
        date: When, ISO 8601.
        reason: Why it is rejected, one of `REASONS`.
        note: In the person's words.
        override: The pair is accepted though a test failed; `note` says why.
        alignment: BLAKE3 of the `alignment.json` that was judged, empty where none was.
        points: BLAKE3 of the tie points that were judged (see `digest_of_points`), empty where there were none.
    """

    verdict: str
    operator: str
    date: str
    reason: str = ""
    note: str = ""
    override: bool = False
    alignment: str = ""
    points: str = ""

    def holds(self, alignment: str, points: str) -> bool:
        """Return whether what was judged is still so.

        An acceptance of tie points that pass their tests holds as long as the points do: whatever an alignment by them
        says is tested again. Any other verdict holds for the very alignment that was judged.

        Args:
            alignment: Digest of the present `alignment.json`.
            points: Digest of the present tie points.
        """
        if self.verdict == "accepted" and not self.override and self.points:
            return self.points == points
        return bool(self.alignment) and self.alignment == alignment


@dataclass(frozen=True)
class TileVerdict:
    """What a person says of a pair of tiles: `keep`, whatever the rules say, or `reject`."""

    pair_id: str
    verdict: str
    reason: str
    operator: str
    date: str
    map_digest: str
    visible_digest: str


def site_file(workspace: Path, name: str) -> Path:
    """Return the file of the verdict on a raster pair ("001/1").

    Args:
        workspace: Folder of the run.
        name: Point and site, such as "001/1".

    Returns:
        `verdicts/001/1.json` below the workspace; it exists only where a person has judged.
    """
    point, _, site = name.partition("/")
    return workspace / FOLDER / point / f"{site}.json"


def tiles_file(workspace: Path, name: str) -> Path:
    """Return the file of the verdicts on the pairs of tiles of a site ("001/1").

    Args:
        workspace: Folder of the run.
        name: Point and site, such as "001/1".

    Returns:
        `verdicts/001/1.tiles.csv` below the workspace; it exists only where a person has judged.
    """
    point, _, site = name.partition("/")
    return workspace / FOLDER / point / f"{site}.tiles.csv"


def read_site_verdict(path: Path) -> SiteVerdict | None:
    """Read a verdict on a raster pair; None where there is no such file. Raises PermanentError naming what is wrong."""
    text = _text(path)
    if text is None:
        return None
    try:
        value = parse_json(text)
    except JsonError as error:
        raise PermanentError(f"{path}: not a verdict ({error}); repair it or remove it") from error
    return site_verdict_from_json(value, str(path))


def site_verdict_from_json(value: Any, where: str) -> SiteVerdict:
    """Return a verdict on a raster pair from JSON. Raises PermanentError naming `where` and what is wrong.

    Args:
        value: Parsed JSON of unknown origin: a file that a person may have edited, or a browser's request.
        where: What messages start with, such as the file's path.
    """
    known = {field.name for field in fields(SiteVerdict)}
    if not isinstance(value, dict) or not value.keys() <= known or not {"verdict", "operator", "date"} <= value.keys():
        raise PermanentError(f"{where}: not a verdict: it needs verdict, operator and date, and knows {sorted(known)}")
    for name, entry in value.items():
        right = isinstance(entry, bool) if name == "override" else isinstance(entry, str) and len(entry) <= MAX_TEXT
        if not right:
            raise PermanentError(f"{where}: {name} must be {'true or false' if name == 'override' else 'a short text'}")
    verdict = SiteVerdict(**value)
    if verdict.verdict not in ("accepted", "rejected"):
        raise PermanentError(f"{where}: verdict is {verdict.verdict!r}; it may be 'accepted' or 'rejected'")
    if not verdict.operator.strip():
        raise PermanentError(f"{where}: a verdict names its operator")
    if verdict.verdict == "rejected" and verdict.reason not in REASONS:
        raise PermanentError(f"{where}: reason is {verdict.reason!r}; it may be one of {', '.join(REASONS)}")
    needs_note = verdict.override or (verdict.verdict == "rejected" and verdict.reason == "other")
    if needs_note and not verdict.note.strip():
        raise PermanentError(f"{where}: a note must say why")
    if verdict.override and verdict.verdict != "accepted":
        raise PermanentError(f"{where}: only an acceptance can override a failed test")
    return verdict


def write_site_verdict(path: Path, verdict: SiteVerdict) -> None:
    """Write a verdict on a raster pair; the same verdict gives the same bytes.

    Args:
        path: See `site_file`; written atomically, its folder is made where it is missing.
        verdict: As `site_verdict_from_json` accepts it; it is not checked again.
    """
    write_saved(path, (json.dumps(asdict(verdict), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_tile_verdicts(path: Path) -> list[TileVerdict]:
    """Read the verdicts on pairs of tiles of a site, none where there is no such file. Raises PermanentError."""
    text = _text(path)
    if text is None:
        return []
    names = [field.name for field in fields(TileVerdict)]
    rows = list(csv.DictReader(io.StringIO(text)))
    found: dict[str, TileVerdict] = {}
    for line, row in enumerate(rows, 2):
        if set(row) != set(names) or None in row.values():
            raise PermanentError(f"{path}, line {line}: the columns must be {', '.join(names)}")
        verdict = TileVerdict(**row)
        if verdict.verdict not in ("keep", "reject") or not verdict.operator.strip():
            raise PermanentError(f"{path}, line {line}: a verdict is 'keep' or 'reject', and names its operator")
        found[verdict.pair_id] = verdict
    return list(found.values())


def write_tile_verdicts(path: Path, verdicts: Iterable[TileVerdict]) -> None:
    """Write the verdicts on pairs of tiles of a site, in the order of their ids; remove the file where there are
    none.

    Args:
        path: See `tiles_file`; written atomically.
        verdicts: All that hold for the site; what the file held before is replaced.
    """
    data = tile_verdicts_bytes(verdicts)
    if data is None:
        path.unlink(missing_ok=True)
    else:
        write_saved(path, data)


def tile_verdicts_bytes(verdicts: Iterable[TileVerdict]) -> bytes | None:
    """Return the content of a file of verdicts on pairs of tiles, None where there are none."""
    ordered = sorted(verdicts, key=lambda verdict: verdict.pair_id)
    if not ordered:
        return None
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(TileVerdict)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(verdict) for verdict in ordered)
    return buffer.getvalue().encode()


def digest_of_points(points: Sequence[Mapping[str, Any]]) -> str:
    """Return the digest of tie points by their places, whatever file holds them; empty where there are none.

    Args:
        points: Mappings with `map_x`, `map_y`, `visible_x` and `visible_y`.
    """
    if not points:
        return ""
    places = sorted([float(point[key]) for key in ("map_x", "map_y", "visible_x", "visible_y")] for point in points)
    return digest_bytes(json.dumps(places).encode())


def _text(path: Path) -> str | None:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PermanentError(f"{path}: over {MAX_BYTES >> 20} MiB is no file of verdicts")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{path}: cannot read this verdict ({error})") from error
