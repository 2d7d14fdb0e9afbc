"""Photographs of no landmark: those of a folder, in the layout of the Google Landmarks Dataset v2 or any other.

`index/0/1/2/0123456789abcdef.jpg`, ids without a suffix in a list, a table of attributions (id, url, author, license,
title), and two tables that say which landmark an image shows and which Commons category that is.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import PermanentError
from pipeline.files import digest_bytes, write_bytes
from raster.config_path import ConfigPath
from stages.landmarks.ground import decoded, encoded, hash_of, reduced
from stages.landmarks.licences import refusal, spdx_of
from stages.landmarks.tables import short_id

BATCH = 512
_SUFFIXES = (".jpg", ".jpeg", ".png")
_MAX_BYTES = 64 << 20


class GroundDistractors(BaseModel):
    """Where they are, and under which terms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: ConfigPath = Field(description="Folder of the images, at any depth, each named by its id.")
    ids: ConfigPath | None = Field(None, description="Table with a column id: take only these images.")
    licence: str = Field("", description="Licence of all images, such as CC0; a table of attributions says it of each.")
    attributions: ConfigPath | None = Field(None, description="Table with columns id, url, author, license, title.")
    landmark_of: ConfigPath | None = Field(
        None, description="Table with columns id, landmark_id (index_image_to_landmark)."
    )
    category_of: ConfigPath | None = Field(
        None,
        description="Table with columns landmark_id, category (index_label_to_category): own landmarks are left out.",
    )
    longest_side: int = Field(800, ge=64, description="Longest side of a published photograph, pixels.")
    quality: int = Field(90, ge=1, le=100, description="JPEG quality.")

    def images(self, own_categories: set[str]) -> list[dict[str, Any]]:
        """Return the images that show none of the dataset's landmarks, by id: id, path below the folder, size, terms.

        Args:
            own_categories: Commons categories of the landmarks, without "Category:".

        Raises:
            PermanentError: The folder or a table is missing or lacks a column.
        """
        if not self.path.is_dir():
            raise PermanentError(f"{self.path}: there is no such folder of images; name one in `index.ground`")
        wanted = {row["id"] for row in _rows(self.ids, "id")} if self.ids is not None else None
        said = {row["id"]: row for row in _rows(self.attributions, "id")}
        shown = {row["id"]: row["landmark_id"] for row in _rows(self.landmark_of, "id", "landmark_id")}
        categories = {row["landmark_id"]: category_name(row["category"]) for row in self._categories()}
        found = {}
        for path in self.path.rglob("*"):
            name = path.stem
            if path.suffix.lower() not in _SUFFIXES or (wanted is not None and name not in wanted):
                continue
            if categories.get(shown.get(name, "")) in own_categories:
                continue
            terms = said.get(name, {})
            found[name] = {
                "id": name, "path": path.relative_to(self.path).as_posix(), "size": path.stat().st_size,
                "licence": terms.get("license") or self.licence, "author": terms.get("author", ""),
                "url": terms.get("url", ""), "title": terms.get("title", ""),
            }  # fmt: skip
        return [found[name] for name in sorted(found)]

    def write(
        self, images: Sequence[Mapping[str, Any]], folder: Path, workspace: Path
    ) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Write photographs and return their rows, and how many were refused for which reason.

        Args:
            images: Some of `images`.
            folder: Where they go.
            workspace: What paths are relative to.
        """
        rows, refused = [], dict[str, int]()
        for each in images:
            licence = spdx_of(each["licence"], each["licence"])
            reason = refusal(licence) or ("it is too large" if each["size"] > _MAX_BYTES else "")
            image = decoded((self.path / each["path"]).read_bytes()) if not reason else None
            if image is None:
                reason = reason or "it cannot be decoded"
                refused[reason] = refused.get(reason, 0) + 1
                continue
            small = reduced(image, self.longest_side)
            body = encoded(small, self.quality)
            identity = short_id("distractor", each["id"])
            path = folder / f"{identity}.jpg"
            write_bytes(path, body)
            rows.append(
                {
                    "image_id": identity, "landmark_id": None, "modality": "ground",
                    "path": path.relative_to(workspace).as_posix(), "digest": digest_bytes(body), "bytes": len(body),
                    "width": small.shape[1], "height": small.shape[0], "date": "", "items": [each["id"]],
                    "title": each["title"], "author": each["author"], "licence": licence, "licence_url": "",
                    "attribution": f"{each['author'] or 'author not stated'}, {licence}",
                    "source_url": each["url"] or f"urn:gldv2:{each['id']}", "page_url": each["url"], "sha1": "",
                    "hash": hash_of(small), "flags": [],
                }
            )  # fmt: skip
        return rows, refused

    def _categories(self) -> Iterator[dict[str, str]]:
        return _rows(self.category_of, "landmark_id", "category")


def category_name(address: str) -> str:
    """Return the name of a Commons category that is given by its name or its address."""
    return unquote(address.rpartition("Category:")[2] or address).replace("_", " ").strip()


def _rows(path: Path | None, *columns: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table, none without one. Raises PermanentError if it cannot be read or lacks a column."""
    if path is None:
        return
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise PermanentError(f"{path}: lacks the column {lacking[0]!r}")
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PermanentError(f"{path}: cannot be read as a table ({error})") from error
