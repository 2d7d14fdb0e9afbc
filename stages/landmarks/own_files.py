"""Sources `folder` and `files`: photographs and texts that the user has already.

Photographs of a landmark lie in a folder named by its Wikidata item or its landmark_id, with `attribution.csv` among
or above them (columns file, licence, author, licence_url, source_url, page_url, title, date). Texts are JSON files of
the same names.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipeline.errors import PermanentError
from pipeline.files import digest_bytes, digest_file
from raster.config_path import ConfigPath
from raster.strict_json import read_json
from stages.landmarks.prose import writable
from stages.landmarks.sources import Article, GroundSource, Photograph, Row, TextSource

_SUFFIXES = (".jpg", ".jpeg", ".png")
_MAX_BYTES = 64 << 20
ATTRIBUTION = "attribution.csv"


class FolderGround(GroundSource):
    """Photographs in a folder a landmark."""

    kind: Literal["folder"] = "folder"
    path: ConfigPath = Field(description="Folder that holds a folder a landmark, named by its item or landmark_id.")

    def identity(self, landmark: Row) -> str:
        """Return a digest of the landmark's files."""
        folder = self._folder(landmark)
        files = _pictures(folder) if folder is not None else []
        tables = [table for table in (_table(folder), self.path / ATTRIBUTION) if table is not None and table.is_file()]
        return digest_bytes("".join(f"{path.name} {digest_file(path)}" for path in [*files, *tables]).encode())

    def problems(self) -> list[str]:
        """Return that the folder is missing."""
        return [] if self.path.is_dir() else [f"path: {self.path}: there is no such folder"]

    def photographs(self, landmark: Row, workspace: Path) -> Iterator[Photograph]:
        """Yield the files by name; see `GroundSource`. One that no table names has no licence, and is refused."""
        folder = self._folder(landmark)
        if folder is None:
            return
        said = read_attribution(_table(folder) or self.path / ATTRIBUTION)
        for path in _pictures(folder):
            facts = said.get(path.name) or said.get(f"{folder.name}/{path.name}") or {}
            large = path.stat().st_size > _MAX_BYTES
            given = Photograph(path.name, None if large else path.read_bytes())
            yield replace(
                given,
                title=facts.get("title") or path.stem.replace("_", " "),
                fault=f"it has more than {_MAX_BYTES >> 20} MiB" if large else "",
                author=facts.get("author", ""),
                licence=facts.get("licence", ""),
                licence_url=facts.get("licence_url", ""),
                attribution=facts.get("attribution", ""),
                source_url=facts.get("source_url", ""),
                page_url=facts.get("page_url", ""),
                date=facts.get("date", ""),
            )

    def _folder(self, landmark: Row) -> Path | None:
        for name in (landmark["qid"], landmark["landmark_id"]):
            if name and (self.path / name).is_dir():
                return self.path / str(name)
        return None


class FilesText(TextSource):
    """Texts in JSON files: title, sections (title -> text, the lead under ""), language, licence, attribution."""

    kind: Literal["files"] = "files"
    path: ConfigPath = Field(description="Folder that holds <item or landmark_id>.json.")

    def identity(self, landmark: Row) -> str:
        """Return the digest of the landmark's file."""
        path = self._file(landmark)
        return digest_file(path) if path is not None else ""

    def problems(self) -> list[str]:
        """Return that the folder is missing."""
        return [] if self.path.is_dir() else [f"path: {self.path}: there is no such folder"]

    def articles(self, landmarks: Sequence[Row], workspace: Path) -> Mapping[str, Sequence[Article]]:
        """Read the files; see `TextSource`."""
        found = {str(row["landmark_id"]): self._file(row) for row in landmarks}
        return {landmark: [_article(path)] for landmark, path in found.items() if path is not None}

    def _file(self, landmark: Row) -> Path | None:
        names = (name for name in (landmark["qid"], landmark["landmark_id"]) if name)
        return next((path for name in names if (path := self.path / f"{name}.json").is_file()), None)


def read_attribution(path: Path) -> dict[str, dict[str, str]]:
    """Return file -> what a table says of it, none if there is no table. Raises PermanentError if it cannot be read."""
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PermanentError(f"{path}: cannot be read as a table ({error}); write it as CSV in UTF-8") from error
    if rows and not {"file", "licence"} <= rows[0].keys():
        raise PermanentError(f"{path}: lacks the columns file and licence")
    return {row["file"]: {name: value or "" for name, value in row.items() if name} for row in rows}


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())


def _table(folder: Path | None) -> Path | None:
    return folder / ATTRIBUTION if folder is not None and (folder / ATTRIBUTION).is_file() else None


def _article(path: Path) -> Article:
    try:
        said: dict[str, Any] = read_json(path)
        sections = {writable(str(title)): writable(str(text)) for title, text in said["sections"].items()}
        title, licence, attribution, address = (
            writable(str(said.get(name, ""))) for name in ("title", "licence", "attribution", "source_url")
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise PermanentError(f"{path}: is no text with sections ({error!r}); see the docs") from error
    if not licence:
        raise PermanentError(f"{path}: states no licence; a text without one cannot be published")
    language = str(said.get("language", "en"))
    return Article(title, sections, language, licence=licence, attribution=attribution, source_url=address)
